"""Copies a tensor's elements in C order and little-endian, a piece at a time, however they lie in their storage."""

import math
from array import array
from collections.abc import Callable, Iterator
from typing import Literal

from garrison.artifacts.disarm import elements
from garrison.artifacts.disarm.values import Tensor
from garrison.core.errors import Malformed
from garrison.sources.reader import Reader

_PIECE = 1 << 20
_BLOCK = 8 << 20
"""Bytes that are gathered at once, and of the storage that are held for it."""
_CODES: dict[int, Literal["B", "H", "I", "Q"]] = {1: "B", 2: "H", 4: "I", 8: "Q"}

_Dimension = tuple[int, int]
"""A length, and the distance from one to the next."""


def copied(tensor: Tensor, check_time: Callable[[], None]) -> Iterator[bytes]:
    """The elements, as safetensors has them. Raises `Malformed` where the storage ends too early."""
    assert tensor.storage.reader is not None
    width = elements.SIZES[tensor.dtype]
    dimensions = _joined(tensor.shape, tensor.strides, width)
    if 0 in tensor.shape:
        return
    if dimensions in ([], [(math.prod(tensor.shape), width)]):
        pieces = _straight(tensor.storage.reader, tensor.offset, math.prod(tensor.shape) * width)
    else:
        pieces = _gathered(tensor.storage.reader, tensor.offset, dimensions, width, check_time)
    unit = elements.SWAPPED.get(tensor.dtype, 1)
    for piece in pieces:
        check_time()
        yield _turned(piece, unit) if tensor.storage.swapped and unit > 1 else piece


def _joined(shape: tuple[int, ...], strides: tuple[int, ...], width: int) -> list[_Dimension]:
    """The dimensions, those that lie without a gap in the next one as one with it."""
    found: list[_Dimension] = []
    for length, stride in zip(shape, strides, strict=True):
        if length == 1:
            continue
        if found and found[-1][1] == length * stride:
            found[-1] = found[-1][0] * length, stride
        else:
            found.append((length, stride))
    return found


def _straight(reader: Reader, start: int, size: int) -> Iterator[bytes]:
    while size:
        data = reader.exactly(start, min(size, _PIECE))
        yield data
        start += len(data)
        size -= len(data)


def _turned(data: bytes, unit: int) -> bytes:
    numbers = array(_CODES[unit], data)
    numbers.byteswap()
    return numbers.tobytes()


def _gathered(
    reader: Reader, start: int, dimensions: list[_Dimension], width: int, check_time: Callable[[], None]
) -> Iterator[bytes]:
    """Blocks of the first dimensions, one after another."""
    if start % width or any(stride % width for _, stride in dimensions):
        dimensions, width = [*dimensions, (width, 1)], 1
    size = width * math.prod(length for length, _ in dimensions)
    length, stride = dimensions[0]
    if size <= _BLOCK:
        yield _block(reader, start, dimensions, width, check_time)
    elif len(dimensions) > 1 and size // length > _BLOCK:
        for index in range(length):
            yield from _gathered(reader, start + index * stride, dimensions[1:], width, check_time)
    else:
        step = max(_BLOCK // (size // length), 1)
        for index in range(0, length, step):
            part = [(min(step, length - index), stride), *dimensions[1:]]
            yield _block(reader, start + index * stride, part, width, check_time)


def _block(
    reader: Reader, start: int, dimensions: list[_Dimension], width: int, check_time: Callable[[], None]
) -> bytes:
    out = bytearray(width * math.prod(length for length, _ in dimensions))
    steps = []
    step = width
    for length, _ in reversed(dimensions):
        steps.append(step)
        step *= length
    axes = [(length, stride, step) for (length, stride), step in zip(dimensions, reversed(steps), strict=True)]
    _fill(memoryview(out).cast(_CODES[width]), 0, reader, start, axes, width, check_time)
    return bytes(out)


def _fill(
    out: "memoryview[int]",
    at: int,
    reader: Reader,
    start: int,
    axes: list[tuple[int, int, int]],
    width: int,
    check_time: Callable[[], None],
) -> None:
    """Set the part of `out` from byte `at` that `axes` (length, distance in the storage, distance in `out`) span."""
    extent = sum((length - 1) * stride for length, stride, _ in axes) + width
    if extent > _BLOCK:
        widest = max(range(len(axes)), key=lambda axis: (axes[axis][0] - 1) * axes[axis][1])
        length, stride, step = axes[widest]
        half = length // 2
        for first, count in ((0, half), (half, length - half)):
            part = [*axes[:widest], (count, stride, step), *axes[widest + 1 :]]
            _fill(out, at + first * step, reader, start + first * stride, part, width, check_time)
        return
    check_time()
    data = reader.pread(start, extent)
    if len(data) < extent:
        raise Malformed(f"a tensor ends {extent - len(data):,} bytes too early")
    source = memoryview(data).cast(_CODES[width])
    inner = max(range(len(axes)), key=lambda axis: axes[axis][0])
    length, stride, step = (part // width if index else part for index, part in enumerate(axes[inner]))
    others = [axis for index, axis in enumerate(axes) if index != inner]
    for count, (origin, target) in enumerate(_offsets(others)):
        if not count & 0xFFFF:
            check_time()
        origin //= width
        target = (at + target) // width
        last = target + (length - 1) * step + 1
        if stride:
            out[target:last:step] = source[origin : origin + (length - 1) * stride + 1 : stride]
        else:
            repeated = array(_CODES[width], [source[origin]]) * length
            out[target:last:step] = memoryview(repeated)


def _offsets(axes: list[tuple[int, int, int]]) -> Iterator[tuple[int, int]]:
    """Distances from the first element, in the storage and in the block, of all places that the axes reach."""
    if not axes:
        yield 0, 0
        return
    length, stride, step = axes[0]
    for origin, target in _offsets(axes[1:]):
        for index in range(length):
            yield origin + index * stride, target + index * step
