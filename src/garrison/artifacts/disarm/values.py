"""The inert values that bytes are read into: nothing of them can act, whatever they were made to describe.

Plain Python values stand for themselves: None, truth values, numbers, text, tuples, lists, and bytes, which are a
`Reader` where they are long. All else is one of these classes.
"""

from dataclasses import dataclass, field
from typing import Any

from garrison.sources.reader import Reader

Value = Any
"""One of the plain values named above, or an instance of a class below."""


@dataclass(slots=True, eq=False)
class Mapping:
    """A dictionary, its entries in the order in which they were set."""

    entries: list[tuple[Value, Value]] = field(default_factory=list)
    attributes: list[Value] = field(default_factory=list)
    """States that were given to it as to an object."""


@dataclass(slots=True, eq=False)
class Collection:
    """A set."""

    items: list[Value]


@dataclass(slots=True, eq=False)
class LongText:
    """A text too long to be held; the reader holds it in UTF-8."""

    encoded: Reader


@dataclass(slots=True, eq=False)
class Reference:
    """A global that is named and not called."""

    module: str
    name: str
    place: int

    @property
    def whole(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False)
class Opaque:
    """What a loader would make by running code: nobody ran it."""

    reason: str
    place: int
    arguments: tuple[Value, ...] = ()
    states: list[Value] = field(default_factory=list)
    items: list[Value] = field(default_factory=list)
    entries: list[tuple[Value, Value]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Storage:
    """Bytes that tensors share: `reader` is set when they are found."""

    dtype: str
    """By its name in safetensors; empty for bytes without a type."""
    key: str
    size: int
    """Bytes."""
    reader: Reader | None = None
    swapped: bool = False
    """Whether the most significant byte of each number comes first."""
    problem: str = ""
    """Why its bytes are not there."""


@dataclass(slots=True, eq=False)
class Tensor:
    """Numbers at regular distances in some bytes."""

    dtype: str
    """By its name in safetensors."""
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """Bytes from one element to the next, by dimension; never negative."""
    storage: Storage
    offset: int
    """Bytes in the storage before the first element."""


@dataclass(slots=True, eq=False)
class Element:
    """A data type of NumPy."""

    kind: str
    """NumPy's letter: b, i, u, f, c, S, U, V, O, M or m; `bf` for bfloat16; `?` for one that is not known."""
    size: int
    """Bytes."""
    big: bool = False
    fields: tuple[tuple[str, "Element", int], ...] = ()
    """Names, types and offsets of a structure's parts."""
    base: "Element | None" = None
    """What a type that is an array itself consists of."""
    shape: tuple[int, ...] = ()
    parts: int = 1
    """How many types it is made of, itself among them."""
    objects: bool = False
    """Whether it holds Python objects."""


@dataclass(slots=True, eq=False)
class Array:
    """An array of NumPy; `data` is None until its state is given."""

    element: Element | None = None
    shape: tuple[int, ...] = ()
    fortran: bool = False
    data: Reader | None = None
    objects: list[Value] | None = None
    """What an array of objects holds, in C order."""
    mask: "Array | None" = None
    """Which elements of a masked array count for nothing."""
    axes: tuple[int, ...] | None = None
    """The order of the dimensions of an array whose data lies in another: NumPy's `transpose` gives it."""


def strides_of(shape: tuple[int, ...], size: int, *, fortran: bool = False) -> tuple[int, ...]:
    """Bytes from one element to the next, by dimension, of elements of `size` bytes without gaps."""
    found = []
    for length in shape if fortran else reversed(shape):
        found.append(size)
        size *= max(length, 1)
    return tuple(found if fortran else reversed(found))
