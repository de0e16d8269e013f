"""The packages of a bill: each version once, with all that is said of it anywhere."""

import re
from collections.abc import Iterable

import msgspec.structs

from garrison.core.facts import Package, Requirement
from garrison.core.report import Item
from garrison.reporting.bom.bill import Library, Licence, Vocabulary
from garrison.reporting.bom.grouping import folder_of

BILLS = frozenset({"cyclonedx-bom", "spdx-document", "spdx-graph"})
"""Formats that list what lies elsewhere."""
_SEPARATORS = re.compile(r"[-_.]+")


def licences(statements: Iterable[str], words: Vocabulary) -> tuple[Licence, ...]:
    """Each statement with the expression that it stands for."""
    return tuple(dict.fromkeys(Licence(one, words.expression(one)) for one in statements if one))


class Packages:
    """What files name, fix, hold and ask for.

    What is only asked for is left out where another file of the directory fixes its version.
    """

    libraries: tuple[Library, ...]
    """In the order of their keys."""
    asked: dict[str, tuple[str, ...]]
    """By directory, the keys of what its project asks for itself."""

    def __init__(self, files: dict[str, Item], words: Vocabulary) -> None:
        self._words = words
        self._found: dict[str, Library] = {}
        fixed: dict[tuple[str, str], str] = {}
        edges: dict[str, dict[str, None]] = {}
        asked: dict[str, dict[str, None]] = {}
        requirements: list[tuple[str, Requirement]] = []
        for subject, item in files.items():
            own = [fact for fact in item.facts if type(fact) is Package]
            names = {_plain(fact.name): self._key_of(fact, subject) for fact in own}
            for fact in own:
                key = self._key_of(fact, subject)
                self._add(self._of_package(fact, key, subject))
                ends = (names.get(_plain(name), key) for name in fact.dependencies)
                edges.setdefault(key, {}).update(dict.fromkeys(end for end in ends if end != key))
                fixed.setdefault((folder_of(subject), _plain(fact.name)), key)
                if fact.direct is not False and not BILLS.intersection(item.formats):
                    asked.setdefault(folder_of(subject), {})[key] = None
            requirements += [(subject, fact) for fact in item.facts if type(fact) is Requirement]
        for subject, requirement in requirements:
            if requirement.constraint:
                continue
            folder = folder_of(subject)
            locked = fixed.get((folder, _plain(requirement.name)))
            if locked is None:
                self._add(self._of_requirement(requirement, subject))
            asked.setdefault(folder, {})[locked or self._key(requirement)] = None
        for key, targets in edges.items():
            self._found[key] = msgspec.structs.replace(self._found[key], dependencies=tuple(targets))
        self.libraries = tuple(self._found[key] for key in sorted(self._found))
        self.asked = {folder: tuple(sorted(keys)) for folder, keys in asked.items()}

    def _key_of(self, fact: Package, subject: str) -> str:
        return self._words.location(fact, subject) or f"{fact.ecosystem} {fact.name} {fact.version}"

    def _key(self, fact: Requirement) -> str:
        version = self._words.pinned(fact.ecosystem, fact.specifier)
        address = self._words.address(fact.ecosystem, fact.name, version)
        return address or f"{fact.ecosystem} {fact.name} {version}"

    def _of_package(self, fact: Package, key: str, subject: str) -> Library:
        return Library(
            key=key,
            name=fact.name,
            version=fact.version,
            purl=self._words.location(fact, subject),
            hashes=fact.hashes,
            licences=licences(fact.licences, self._words),
            places=(subject,),
            groups=(fact.group,) if fact.group else (),
            sources=(fact.source,) if fact.source else (),
            direct=fact.direct,
        )

    def _of_requirement(self, fact: Requirement, subject: str) -> Library:
        version = self._words.pinned(fact.ecosystem, fact.specifier)
        return Library(
            key=self._key(fact),
            name=fact.name,
            version=version,
            purl=self._words.address(fact.ecosystem, fact.name, version),
            specifier="" if version else fact.specifier,
            hashes=fact.hashes,
            places=(subject,),
            groups=(fact.group,) if fact.group else (),
            sources=(fact.source,) if fact.source else (),
            direct=True,
        )

    def _add(self, new: Library) -> None:
        before = self._found.get(new.key)
        if before is None:
            self._found[new.key] = new
            return
        self._found[new.key] = msgspec.structs.replace(
            before,
            hashes=tuple(dict.fromkeys((*before.hashes, *new.hashes))),
            licences=tuple(dict.fromkeys((*before.licences, *new.licences))),
            places=tuple(dict.fromkeys((*before.places, *new.places))),
            groups=tuple(dict.fromkeys((*before.groups, *new.groups))) if before.groups and new.groups else (),
            sources=tuple(dict.fromkeys((*before.sources, *new.sources))),
            direct=before.direct if new.direct is None or before.direct else new.direct,
            specifier=", ".join(dict.fromkeys(one for one in (before.specifier, new.specifier) if one)),
        )


def _plain(name: str) -> str:
    return _SEPARATORS.sub("-", name).lower()
