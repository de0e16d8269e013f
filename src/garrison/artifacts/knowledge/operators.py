"""What graph operators do beyond arithmetic, and which of their arguments say with what."""

import functools
import os

import msgspec


class OperatorEntry(msgspec.Struct, frozen=True):
    effect: str
    """`read`, `write`, `network`, `python`, `debug`."""
    does: str
    inputs: dict[str, str] = {}
    """Places of the inputs that matter, with their names."""
    attributes: tuple[str, ...] = ()
    ordinary: bool = False
    """Whether honest models have it with an argument that is given from outside."""


class _Knowledge(msgspec.Struct, frozen=True):
    tensorflow: dict[str, OperatorEntry]
    onnx_domains: dict[str, str]
    onnx_operators: dict[str, str]


@functools.cache
def _knowledge() -> _Knowledge:
    with open(os.path.join(os.path.dirname(__file__), "operators.json"), "rb") as file:
        return msgspec.json.decode(file.read(), type=_Knowledge)


def tensorflow_operators() -> dict[str, OperatorEntry]:
    return _knowledge().tensorflow


def onnx_domains() -> dict[str, str]:
    """Operator domains of known makers, with who they are."""
    return _knowledge().onnx_domains


@functools.cache
def onnx_operators() -> frozenset[str]:
    """Operators of ONNX's own domain, of all versions."""
    return frozenset(name for names in _knowledge().onnx_operators.values() for name in names.split())
