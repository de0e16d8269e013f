"""Operators on shapes and axes: what moves, joins, takes apart and sums up numbers."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from garrison.robustness.models.onnx_graph.node import Node, Operator


def _reshaped(node: Node, x: Tensor, shape: Tensor | None = None) -> Tensor:
    sizes = node.numbers("shape", shape) or []
    if not node.get("allowzero", 0):
        sizes = [x.shape[axis] if size == 0 else size for axis, size in enumerate(sizes)]
    return x.reshape(sizes)


def _flattened(node: Node, x: Tensor) -> Tensor:
    axis = node.get("axis", 1)
    axis = axis + x.dim() if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def _transposed(node: Node, x: Tensor) -> Tensor:
    return x.permute(node.get("perm") or list(range(x.dim()))[::-1])


def _padded(
    node: Node, x: Tensor, pads: Tensor | None = None, value: Tensor | None = None, axes: Tensor | None = None
) -> Tensor:
    amounts = node.numbers("pads", pads) or []
    chosen = [axis % x.dim() for axis in node.numbers("axes", axes) or range(x.dim())]
    before, after = [0] * x.dim(), [0] * x.dim()
    for place, axis in enumerate(chosen):
        before[axis], after[axis] = amounts[place], amounts[place + len(chosen)]
    backwards: list[int] = []
    for axis in reversed(range(x.dim())):
        backwards += [before[axis], after[axis]]
    mode = node.get("mode", "constant")
    if mode == "constant":
        filling = node.get("value", 0.0) if value is None else value.item()
        return functional.pad(x, backwards, value=filling)
    modes = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    if mode not in modes or x.dim() not in (3, 4) or any(backwards[2 * (x.dim() - 2) :]):
        raise node.unsupported(f"by {mode} over these axes")
    return functional.pad(x, backwards[: 2 * (x.dim() - 2)], mode=modes[mode])


def _reduced(function: Callable[[Tensor, list[int], bool], Tensor]) -> Operator:
    def reduced(node: Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
        chosen = node.numbers("axes", axes)
        if not chosen:
            if node.get("noop_with_empty_axes", 0):
                return x
            chosen = list(range(x.dim()))
        return function(x, chosen, bool(node.get("keepdims", 1)))

    return reduced


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted((axis % x.dim() for axis in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def _arg(function: Callable[..., Tensor]) -> Operator:
    def position(node: Node, x: Tensor) -> Tensor:
        if node.get("select_last_index", 0):
            raise node.unsupported("of the last position")
        return function(x, node.get("axis", 0), keepdim=bool(node.get("keepdims", 1)))

    return position


def _shape(node: Node, x: Tensor) -> Tensor:
    return torch.tensor(x.shape[node.get("start", 0) : node.get("end")], dtype=torch.int64)


def _gathered(node: Node, x: Tensor, positions: Tensor) -> Tensor:
    axis = node.get("axis", 0) % x.dim()
    found = torch.where(positions < 0, positions + x.shape[axis], positions).long().to(x.device)
    taken = x.index_select(axis, found.reshape(-1))
    return taken.reshape([*x.shape[:axis], *positions.shape, *x.shape[axis + 1 :]])


def _gathered_elements(node: Node, x: Tensor, positions: Tensor) -> Tensor:
    axis = node.get("axis", 0)
    return x.gather(axis, torch.where(positions < 0, positions + x.shape[axis], positions).long().to(x.device))


def _sliced(
    node: Node,
    x: Tensor,
    starts: Tensor | None = None,
    ends: Tensor | None = None,
    axes: Tensor | None = None,
    steps: Tensor | None = None,
) -> Tensor:
    begin, stop = node.numbers("starts", starts) or [], node.numbers("ends", ends) or []
    over = node.numbers("axes", axes) or list(range(len(begin)))
    apart = node.numbers("steps", steps) or [1] * len(begin)
    for axis, first, last, step in zip(over, begin, stop, apart, strict=True):
        chosen = range(x.shape[axis])[slice(first, None if step < 0 and last < -x.shape[axis] else last, step)]
        if step > 0:
            x = x[(slice(None),) * (axis % x.dim()) + (slice(chosen.start, chosen.stop, step),)]
        else:
            x = x.index_select(axis, torch.tensor(list(chosen), dtype=torch.int64, device=x.device))
    return x


def _unsqueezed(node: Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
    chosen = node.numbers("axes", axes) or []
    rank = x.dim() + len(chosen)
    for axis in sorted(axis % rank for axis in chosen):
        x = x.unsqueeze(axis)
    return x


def _squeezed(node: Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
    chosen = node.numbers("axes", axes)
    return x.squeeze() if chosen is None else x.squeeze(tuple(chosen))


def _constant(node: Node) -> Tensor:
    for name, value in node.attributes.items():
        if isinstance(value, Tensor):
            return value
        if name in ("value_float", "value_floats"):
            return torch.tensor(value, dtype=torch.float32)
        if name in ("value_int", "value_ints"):
            return torch.tensor(value, dtype=torch.int64)
    raise node.unsupported("of this kind")


def _filled(node: Node, shape: Tensor) -> Tensor:
    value: Tensor = node.get("value", torch.zeros(1))
    return value.reshape(()).expand(shape.tolist()).clone()


def _expanded(node: Node, x: Tensor, shape: Tensor) -> Tensor:
    return x * torch.ones(shape.tolist(), dtype=x.dtype, device=x.device)


def _split(node: Node, x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
    axis = node.get("axis", 0)
    each: Any = node.numbers("split", sizes)
    if each is None:
        each = math.ceil(x.shape[axis] / len(node.outputs))
    return tuple(torch.split(x, each, axis))


def _top(node: Node, x: Tensor, count: Tensor) -> tuple[Tensor, ...]:
    found = torch.topk(x, int(count), node.get("axis", -1), bool(node.get("largest", 1)), bool(node.get("sorted", 1)))
    return found.values, found.indices


def _range(node: Node, start: Tensor, end: Tensor, step: Tensor) -> Tensor:
    return torch.arange(start.item(), end.item(), step.item(), dtype=start.dtype)


def _depth_to_space(node: Node, x: Tensor) -> Tensor:
    size = node.get("blocksize")
    if node.get("mode", "DCR") == "CRD":
        return functional.pixel_shuffle(x, size)
    n, c, h, w = x.shape
    apart = x.reshape(n, size, size, c // size**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return apart.reshape(n, c // size**2, h * size, w * size)


SHAPES: dict[str, Operator] = {
    "ArgMax": _arg(torch.argmax),
    "ArgMin": _arg(torch.argmin),
    "Concat": lambda node, *inputs: torch.cat(inputs, node.get("axis")),
    "Constant": _constant,
    "ConstantOfShape": _filled,
    "DepthToSpace": _depth_to_space,
    "Expand": _expanded,
    "Flatten": _flattened,
    "Gather": _gathered,
    "GatherElements": _gathered_elements,
    "Pad": _padded,
    "Range": _range,
    "ReduceL1": _reduced(lambda x, axes, keep: x.abs().sum(axes, keep)),
    "ReduceL2": _reduced(lambda x, axes, keep: torch.linalg.vector_norm(x, 2, axes, keep)),
    "ReduceLogSum": _reduced(lambda x, axes, keep: x.sum(axes, keep).log()),
    "ReduceLogSumExp": _reduced(lambda x, axes, keep: x.logsumexp(axes, keep)),
    "ReduceMax": _reduced(lambda x, axes, keep: x.amax(axes, keep)),
    "ReduceMean": _reduced(lambda x, axes, keep: x.mean(axes, keep)),
    "ReduceMin": _reduced(lambda x, axes, keep: x.amin(axes, keep)),
    "ReduceProd": _reduced(_product),
    "ReduceSum": _reduced(lambda x, axes, keep: x.sum(axes, keep)),
    "ReduceSumSquare": _reduced(lambda x, axes, keep: (x**2).sum(axes, keep)),
    "Reshape": _reshaped,
    "Shape": _shape,
    "Size": lambda node, x: torch.tensor(x.numel()),
    "Slice": _sliced,
    "Split": _split,
    "Squeeze": _squeezed,
    "Tile": lambda node, x, times: x.tile(times.tolist()),
    "TopK": _top,
    "Transpose": _transposed,
    "Unsqueeze": _unsqueezed,
}
