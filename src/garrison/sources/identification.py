"""Says what a thing is from its bytes.

Formats with a magic number are found through an index of their first bytes. The others have a sniffer, a function that
looks closer; sniffers are asked by their `order`, and only where no magic matched, except those that find
a format from its end (a zip behind a picture), which are always asked: one subject can be several formats at once.
"""

import functools
import re
from typing import TYPE_CHECKING

from garrison.core.errors import ExaminationError
from garrison.core.registry import Format, formats, load
from garrison.sources.containers import zip as _zip
from garrison.sources.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = 4096
_MARKED_HEAD = 1 << 16
_MARKED_TAIL = 4096
_TEXT_PROBE = 1024
_BARE = re.compile(rb"(?:\d{1,80}|little|big)\s*").fullmatch
"""What model archives hold in many small members: a version, an identifier, a byte order. No sniffer need be asked."""
_CONTROL = bytes(set(range(32)) - {7, 8, 9, 10, 12, 13, 27})


@functools.cache
def _by_first_byte() -> dict[int, list[tuple[int, bytes, Format]]]:
    index: dict[int, list[tuple[int, bytes, Format]]] = {}
    for entry in formats().values():
        for magic in entry.magic:
            value = bytes.fromhex(magic.hex)
            if magic.offset == 0:
                index.setdefault(value[0], []).append((0, value, entry))
    return index


@functools.cache
def _elsewhere() -> list[tuple[int, bytes, Format]]:
    return [
        (magic.offset, bytes.fromhex(magic.hex), entry)
        for entry in formats().values()
        for magic in entry.magic
        if magic.offset
    ]


@functools.cache
def _sniffed() -> tuple[list[Format], list[Format]]:
    """Formats that are found from their end, and formats that only a sniffer finds."""
    entries = sorted(formats().values(), key=lambda entry: entry.order)
    tails = [entry for entry in entries if entry.tail]
    return tails, [entry for entry in entries if entry.sniffer and not entry.magic and not entry.tail]


def looks_like_text(head: bytes) -> bool:
    """Whether the head could be the start of a text in UTF-8, or in UTF-16 with a byte order mark."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    probe = head[:_TEXT_PROBE]
    if probe.translate(None, _CONTROL) != probe:
        return False
    try:
        probe.decode()
    except UnicodeDecodeError as error:
        return len(head) > _TEXT_PROBE and error.start > _TEXT_PROBE - 4
    return True


def identify(source: Source, failures: list[str] | None = None) -> list[Format]:
    """All formats that the source is, the surest first; empty where garrison knows none.

    A sniffer that fails takes no other format's chance: what failed is added to `failures`. Raises
    `ExaminationError` only when the bytes themselves cannot be read.
    """
    failures = [] if failures is None else failures
    ends = functools.cache(lambda: _ends(source))
    head = source.reader.pread(0, HEAD)
    known = formats()
    found = [known[name] for name in source.loaded_as]
    if not head:
        return found
    if not found and source.scope is None and _BARE(head) and "." not in source.name.lstrip("."):
        return [known["text"]]
    admitted = source.scope.formats if source.scope is not None else None
    matches = [m for m in _by_first_byte().get(head[0], ()) if head.startswith(m[1])]
    matches += [m for m in _elsewhere() if head.startswith(m[1], m[0])]
    if admitted is not None:
        matches = [m for m in matches if m[2].id in admitted]
    matches.sort(key=lambda m: -len(m[1]))
    for _, _, entry in matches:
        if entry not in found and (not entry.confirm or _ask(entry, source, failures, ends)):
            found.append(entry)
    tails, sniffed = _sniffed()
    if admitted is not None:
        tails = [entry for entry in tails if entry.id in admitted]
        sniffed = [entry for entry in sniffed if entry.id in admitted]
    for entry in tails:
        if entry not in found and _ask(entry, source, failures, ends):
            found.append(entry)
    if all(entry.beside for entry in found) or (_behind(found) and not head.startswith(b"PK")):
        text = looks_like_text(head)
        for entry in sniffed:
            if (text or not entry.text) and _ask(entry, source, failures, ends):
                found.append(entry)
                if not entry.beside:
                    break
    return found


def _behind(found: list[Format]) -> bool:
    """Whether only a container's end was recognised, so that its beginning may be something else."""
    return all(entry.tail and entry.container for entry in found)


def _ask(entry: Format, source: Source, failures: list[str], ends: "Callable[[], bytes]") -> bool:
    try:
        if (entry.names or entry.marks) and not (
            _is_named(source.name.lower(), entry.names) or (entry.marks and _is_marked(ends(), entry.marks))
        ):
            return False
        if entry.members and _zip.member_names(source).isdisjoint(entry.members):
            return False
        return bool(load(entry.sniffer)(source))
    except (ExaminationError, RecursionError):
        return False
    except Exception as error:
        failures.append(f"whether it is {entry.title} could not be told: {type(error).__name__}: {error}"[:300])
        return False


def _is_named(name: str, names: tuple[str, ...]) -> bool:
    return any(name == one or ("*" in one and _fits(name, one)) for one in names)


def _fits(name: str, pattern: str) -> bool:
    begin, _, end = pattern.partition("*")
    return len(name) >= len(begin) + len(end) and name.startswith(begin) and name.endswith(end)


def _is_marked(ends: bytes, marks: tuple[str, ...]) -> bool:
    return any(mark.encode() in ends for mark in marks)


def _ends(source: Source) -> bytes:
    """Where marks are looked for. What is compressed would have to be read whole for its end."""
    head = source.reader.pread(0, _MARKED_HEAD)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.replace(b"\0", b"")
    if source.depth or source.reader.size <= _MARKED_HEAD:
        return head
    return head + b"\0" + source.reader.pread(source.reader.size - _MARKED_TAIL, _MARKED_TAIL)
