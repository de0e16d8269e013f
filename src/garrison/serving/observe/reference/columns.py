"""Rows of named tensors as one matrix: which number is which feature."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from garrison.serving.tensors.tensor import Tensor

MOST_COLUMNS = 1 << 16
MOST_LEVELS = 32
"""Different values up to which a column of texts or of whole numbers is taken for a category."""
OTHER = -1.0
"""The code of a level that the reference does not have."""


class Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One feature."""

    name: str
    kind: Literal["number", "category", "length"]
    """`length` is that of a text, as log(1 + bytes)."""
    levels: Annotated[tuple[str, ...], msgspec.Meta(max_length=MOST_LEVELS)] = ()
    """Of a category, in the order of their codes."""


class Block(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The columns of one tensor, which has so many elements a row."""

    tensor: str
    text: bool
    columns: Annotated[tuple[Column, ...], msgspec.Meta(min_length=1, max_length=MOST_COLUMNS)]


class Layout:
    """Makes matrices of tensors."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._blocks = [(block, _coded(block)) for block in blocks]
        self.columns = tuple(column for block in blocks for column in block.columns)

    def matrix(self, tensors: Sequence[Tensor], most: int = 1 << 62) -> tuple[NDArray[np.float32], int] | None:
        """Rows (n, columns), float32, and how many the tensors have: of more than `most`, those are that `evenly` says.

        `None` where the tensors are not those of the layout.
        """
        parts: list[NDArray[np.float32]] = []
        count = 0
        for block, coded in self._blocks:
            tensor = next((one for one in tensors if one.name == block.tensor), None)
            if tensor is None and len(self._blocks) == 1 and len(tensors) == 1:
                tensor = tensors[0]
            given = None if tensor is None else _shaped(tensor, block)
            if given is None or (parts and len(given) != count):
                return None
            count = len(given)
            kept = evenly(count, most)
            parts.append(_rows(given if kept is None else given[kept], block, coded))
        return (parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)), count


def evenly(rows: int, most: int) -> NDArray[np.intp] | None:
    """The places of `most` rows that are spread evenly over more; `None` for all of no more."""
    return None if rows <= most else np.linspace(0, rows - 1, most).astype(np.intp)


def _coded(block: Block) -> list[tuple[int, dict[Any, float]]]:
    """The places of categories, with the code of each level."""
    read = (lambda text: text.encode()) if block.text else float
    return [
        (place, {read(level): float(code) for code, level in enumerate(column.levels)})
        for place, column in enumerate(block.columns)
        if column.kind == "category"
    ]


def _shaped(tensor: Tensor, block: Block) -> NDArray[Any] | None:
    """Its elements (n, columns), if that is what they are."""
    width, data = len(block.columns), tensor.data
    if block.text != (data.dtype == object) or (not block.text and data.dtype.kind not in "fiub"):
        return None
    count = data.shape[0] if data.ndim else 1
    if count * width != data.size:
        # A single row may come without the axis of rows.
        if data.size != width:
            return None
        count = 1
    return data.reshape(count, width)


def _rows(given: NDArray[Any], block: Block, coded: list[tuple[int, dict[Any, float]]]) -> NDArray[np.float32]:
    if block.text:
        rows = np.empty(given.shape, dtype=np.float32)
        categories = dict(coded)
        for place in range(given.shape[1]):
            codes = categories.get(place)
            for row, text in enumerate(given[:, place]):
                rows[row, place] = np.log1p(len(text)) if codes is None else codes.get(text, OTHER)
        return rows
    if given.dtype == np.float32 and not coded:
        return given
    with np.errstate(over="ignore", invalid="ignore"):
        rows = given.astype(np.float32)
    for place, codes in coded:
        rows[:, place] = [codes.get(value, OTHER) for value in rows[:, place].tolist()]
    return rows


def blocks_of(tensors: Sequence[Tensor], categories: frozenset[str] = frozenset()) -> tuple[Block, ...]:
    """The layout of reference tensors. A text with few different values is a category; a number is one if the tensor,
    or its column as `tensor[place]`, is named in `categories`."""
    return tuple(_block(tensor, categories) for tensor in tensors)


def _block(tensor: Tensor, categories: frozenset[str]) -> Block:
    from garrison.core.errors import UsageError

    data = tensor.data.reshape(len(tensor.data), -1) if tensor.data.ndim else tensor.data.reshape(1, 1)
    text = data.dtype == object
    if not text and data.dtype.kind not in "fiub":
        raise UsageError(f"{tensor.name}: of type {data.dtype}, where a reference takes numbers and texts")
    if data.shape[1] > MOST_COLUMNS or not data.size:
        raise UsageError(f"{tensor.name}: {data.shape[1]:,} features, where a reference takes 1 to {MOST_COLUMNS:,}")
    columns = []
    for place in range(data.shape[1]):
        name = tensor.name if data.shape[1] == 1 else f"{tensor.name}[{place}]"
        if text:
            levels = sorted(set(data[:, place]))
            if len(levels) <= MOST_LEVELS:
                words = tuple(level.decode(errors="replace") for level in levels)
                columns.append(Column(name=name, kind="category", levels=words))
            else:
                columns.append(Column(name=name, kind="length"))
        elif name in categories or tensor.name in categories:
            values, counts = np.unique(data[:, place][~np.isnan(data[:, place].astype(float))], return_counts=True)
            kept = np.sort(values[np.argsort(-counts)][:MOST_LEVELS])
            columns.append(Column(name=name, kind="category", levels=tuple(repr(float(one)) for one in kept)))
        else:
            columns.append(Column(name=name, kind="number"))
    return Block(tensor=tensor.name, text=bool(text), columns=tuple(columns))
