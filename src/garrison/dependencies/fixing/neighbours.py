"""What the packages that stay as they are ask of those that change, by the index's metadata."""

import posixpath
from collections.abc import Iterable, Iterator, Sequence

from garrison.core.facts import Examination, Requirement
from garrison.dependencies.fixing.planning import Change
from garrison.dependencies.fixing.ranges import admits
from garrison.dependencies.index.client import Index
from garrison.dependencies.index.inquiry import fixed_version
from garrison.dependencies.index.project import normalised


def limits(examinations: Sequence[Examination], changes: Iterable[Change], index: Index) -> Iterator[Examination]:
    """For each pinned package that does not change, what it asks of those that do, as constraints of its directory.

    What it asks for in vain already is left out: the project runs without it.
    """
    changing: dict[str, dict[str, str]] = {}
    for change in changes:
        changing.setdefault(posixpath.dirname(change.subject), {})[normalised(change.fact.name)] = change.old
    pins = {
        (posixpath.dirname(examination.subject), normalised(fact.name), fixed_version(fact))
        for examination in examinations
        for fact in examination.facts
        if type(fact) is Requirement and fact.ecosystem == "pypi" and not fact.source and fixed_version(fact)
    }
    staying = sorted(pin for pin in pins if pin[0] in changing and pin[1] not in changing[pin[0]])
    projects = index.projects({name for _, name, _ in staying})
    releases = {
        (folder, name, version): release
        for folder, name, version in staying
        if (project := projects[name].project) and (release := project.release(version))
    }
    metadata = index.requirements([(name, release) for (_, name, _), release in releases.items()])
    for (folder, name, version), release in releases.items():
        known = metadata[name, release.version]
        facts = [
            fact
            for text in (known.requires if known else ())
            for fact in _asked(text)
            if fact.name in changing[folder] and admits(fact, changing[folder][fact.name])
        ]
        if facts:
            yield Examination(subject=posixpath.join(folder, f"{name} {version}"), facts=[*facts])


def _asked(text: str) -> Iterator[Requirement]:
    from packaging.requirements import InvalidRequirement
    from packaging.requirements import Requirement as Written

    try:
        written = Written(text)
        if written.url or (written.marker and not written.marker.evaluate({"extra": ""})):
            return
    except (InvalidRequirement, ValueError):
        return
    name = normalised(written.name)
    yield Requirement(ecosystem="pypi", name=name, specifier=str(written.specifier), constraint=True)
