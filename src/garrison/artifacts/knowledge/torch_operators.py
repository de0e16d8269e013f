"""What operators of PyTorch do beyond arithmetic, and whose they are.

The operators are those of `torch._C._jit_get_all_schemas()` and of the libraries of the PyTorch project that touch
files, the network or Python; every other operator of a known namespace computes.
"""

import functools
import os
from typing import Literal

import msgspec


class TorchOperator(msgspec.Struct, frozen=True):
    effect: Literal["read", "write", "network", "python"]
    does: str
    file: tuple[str, str] = ("", "")
    """Position and name of the argument that says which file."""
    writes_if: tuple[str, str] = ("", "")
    """Position and name of the argument that makes it write."""


class _Knowledge(msgspec.Struct, frozen=True):
    operators: dict[str, TorchOperator]
    namespaces: dict[str, str]
    exported_functions: str
    backends: dict[str, str]


@functools.cache
def _knowledge() -> _Knowledge:
    with open(os.path.join(os.path.dirname(__file__), "torch_operators.json"), "rb") as file:
        return msgspec.json.decode(file.read(), type=_Knowledge)


def torch_operators() -> dict[str, TorchOperator]:
    """By `namespace::name`, and classes by `torch.classes.namespace.Name`."""
    return _knowledge().operators


def torch_namespaces() -> dict[str, str]:
    """Namespaces of operators and classes of known makers, with who they are."""
    return _knowledge().namespaces


def executorch_backends() -> dict[str, str]:
    """Delegates that ExecuTorch ships, with whose engine they are."""
    return _knowledge().backends


def is_exported_function(name: str) -> bool:
    """Whether a function that is no operator is one that exported programs call."""
    patterns = _knowledge().exported_functions.split()
    return any(name == pattern or (pattern[-1] == "*" and name.startswith(pattern[:-1])) for pattern in patterns)


def matters(name: str) -> bool:
    """Whether an operator or class touches the outside or is of unknown origin."""
    if name in torch_operators():
        return True
    namespace = name.split(".")[2] if name.startswith("torch.classes.") else name.partition("::")[0]
    return namespace not in torch_namespaces()
