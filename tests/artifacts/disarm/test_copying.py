"""Elements are copied as PyTorch would put them in order, however they lie."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from garrison.artifacts.disarm import copying
from garrison.artifacts.disarm.copying import copied
from garrison.artifacts.disarm.values import Storage, Tensor
from garrison.sources.reader import BytesReader

TYPES = {"U8": torch.uint8, "I16": torch.int16, "F32": torch.float32, "C64": torch.complex64, "I64": torch.int64}


@st.composite
def views(draw: st.DrawFn) -> tuple[str, tuple[int, ...], tuple[int, ...], int]:
    """A type, a shape, strides and an offset, in elements."""
    shape = tuple(draw(st.lists(st.integers(0, 7), max_size=4)))
    strides = tuple(draw(st.integers(0, 20)) for _ in shape)
    return draw(st.sampled_from(sorted(TYPES))), shape, strides, draw(st.integers(0, 5))


@given(views(), st.integers(0, 2), st.booleans())
def test_any_view_comes_out_in_order(
    view: tuple[str, tuple[int, ...], tuple[int, ...], int], size: int, swapped: bool
) -> None:
    name, shape, strides, offset = view
    dtype = TYPES[name]
    extent = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True) if length) + 1
    numbers = torch.arange(extent, dtype=torch.float32).to(dtype)
    expected = torch.empty(shape, dtype=dtype).copy_(numbers.as_strided(shape, strides, offset))
    width = numbers.element_size()
    unit = 4 if name == "C64" else width
    raw = numbers.view(torch.uint8).numpy().tobytes()
    if swapped:
        raw = b"".join(raw[at : at + unit][::-1] for at in range(0, len(raw), unit))
    storage = Storage(name, "", len(raw), BytesReader(raw), swapped)
    tensor = Tensor(name, shape, tuple(stride * width for stride in strides), storage, offset * width)
    with pytest.MonkeyPatch.context() as patch:
        # Small blocks, so that views are cut in every way.
        patch.setattr(copying, "_BLOCK", (16, 64, 8 << 20)[size])
        found = b"".join(copied(tensor, lambda: None))
    assert found == (expected.flatten().view(torch.uint8).numpy().tobytes() if expected.numel() else b"")


@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 3))
def test_numbers_at_odd_places_come_out_too(rows: int, columns: int, offset: int) -> None:
    """Parts of packed structures stand at no multiple of their size."""
    step = 7
    raw = bytes((number * 37) % 256 for number in range(offset + rows * columns * step + 4))
    storage = Storage("I32", "", len(raw), BytesReader(raw))
    tensor = Tensor("I32", (columns, rows), (step, columns * step), storage, offset)
    places = [offset + step * (row * columns + column) for column in range(columns) for row in range(rows)]
    assert b"".join(copied(tensor, lambda: None)) == b"".join(raw[at : at + 4] for at in places)
    assert math.prod(tensor.shape) == len(places)
