"""Every way in which something signed or sealed was altered, a module for each kind of thing with its `TABLE`.

`tests/provenance/test_alterations.py` holds each to what it says, and `docs/reference/alterations.md` is made of them.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from garrison.provenance.trust import Refused

Attempt = Callable[[Path], Any]
"""Makes the thing in an empty directory, alters it, and opens it: raises `Refused`, or returns what was opened."""


class Table(NamedTuple):
    title: str
    """The kind of thing, such as "Bundles"."""
    about: str
    """What is done to it in each row, and what is checked, in a sentence or two of Markdown."""
    refused: dict[str, Attempt]
    """By what was altered; each is refused."""
    harmless: dict[str, Attempt]
    """What can be altered since it says nothing; each opens."""


def tables() -> list[Table]:
    modules = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return [importlib.import_module(f"{__name__}.{name}").TABLE for name in modules]


def every(variants: Iterable[bytes], opening: Callable[[bytes], Any]) -> NoReturn:
    """Raise `Refused` if each of the variants is, and there are any."""
    number = 0
    for variant in variants:
        try:
            opening(variant)
        except Refused:
            number += 1
        else:
            raise AssertionError(f"opened: {variant!r}")
    assert number
    raise Refused(f"each of {number}")


def flips(data: bytes, bits: Iterable[int] = range(8), *, but: range = range(0)) -> Iterable[bytes]:
    """With one bit flipped, at each byte `but` some; `bits` of each byte."""
    for place in range(len(data)):
        if place not in but:
            for bit in bits:
                yield data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


def cuts(data: bytes) -> Iterable[bytes]:
    """Cut off after each byte."""
    return (data[:end] for end in range(len(data)))


def losses(data: bytes) -> Iterable[bytes]:
    """Without each byte."""
    return (data[:place] + data[place + 1 :] for place in range(len(data)))


def repeats(data: bytes) -> Iterable[bytes]:
    """With each byte twice."""
    return (data[: place + 1] + data[place:] for place in range(len(data)))
