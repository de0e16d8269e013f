"""One node of a graph as operators see it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor


class Unsupported(Exception):
    """The interpreter does not know an operator, or not in this form; the text names it."""


@dataclass(frozen=True, eq=False)
class Node:
    operator: str
    attributes: dict[str, Any]
    """Numbers, texts (str), lists of numbers, and tensors of torch."""
    inputs: tuple[str, ...]
    """Names; empty for those that are left out."""
    outputs: tuple[str, ...]
    opset: int

    def get(self, name: str, default: Any = None) -> Any:
        return self.attributes.get(name, default)

    def numbers(self, name: str, given: Tensor | None = None) -> list[int] | None:
        """Whole numbers that later versions of an operator take as an input and earlier ones as an attribute."""
        if given is not None:
            return [int(value) for value in given.reshape(-1).tolist()]
        found: Sequence[int] | None = self.get(name)
        return None if found is None else [int(value) for value in found]

    def unsupported(self, what: str) -> Unsupported:
        return Unsupported(f"{self.operator} {what}")


Operator = Callable[..., Tensor | tuple[Tensor, ...]]
"""From a node and its inputs (`None` for those that are left out) to its outputs."""
