"""Operators on each number by itself."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from onnx import TensorProto
from torch import Tensor
from torch.nn import functional

from garrison.robustness.models.onnx_graph.node import Node, Operator

TYPES: dict[int, torch.dtype] = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.DOUBLE: torch.float64,
    TensorProto.FLOAT16: torch.float16,
    TensorProto.BFLOAT16: torch.bfloat16,
    TensorProto.INT64: torch.int64,
    TensorProto.INT32: torch.int32,
    TensorProto.INT16: torch.int16,
    TensorProto.INT8: torch.int8,
    TensorProto.UINT8: torch.uint8,
    TensorProto.BOOL: torch.bool,
}


def _plain(function: Callable[..., Tensor]) -> Operator:
    """An operator that is a function of torch."""
    return lambda node, *inputs: function(*inputs)


def _of_several(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return lambda node, *inputs: functools.reduce(function, inputs)


def _divided(node: Node, above: Tensor, below: Tensor) -> Tensor:
    if above.is_floating_point():
        return above / below
    return torch.div(above, below, rounding_mode="trunc")


def _power(node: Node, base: Tensor, exponent: Tensor) -> Tensor:
    if exponent.numel() == 1:
        # A number, for which torch has the gradient where the base is 0.
        return torch.pow(base, exponent.item()).to(base.dtype)
    return torch.pow(base, exponent).to(base.dtype)


def _modulo(node: Node, above: Tensor, below: Tensor) -> Tensor:
    return torch.fmod(above, below) if node.get("fmod", 0) else torch.remainder(above, below)


def _mean(node: Node, *inputs: Tensor) -> Tensor:
    return functools.reduce(torch.add, inputs) / len(inputs)


def _gelu(node: Node, x: Tensor) -> Tensor:
    return functional.gelu(x, approximate=node.get("approximate", "none"))


def _slopes(node: Node, x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x < 0, slope * x, x)


def _clip(node: Node, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    least: Any = low if low is not None else node.get("min")
    most: Any = high if high is not None else node.get("max")
    if least is None and most is None:
        return x
    least = least.item() if isinstance(least, Tensor) else least
    most = most.item() if isinstance(most, Tensor) else most
    return x.clamp(least, most)


def _cast(node: Node, x: Tensor) -> Tensor:
    if node.get("to") not in TYPES:
        raise node.unsupported(f"to type {TensorProto.DataType.Name(node.get('to'))}")
    return x.to(TYPES[node.get("to")])


def _dropped(node: Node, x: Tensor, ratio: Tensor | None = None, training: Tensor | None = None) -> Tensor:
    if training is not None and bool(training):
        raise node.unsupported("in training mode")
    return x


ELEMENTWISE: dict[str, Operator] = {
    "Abs": _plain(torch.abs),
    "Add": _plain(torch.add),
    "And": _plain(torch.logical_and),
    "Atan": _plain(torch.atan),
    "Cast": _cast,
    "CastLike": lambda node, x, like: x.to(like.dtype),
    "Ceil": _plain(torch.ceil),
    "Celu": lambda node, x: functional.celu(x, node.get("alpha", 1.0)),
    "Clip": _clip,
    "Cos": _plain(torch.cos),
    "Div": _divided,
    "Dropout": _dropped,
    "Elu": lambda node, x: functional.elu(x, node.get("alpha", 1.0)),
    "Equal": _plain(torch.eq),
    "Erf": _plain(torch.erf),
    "Exp": _plain(torch.exp),
    "Floor": _plain(torch.floor),
    "Gelu": _gelu,
    "Greater": _plain(torch.gt),
    "GreaterOrEqual": _plain(torch.ge),
    "HardSigmoid": lambda node, x: (node.get("alpha", 0.2) * x + node.get("beta", 0.5)).clamp(0, 1),
    "HardSwish": lambda node, x: x * (x / 6 + 0.5).clamp(0, 1),
    "Identity": lambda node, x: x,
    "LeakyRelu": lambda node, x: functional.leaky_relu(x, node.get("alpha", 0.01)),
    "Less": _plain(torch.lt),
    "LessOrEqual": _plain(torch.le),
    "Log": _plain(torch.log),
    "Max": _of_several(torch.maximum),
    "Mean": _mean,
    "Min": _of_several(torch.minimum),
    "Mish": _plain(functional.mish),
    "Mod": _modulo,
    "Mul": _plain(torch.mul),
    "Neg": _plain(torch.neg),
    "Not": _plain(torch.logical_not),
    "Or": _plain(torch.logical_or),
    "PRelu": _slopes,
    "Pow": _power,
    "Reciprocal": _plain(torch.reciprocal),
    "Relu": _plain(torch.relu),
    "Round": _plain(torch.round),
    "Selu": lambda node, x: (
        node.get("gamma", 1.0507009873554805)
        * torch.where(x > 0, x, node.get("alpha", 1.6732632423543772) * torch.expm1(x.clamp(max=0)))
    ),
    "Sigmoid": _plain(torch.sigmoid),
    "Sign": _plain(torch.sign),
    "Sin": _plain(torch.sin),
    "Softplus": _plain(functional.softplus),
    "Softsign": _plain(functional.softsign),
    "Sqrt": _plain(torch.sqrt),
    "Sub": _plain(torch.sub),
    "Sum": _of_several(torch.add),
    "Swish": lambda node, x: x * torch.sigmoid(node.get("alpha", 1.0) * x),
    "Tanh": _plain(torch.tanh),
    "ThresholdedRelu": lambda node, x: torch.where(x > node.get("alpha", 1.0), x, torch.zeros_like(x)),
    "Where": _plain(torch.where),
}
