"""Compiled Python: `.pyc` modules, and objects that `marshal` wrote.

Source: CPython's `Lib/importlib/_bootstrap_external.py` (`_classify_pyc`), PEP 552 and `Python/marshal.c`.
"""

import functools
import os

from garrison.artifacts.pickle.source_code import code_names
from garrison.artifacts.wire import marshal
from garrison.core.errors import LimitExceeded
from garrison.core.facts import Anomaly, Artifact, EmbeddedCode
from garrison.sources.identification import HEAD, looks_like_text
from garrison.sources.source import Context, Extracted, Source

_CODE = b"c\xe3"
_HEADERS = (16, 12, 8)
_LEAST = 10
_PROBE = 2000
_KINDS = {"{": "dictionary", "[": "list", "(": "tuple", ")": "tuple", "c": "code object"}


def sniff_module(source: Source) -> bool:
    """A magic number of some version, and a code object behind a header of one of the lengths that there were."""
    head = source.reader.pread(0, 32)
    return bool(_version(head)) and any(head[at : at + 1] in (b"c", b"\xe3") for at in _HEADERS)


def extract_module(source: Source, context: Context) -> Extracted:
    """A compiled module, which runs when somebody imports it."""
    head = source.reader.pread(0, 32)
    version = _version(head)
    start = _start(head, version)
    yield Artifact(format="python-bytecode", details={"python": version})
    yield from _marshalled(source, context, start, "compiled module", "carried")


def sniff_marshal(source: Source) -> bool:
    """A dictionary, list, tuple or code object that reads to the end of the file, or at least for long."""
    head = source.reader.pread(0, HEAD)
    if len(head) < _LEAST or chr(head[0] & 0x7F) not in _KINDS or looks_like_text(head):
        return False
    try:
        found = marshal.read(source.reader, 0, lambda: None, _PROBE)
    except LimitExceeded:
        return True
    return found.items > 1 and not source.reader.pread(found.end, 1)


def extract(source: Source, context: Context) -> Extracted:
    """One marshalled object; code in it runs when the program that loads it calls it."""
    yield from _marshalled(source, context, 0, "marshalled code object", "use")


def _marshalled(source: Source, context: Context, start: int, form: str, trigger: str) -> Extracted:
    found = marshal.read(source.reader, start, context.check_time)
    if not start:
        details: dict[str, str | int | float | bool] = {
            "object": _KINDS.get(found.kind, "value"),
            "values": found.items,
        }
        yield Artifact(format="marshal", details=details)
    if found.codes:
        yield EmbeddedCode(
            language="python-bytecode",
            form=form,
            trigger=trigger,  # type: ignore[arg-type]
            names=code_names((code.names, code.consts) for code in found.codes),
            excerpt=found.codes[0].filename[:200],
        )
    size = source.reader.size
    if found.end < size:
        detail = f"{size - found.end} bytes follow the marshalled object"
        yield Anomaly(what="trailing-data", detail=detail, place=f"@ {found.end:#x}")
        yield source.member("(trailing data)", source.reader.window(found.end, size - found.end))


def _start(head: bytes, version: str) -> int:
    """Where the code object begins: behind flags, time and size; before 3.7 there were no flags, before 3.3 no size."""
    major, _, minor = version.partition(".")
    told = 8 if major != "3" or int(minor) < 3 else 12 if int(minor) < 7 else 16
    return told if head[told] in _CODE else next(at for at in _HEADERS if head[at] in _CODE)


def _version(head: bytes) -> str:
    """The version whose magic number the head begins with, empty where there is none."""
    if len(head) < 32 or head[2:4] != b"\r\n":
        return ""
    number = int.from_bytes(head[:2], "little")
    known = [(first, version) for version, first in _magic().items() if first <= number]
    if not known or not (3000 <= number < 3700 or number >= 20121):
        return ""
    return max(known)[1]


@functools.cache
def _magic() -> dict[str, int]:
    import msgspec

    import garrison.artifacts.knowledge as knowledge

    with open(os.path.join(os.path.dirname(knowledge.__file__), "python_bytecode.json"), "rb") as file:
        return msgspec.json.decode(file.read())["magic"]  # type: ignore[no-any-return]
