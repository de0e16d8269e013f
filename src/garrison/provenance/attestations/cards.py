"""Robustness cards: the predicate of a robustness attestation, made of what `garrison attack` or another tool wrote."""

import datetime
import json

import msgspec

from garrison.core.robustness_card import Card
from garrison.core.robustness_contradictions import contradictions
from garrison.core.robustness_measurements import measurements
from garrison.provenance.attestations.predicates import Dataset, Measurement, Robustness, Tool
from garrison.provenance.hashing.manifest import Manifest
from garrison.provenance.strict_json import decoded
from garrison.provenance.trust import Refused

_BYTES = 64 << 20
_CONFIDENCE = 0.95
_BOUND = (
    "Robust accuracy is an upper bound: other attacks may find more. It holds for inputs like those of the data set "
    "and for an attacker within the stated budget."
)


def card(data: bytes, manifest: Manifest, *, expires: datetime.datetime | None = None) -> Robustness:
    """What a card in a file says of the model of `manifest` (SHA-256), until it expires itself or `expires` comes.

    Raises `Refused` for what is no card, for one that contradicts itself, that is not complete, whose data are unknown
    or whose model is another one: its digest must be that of a file of the model.
    """
    if not _is_card(data):
        found = decoded(data, Robustness, "card", most=_BYTES)
        if expires is None or (found.expires is not None and found.expires <= expires):
            return found
        return msgspec.structs.replace(found, expires=expires)
    return _of_card(decoded(data, Card, "card", most=_BYTES), manifest, expires)


def _is_card(data: bytes) -> bool:
    """Whether it is one of garrison's cards, as opposed to a predicate that another tool wrote."""
    if len(data) > _BYTES:
        return False
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and "card_version" in found


def _of_card(found: Card, manifest: Manifest, expires: datetime.datetime | None) -> Robustness:
    if not found.complete:
        raise Refused("the card is not complete: it was stopped before its end")
    if not found.data.sha256:
        raise Refused("the card does not say by their digest which data it was measured on")
    if found.model.sha256 not in {entry.digest for entry in manifest.entries}:
        has = f"has the SHA-256 {found.model.sha256[:16]}…" if found.model.sha256 else "has no digest"
        raise Refused(f"the card is of another model: {found.model.name}, which {has}")
    numbers = measurements(found)
    if not numbers:
        raise Refused("the card has no number that could be attested")
    for contradiction in contradictions(found):
        raise Refused(f"the card contradicts itself: {contradiction}")
    return Robustness(
        created=found.started + datetime.timedelta(seconds=round(found.seconds)),
        expires=expires,
        tool=Tool(name=found.tool.name, version=found.tool.version),
        datasets=(Dataset(name=found.data.name, digest={"sha256": found.data.sha256}),),
        measurements=tuple(
            Measurement(
                name=one.name,
                value=one.value,
                lower=one.low,
                upper=one.high,
                confidence=None if one.low is None else _CONFIDENCE,
                attack=one.attack,
                norm=one.norm,
                epsilon=one.epsilon,
                parameters={"seed": found.seed} if one.norm else {},
                dataset=found.data.name,
                samples=one.samples,
            )
            for one in numbers
        ),
        limitations=" ".join([_BOUND, *_doubts(found)]),
    )


def _doubts(found: Card) -> list[str]:
    checks = [*found.checks, *(check for one in found.inference for check in one.checks)]
    failed = [f"A check failed, {one.name}: {one.seen}." for one in checks if one.verdict == "failed"]
    return failed + [f"Not measured: {one.what} ({one.why})." for one in found.omitted]
