"""Seal and open: a header, and the payload behind it."""

import io
import os
from collections.abc import Sequence
from typing import BinaryIO, cast

from garrison.provenance.sealing import header, payload
from garrison.provenance.sealing.armor import BEGIN, Armored, Unarmored, is_armored
from garrison.provenance.sealing.header import Header
from garrison.provenance.sealing.refusals import MalformedArmor
from garrison.provenance.sealing.stanzas import FILE_KEY, Identity, Recipient
from garrison.provenance.sealing.writing import write_all

_FIRST = 1 << 10


def seal(source: BinaryIO, target: BinaryIO, recipients: Sequence[Recipient], *, armored: bool = False) -> None:
    """Write to `target` what only the recipients can open: all of `source`, in memory that does not grow with it.

    `source` is buffered: it gives less than it is asked for only at its end.
    Raises `UsageError` for recipients that a file cannot have together, before anything is written.
    """
    key = os.urandom(FILE_KEY)
    head = header.written(key, recipients)
    if not armored:
        write_all(target, head)
        payload.sealed(source, target, key)
        return
    armor = Armored(target)
    armor.write(head)
    payload.sealed(source, cast("BinaryIO", armor), key)
    armor.finish()


def unseal(source: BinaryIO, target: BinaryIO, identities: Sequence[Identity]) -> None:
    """Write to `target` what is sealed in `source`, armored or not, to the end of it.

    `source` is buffered: it gives less than it is asked for only at its end.
    Nothing is written that was not authenticated. That it is whole is known only when this returns. Raises `Refused`,
    of the kinds in `refusals`.
    """
    head, _, payload_file = header_of(source)
    key = header.file_key(head, identities)
    payload.unsealed(payload_file, target, key)


def header_of(source: BinaryIO) -> tuple[Header, bool, BinaryIO]:
    """The header, whether it is armored, and what the payload is read from; no key is needed.

    Raises `MalformedHeader` and `MalformedArmor`.
    """
    first = source.readline(_FIRST)
    armored = is_armored(first)
    if armored:
        source = cast("BinaryIO", io.BufferedReader(Unarmored(source, first), payload.CHUNK))
        first = source.readline(_FIRST)
    elif not first.startswith(header.ANY_VERSION) and BEGIN in first + source.read(_FIRST):
        raise MalformedArmor("something stands before its armor")
    return header.read(source, first), armored, source
