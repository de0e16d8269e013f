"""Which of the attestations that lie somewhere hold for a model: its files are read once for all of them."""

import datetime
from collections.abc import Iterable
from typing import Any

import msgspec

from garrison.provenance.attestations.predicates import UnknownKind
from garrison.provenance.attestations.statement import Attestation, about, opened
from garrison.provenance.attestations.storage import Stored
from garrison.provenance.subjects import manifests
from garrison.provenance.trust import Refused, Trust


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    place: str
    """Where it lies."""
    attestation: Attestation | None = None
    """What it says, if a trusted identity signed it; it says it of this model only if it holds."""
    reason: str = ""
    """Why it does not hold; empty if it does."""
    passed_over: bool = False
    """Whether a trusted identity signed it, and it is only of a kind that is not read here: no claim that counts, and
    none that is false."""

    @property
    def holds(self) -> bool:
        return not self.reason


def checked(
    model: str, attestations: Iterable[Stored], trust: Trust, *, now: datetime.datetime, **reading: Any
) -> list[Checked]:
    """Each attestation, in the order given: whose it is and whether it holds for the model at this path.

    `now` is when it must not have expired, and when certificates must be valid that no witness dates; `reading` goes to
    `hashing.digest`. Raises `UsageError` when nobody is trusted, and what `digest` raises.
    """
    found = [_opened(one, trust, now) for one in attestations]
    subjects = [subject for one in found if one.attestation for subject in one.attestation.subjects]
    known = manifests(model, subjects, **reading)
    results = []
    for one in found:
        if one.attestation is not None and one.holds:
            try:
                about(one.attestation, known)
            except Refused as reason:
                one = msgspec.structs.replace(one, reason=str(reason))
        results.append(one)
    return results


def _opened(stored: Stored, trust: Trust, now: datetime.datetime) -> Checked:
    if stored.problem:
        return Checked(place=stored.place, reason=stored.problem)
    try:
        return Checked(place=stored.place, attestation=opened(stored.data, trust, now=now))
    except Refused as reason:
        return Checked(place=stored.place, reason=str(reason), passed_over=isinstance(reason, UnknownKind))
