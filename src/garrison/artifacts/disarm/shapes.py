"""Shapes and strides as a pickle claims them."""

import math

from garrison.artifacts.disarm.values import Value

DIMENSIONS = 64
"""As many as NumPy and PyTorch allow at most."""
LONGEST = 1 << 48
"""More elements or bytes than any file has."""


def shape_of(shape: Value) -> tuple[int, ...] | None:
    """A shape that can be one."""
    if type(shape) is int:
        shape = (shape,)
    if not isinstance(shape, tuple | list) or len(shape) > DIMENSIONS:
        return None
    if not all(type(length) is int and 0 <= length < LONGEST for length in shape):
        return None
    return tuple(shape) if math.prod(shape) < LONGEST else None


def steps_of(stride: Value) -> tuple[int, ...] | None:
    """Elements from one to the next by dimension, if that is what it is; never negative."""
    if not isinstance(stride, tuple | list) or not all(type(one) is int and 0 <= one < LONGEST for one in stride):
        return None
    return tuple(stride)
