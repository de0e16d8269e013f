"""Evidence in files: beside the model, in a directory, or in one file."""

import os
from collections.abc import Iterator

from garrison.core.gate_decision import PassedOver
from garrison.provenance.attestations.storage import directory_of, stored
from garrison.provenance.gate.evidence import Piece
from garrison.provenance.signing import signature_path
from garrison.provenance.trust import Refused


def beside(model: str) -> Iterator[Piece | PassedOver]:
    """The model's signature, and the attestations beside it, as far as there are any."""
    attestations = directory_of(model)
    if not os.path.isabs(model):
        attestations = os.path.relpath(attestations)
    for place in (signature_path(model), attestations):
        if os.path.lexists(place):
            yield from in_path(place)


def in_path(path: str) -> Iterator[Piece | PassedOver]:
    """What is in a file, or in a directory. Raises `UsageError` where there is nothing."""
    try:
        for one in stored(path):
            if one.problem:
                yield PassedOver(place=one.place, reason=one.problem)
            else:
                yield Piece(place=one.place, data=one.data)
    except Refused as reason:
        yield PassedOver(place=path, reason=str(reason))
