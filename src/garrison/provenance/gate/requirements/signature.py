"""The model is signed by one of the identities, all of it."""

from collections.abc import Sequence

from garrison.core.gate_decision import RequirementDecision
from garrison.core.gate_policy import SignatureRequirement
from garrison.provenance.gate.candidates import Candidate
from garrison.provenance.gate.requirements.judging import by, decided, eligible, nobody
from garrison.provenance.hashing import Manifest

KIND = "signature"


def judge(asked: SignatureRequirement, candidates: Sequence[Candidate]) -> RequirementDecision:
    found = eligible(asked, KIND, candidates)
    reasons = [] if found.counted else [nobody(found, "signature")]
    return decided(KIND, f"signed {by(asked.signed_by)}", found, reasons, _says)


def _says(one: Candidate) -> str:
    assert isinstance(one.predicate, Manifest)
    count = len(one.predicate.entries)
    return f"{count} {'file' if count == 1 else 'files'}"
