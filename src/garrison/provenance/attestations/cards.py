"""Robustness cards: the predicate of a robustness attestation, as a JSON file that whatever measured it writes."""

import datetime

import msgspec

from garrison.provenance.attestations.predicates import Robustness
from garrison.provenance.strict_json import decoded

_BYTES = 64 << 20


def card(data: bytes, *, expires: datetime.datetime | None = None) -> Robustness:
    """The card in a file, which expires when it says itself unless `expires` says so sooner. Raises `Refused`."""
    found = decoded(data, Robustness, "card", most=_BYTES)
    if expires is None or (found.expires is not None and found.expires <= expires):
        return found
    return msgspec.structs.replace(found, expires=expires)
