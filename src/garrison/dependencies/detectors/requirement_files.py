"""Judges how manifests name each other: in circles, or files that were not there to be read."""

from collections.abc import Iterator, Sequence

from garrison.core.facts import Examination
from garrison.core.findings import Check, Finding
from garrison.core.judgement import finding
from garrison.core.policy import Policy
from garrison.dependencies.manifests import Manifests

_NAMED = 3
_SHOWN = 200
_CIRCLES = 100


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding | Check]:
    """A finding for each circle, and how many of the files that are named were read."""
    manifests = Manifests(examinations)
    for number, (manifest, include, circle) in enumerate(manifests.circles()):
        if number >= _CIRCLES:
            break
        way = " → ".join(
            subject.rpartition("/")[2] for subject in [*circle[:_NAMED], *(["…"] if circle[_NAMED:] else [])]
        )
        written = include.written[:_SHOWN]
        message = f"{include.kind} {written!r} comes back to where it began: {way[:_SHOWN]} → {written}"
        yield finding("requirement-cycle", manifest.subject, include.place, message)
    named = [(manifest, include) for manifest in manifests.by_subject.values() for include in manifest.includes]
    missing = [(manifest, include) for manifest, include in named if include.target not in manifests.read]
    if named:
        shown = "; ".join(
            f"{include.written[:_SHOWN]} (named in {manifest.subject.rpartition('/')[2]}, {include.place})"
            for manifest, include in missing[:_NAMED]
        )
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        yield Check(
            name="files that manifests name",
            checked=len(named) - len(missing),
            total=len(named),
            reason=f"not among what was scanned: {shown}{more}; scan the whole project" if missing else "",
            gap=bool(missing),
        )
