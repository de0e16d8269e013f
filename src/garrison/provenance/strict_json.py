"""JSON that two readers cannot read differently: for what is signed, and for what carries signatures.

A key that stands twice means its first value to one reader and its last to another, so that one could check what the
other never sees; the same goes for `NaN`, for halves of surrogates and for other encodings than UTF-8.
"""

import json
import re
from typing import Any, NoReturn, TypeVar

import msgspec

from garrison.provenance.trust import Refused

T = TypeVar("T")

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
"""One that is not closed matches too: were it looked for again at each quote within it, the time would be quadratic."""
_STRUCTURE_BYTES = 32 << 20
"""The most that may stand outside of strings, their quotes included: what makes objects, of which each costs tens of
bytes of memory."""


def decoded(data: bytes, kind: type[T], what: str, *, most: int, structure: int = _STRUCTURE_BYTES) -> T:
    """The value of one JSON document.

    `most` is the most bytes that it may have, `structure` the most of them outside of strings; `what` begins the
    reason. Raises `Refused` for what is larger, is no JSON, has a key twice or has another shape than `kind`.
    """
    check_size(data, what, most=most, structure=structure)
    try:
        json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_no_number)
        return msgspec.json.decode(data, type=kind)
    except RecursionError:
        raise Refused(f"{what}: JSON nested too deep") from None
    except ValueError as error:  # of json, of msgspec and of what is no UTF-8
        raise Refused(f"{what}: {error}") from None


def check_size(data: bytes, what: str, *, most: int, structure: int = _STRUCTURE_BYTES) -> None:
    """Raises `Refused` for what `decoded` would, because there is too much of it."""
    if len(data) > most:
        raise Refused(f"{what}: more than {most:,} bytes")
    if len(data) > structure and _exceeds(data, structure):
        raise Refused(f"{what}: more than {structure:,} bytes of JSON outside of strings")


def _exceeds(data: bytes, structure: int) -> bool:
    """Whether more stands outside of strings; no more is looked at than tells."""
    outside = end = 0
    for string in _STRING.finditer(data):
        outside += string.start() - end + 2
        end = string.end()
        if outside > structure:
            return True
    return outside + len(data) - end > structure


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")
