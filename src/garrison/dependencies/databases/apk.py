"""Packages in the database of Alpine's package manager.

Source: Alpine wiki, "Apk spec", and apk-tools `src/database.c`: a letter, a colon and a value a line, an empty line
after each package; `F:` and what follows it are its files.
"""

from collections.abc import Iterator

from garrison.core.facts import Package
from garrison.dependencies.purl import purl

_LETTERS = frozenset("PVALoD")
_FLAGS = "=<>~@"


def records(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Each package with the number of its first line: the fields that tell about versions, by letter."""
    fields: dict[str, str] = {}
    first = 1
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            if fields:
                yield first, fields
            fields = {}
            first = number + 1
        elif line[1:2] == ":" and line[0] in _LETTERS:
            fields.setdefault(line[0], line[2:].strip())
    if fields:
        yield first, fields


def package(fields: dict[str, str], place: str, distribution: str = "") -> Package | None:
    """The package of a record; `None` where it names none or no version. `distribution` is `alpine:3.19` or so."""
    name, version = fields.get("P", ""), fields.get("V", "")
    if not name or not version or " " in name + version:
        return None
    origin = fields.get("o", "")
    vendor = distribution.partition(":")[0]
    qualifiers = {"arch": fields.get("A", ""), "distro": distribution.replace(":", "-")}
    return Package(
        purl=purl("apk", name, version, vendor, qualifiers),
        ecosystem="apk",
        name=name,
        version=version,
        state="installed",
        distribution=distribution,
        source_name=origin if origin != name else "",
        licences=(fields["L"],) if fields.get("L") else (),
        dependencies=tuple(dict.fromkeys(map(_name, filter(_wanted, fields.get("D", "").split())))),
        place=place,
    )


def _wanted(dependency: str) -> bool:
    return not dependency.startswith("!")


def _name(dependency: str) -> str:
    for sign in _FLAGS:
        dependency = dependency.partition(sign)[0]
    return dependency
