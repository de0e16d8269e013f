"""Judges how manifests name each other: in circles, or files that were not there to be read."""

from collections.abc import Iterator, Sequence

from garrison.core.facts import Examination
from garrison.core.findings import Check, Finding
from garrison.core.judgement import finding
from garrison.core.policy import Policy
from garrison.dependencies.manifests import Include, Manifest, Manifests

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
    if named:
        missing = [one for one in named if one[1].target not in manifests.read]
        strange = [one for one in named if one[1].target in manifests.read & manifests.strange]
        reasons = [f"not among what was scanned: {_shown(missing)}; scan the whole project"] if missing else []
        if strange:
            reasons.append(
                f"pip reads requirements there, but by its name and bytes it is no such file: {_shown(strange)}"
            )
        yield Check(
            name="files that manifests name",
            checked=len(named) - len(missing) - len(strange),
            total=len(named),
            reason="; ".join(reasons),
            gap=bool(reasons),
        )


def _shown(named: Sequence[tuple[Manifest, Include]]) -> str:
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return (
        "; ".join(
            f"{include.written[:_SHOWN]} (named in {manifest.subject.rpartition('/')[2]}, {include.place})"
            for manifest, include in named[:_NAMED]
        )
        + more
    )
