"""The model is of a version that is no lower than it must be, and than one that has passed before."""

from collections.abc import Sequence

from garrison.core.gate_decision import RequirementDecision
from garrison.core.gate_policy import VersionRequirement
from garrison.provenance.attestations.predicates import Version
from garrison.provenance.gate.candidates import Candidate
from garrison.provenance.gate.requirements.judging import Eligible, by, decided, eligible, nobody

KIND = "version"


def judge(asked: VersionRequirement, candidates: Sequence[Candidate], passed: int) -> RequirementDecision:
    """`passed` is the highest version that has passed before."""
    found = _found(asked, candidates)
    highest = max((_version(one).version for one in found.counted), default=0)
    reasons = []
    if not found.counted:
        reasons.append(nobody(found, "version"))
    elif highest < asked.minimum:
        reasons.append(f"version {highest} is lower than {asked.minimum}")
    elif highest < passed:
        reasons.append(f"version {highest} is lower than {passed}, which has passed before")
    wording = _wording(asked, max(asked.minimum, passed))
    return decided(KIND, wording, found, reasons, lambda one: f"version {_version(one).version}")


def undecidable(asked: VersionRequirement, reason: str) -> RequirementDecision:
    """Not met, since it cannot be told which version has passed before."""
    return RequirementDecision(name=KIND, asked=_wording(asked, asked.minimum), met=False, reasons=(reason,))


def newest(asked: VersionRequirement, candidates: Sequence[Candidate]) -> Version:
    """The version that the model is of, of one that met the requirement."""
    return max((_version(one) for one in _found(asked, candidates).counted), key=lambda one: one.version)


def _found(asked: VersionRequirement, candidates: Sequence[Candidate]) -> Eligible:
    found = eligible(asked, KIND, candidates)
    found.leave_out(lambda one: "" if _version(one).name == asked.name else f"it is about {_version(one).name[:200]!r}")
    return found


def _wording(asked: VersionRequirement, least: int) -> str:
    return f"version {least} or higher of {asked.name}, {by(asked.signed_by)}"


def _version(one: Candidate) -> Version:
    assert isinstance(one.predicate, Version)
    return one.predicate
