"""Evidence as it was found: bytes with the place they are from, of which nothing has been checked."""

from collections.abc import Iterable, Iterator

import msgspec

from garrison.core.gate_decision import PassedOver

MOST_PIECES = 10_000
MOST_BYTES = 1 << 30
"""Of all evidence together."""


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """One document that may be a signed statement."""

    place: str
    """A file, a line of one, or an address."""
    data: bytes


def bounded(found: Iterable[Piece | PassedOver]) -> Iterator[Piece | PassedOver]:
    """All of it within bounds, piece by piece; what is beyond them is said to be left out, and cannot count."""
    total = 0
    for count, one in enumerate(found):
        if isinstance(one, Piece):
            total += len(one.data)
        if count == MOST_PIECES:
            yield PassedOver(place=one.place, reason=f"after {MOST_PIECES:,} statements no more are read")
            return
        if total > MOST_BYTES:
            yield PassedOver(place=one.place, reason=f"after {MOST_BYTES:,} bytes of evidence no more is read")
            return
        yield one
