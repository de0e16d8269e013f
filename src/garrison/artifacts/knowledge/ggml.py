"""Tensor types and file types of GGML: how many bytes so many elements take, and what they are called."""

import functools
import os

import msgspec


class TensorType(msgspec.Struct, frozen=True):
    """Elements are stored in blocks of `elements`, each of `bytes`."""

    name: str
    elements: int
    bytes: int


class _Knowledge(msgspec.Struct, frozen=True):
    tensor_types: dict[str, TensorType]
    file_types: dict[str, str]


@functools.cache
def _knowledge() -> _Knowledge:
    with open(os.path.join(os.path.dirname(__file__), "ggml.json"), "rb") as file:
        return msgspec.json.decode(file.read(), type=_Knowledge)


def tensor_type(number: int) -> TensorType | None:
    return _knowledge().tensor_types.get(str(number))


def file_type(number: object) -> str:
    """The name of a quantisation, or its number where no release of llama.cpp names it."""
    return _knowledge().file_types.get(str(number), str(number))
