"""Whether bytes are a pickle, which for protocols 0 and 1 no magic number tells."""

import contextlib
import re

from garrison.artifacts.pickle.ledger import Acted, Ledger
from garrison.artifacts.pickle.machine import Machine
from garrison.artifacts.pickle.opcodes import KNOWN
from garrison.core.errors import LimitExceeded
from garrison.sources.reader import Reader
from garrison.sources.source import Source

LEGACY_TORCH = re.compile(
    rb"\x80[\x02-\x05](?:\x95.{8})?\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", re.DOTALL
).match
"""The first of the pickles in a file that `torch.save` wrote before version 1.6."""

_MODULE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*").fullmatch
_NAME = re.compile(r"[^\W\d]\w*(?:\.(?:[^\W\d]\w*|<\w+>))*|").fullmatch
_TEXT = re.compile(rb"[\t\n\r\x20-\x7e]*+").fullmatch
_PATIENCE = 1 << 20
_MAGIC_PATIENCE = 1 << 11


def is_plausible(module: str, name: str) -> bool:
    """Whether the two could name something in Python."""
    return _MODULE(module) is not None and _NAME(name) is not None


def is_pickle(source: Source) -> bool:
    """Whether `pickle.load` gets anywhere with these bytes.

    True when it would load them to a STOP, or call anything before it breaks off, or goes on for long; other bytes
    that happen to begin with opcodes are no pickle.
    """
    reader = source.reader
    head = reader.pread(0, 512)
    if not head or head[0] not in KNOWN or LEGACY_TORCH(head):
        return False
    magic = head[0] == 0x80
    if magic and len(head) > 11 and head[1] >= 2 and (head[2] == 0x95) == (head[1] >= 4) and head[2] in KNOWN:
        return head[2] != 0x95 or not any(head[8:11])
    ledger = Ledger(acts=True)
    machine = Machine(reader, ledger, check_time=_never, patience=_MAGIC_PATIENCE if magic else _PATIENCE)
    try:
        ending = machine.run(0)
    except Acted:
        return magic or any(is_plausible(*key) for key in ledger.records)
    except LimitExceeded:
        return True
    plausible = any(is_plausible(*key) for key in ledger.records)
    if ending.stopped:
        return magic or plausible or not reader.pread(ending.position, 1) or _goes_on(reader, ending.position)
    if magic:
        return ending.position > 2 and (plausible or ending.position > 3)
    return plausible and (not _TEXT(head) or any(_is_dangerous(*key) for key in ledger.records))


def _is_dangerous(module: str, name: str) -> bool:
    """Whether it is no accident that a text spells this global."""
    from garrison.artifacts.knowledge.imports import verdict

    return verdict(module, name).kind == "dangerous"


def is_pickle_without_magic(source: Source) -> bool:
    """Whether bytes of protocol 0 or 1, which begin with any opcode, are a pickle.

    A zip would begin with a persistent identifier of binary rubbish, which no unpickler resolves.
    """
    head = source.reader.pread(0, 4)
    return "pickle" not in source.loaded_as and head[:1] != b"\x80" and head != b"PK\x03\x04" and is_pickle(source)


def _goes_on(reader: Reader, position: int) -> bool:
    """Whether a further stream follows."""
    ledger = Ledger(acts=True)
    try:
        return Machine(reader, ledger, check_time=_never, patience=_MAGIC_PATIENCE).run(position).stopped
    except Acted:
        return any(is_plausible(*key) for key in ledger.records)
    except LimitExceeded:
        return True


def resolves_something(reader: Reader) -> bool:
    """Whether the bytes are a pickle that resolves a global."""
    ledger = Ledger(acts=True)
    with contextlib.suppress(Acted, LimitExceeded):
        Machine(reader, ledger, check_time=_never, patience=_PATIENCE).run(0)
    return any(is_plausible(*key) for key in ledger.records)


def _never() -> None:
    pass
