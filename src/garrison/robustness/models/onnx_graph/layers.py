"""Layers of networks: linear maps, windows that slide, normalisation."""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from garrison.robustness.models.onnx_graph.node import Node, Operator


def _pads(node: Node, x: Tensor, window: Sequence[int], strides: Sequence[int]) -> list[int]:
    """What is added before all axes of space, then after them. `window`: how far the kernel reaches."""
    space = x.dim() - 2
    mode = node.get("auto_pad", "NOTSET")
    if mode == "NOTSET":
        return [int(pad) for pad in node.get("pads", [0] * 2 * space)]
    if mode == "VALID":
        return [0] * 2 * space
    before, after = [], []
    for size, reach, stride in zip(x.shape[2:], window, strides, strict=True):
        whole = max(0, (math.ceil(size / stride) - 1) * stride + reach - size)
        small, large = whole // 2, whole - whole // 2
        before.append(small if mode == "SAME_UPPER" else large)
        after.append(large if mode == "SAME_UPPER" else small)
    return before + after


def _padded(x: Tensor, pads: Sequence[int], value: float) -> Tensor:
    """`pads` as ONNX has them, over the last axes."""
    if not any(pads):
        return x
    space = len(pads) // 2
    backwards = reversed(list(zip(pads[:space], pads[space:], strict=True)))
    return functional.pad(x, list(itertools.chain.from_iterable(backwards)), value=value)


def _windows(node: Node, x: Tensor, kernel: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
    """Strides, dilations and pads."""
    space = x.dim() - 2
    if space not in (1, 2, 3):
        raise node.unsupported(f"over {space} axes")
    strides, dilations = node.get("strides", [1] * space), node.get("dilations", [1] * space)
    window = [(size - 1) * apart + 1 for size, apart in zip(kernel, dilations, strict=True)]
    return list(strides), list(dilations), _pads(node, x, window, strides)


def _convolution(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    strides, dilations, pads = _windows(node, x, weight.shape[2:])
    convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[x.dim() - 3]
    space = len(strides)
    groups = node.get("group", 1)
    if pads[:space] == pads[space:]:
        return convolve(x, weight, bias, strides, pads[:space], dilations, groups)
    return convolve(_padded(x, pads, 0.0), weight, bias, strides, 0, dilations, groups)


def _transposed_convolution(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    strides, dilations, pads = _windows(node, x, weight.shape[2:])
    space = len(strides)
    if node.get("output_shape") or node.get("auto_pad", "NOTSET") != "NOTSET" or pads[:space] != pads[space:]:
        raise node.unsupported("with these pads")
    convolve = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)[x.dim() - 3]
    more = node.get("output_padding", [0] * space)
    return convolve(x, weight, bias, strides, pads[:space], more, node.get("group", 1), dilations)


def _highest(node: Node, x: Tensor) -> Tensor:
    if len(node.outputs) > 1 and node.outputs[1]:
        raise node.unsupported("with positions")
    kernel = node.get("kernel_shape")
    strides, dilations, pads = _windows(node, x, kernel)
    pool = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)[x.dim() - 3]
    space = len(strides)
    symmetric = pads[:space] == pads[space:] and all(2 * p <= k for p, k in zip(pads, kernel, strict=False))
    if symmetric:
        return pool(x, kernel, strides, pads[:space], dilations, bool(node.get("ceil_mode", 0)))
    return pool(_padded(x, pads, -math.inf), kernel, strides, 0, dilations, bool(node.get("ceil_mode", 0)))


def _averages(node: Node, x: Tensor) -> Tensor:
    kernel = node.get("kernel_shape")
    strides, dilations, pads = _windows(node, x, kernel)
    if set(dilations) != {1}:
        raise node.unsupported("with dilations")
    pool = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)[x.dim() - 3]
    ceiling, all_count = bool(node.get("ceil_mode", 0)), bool(node.get("count_include_pad", 0))
    space = len(strides)
    if pads[:space] == pads[space:] and all(2 * p <= k for p, k in zip(pads, kernel, strict=False)):
        return pool(x, kernel, strides, pads[:space], ceiling, all_count)
    answer = pool(_padded(x, pads, 0.0), kernel, strides, 0, ceiling)
    if all_count:
        return answer
    return answer / pool(_padded(torch.ones_like(x), pads, 0.0), kernel, strides, 0, ceiling)


def _space(x: Tensor) -> list[int]:
    return list(range(2, x.dim()))


def _general_product(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    a = a.T if node.get("transA", 0) else a
    b = b.T if node.get("transB", 0) else b
    product: Tensor = node.get("alpha", 1.0) * (a @ b)
    return product if c is None else product + node.get("beta", 1.0) * c


def _shaped(values: Tensor, x: Tensor) -> Tensor:
    """Values (channels,) to broadcast over (n, channels, ...)."""
    return values.reshape(1, -1, *(1 for _ in range(x.dim() - 2)))


def _batch_normalised(node: Node, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    if node.get("training_mode", 0):
        raise node.unsupported("in training mode")
    return functional.batch_norm(x, mean, variance, scale, bias, eps=node.get("epsilon", 1e-5))


def _instance_normalised(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return functional.instance_norm(x, weight=scale, bias=bias, eps=node.get("epsilon", 1e-5))


def _group_normalised(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    groups = node.get("num_groups")
    if len(scale) != x.shape[1]:  # before opset 21 there is one number a group
        each = x.shape[1] // groups
        scale, bias = scale.repeat_interleave(each), bias.repeat_interleave(each)
    return functional.group_norm(x, groups, scale, bias, node.get("epsilon", 1e-5))


def _layer_normalised(node: Node, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    if len([name for name in node.outputs if name]) > 1:
        raise node.unsupported("with its mean")
    axes = list(range(node.get("axis", -1) % x.dim(), x.dim()))
    mean = x.mean(axes, keepdim=True)
    variance = ((x - mean) ** 2).mean(axes, keepdim=True)
    normal = (x - mean) / torch.sqrt(variance + node.get("epsilon", 1e-5)) * scale
    return normal if bias is None else normal + bias


def _locally_normalised(node: Node, x: Tensor) -> Tensor:
    size = node.get("size")
    return functional.local_response_norm(
        x, size, node.get("alpha", 1e-4), node.get("beta", 0.75), node.get("bias", 1.0)
    )


def _softmax(node: Node, x: Tensor) -> Tensor:
    if node.opset >= 13:
        return x.softmax(node.get("axis", -1))
    return _rows(node, x).softmax(1).reshape(x.shape)


def _log_softmax(node: Node, x: Tensor) -> Tensor:
    if node.opset >= 13:
        return x.log_softmax(node.get("axis", -1))
    return _rows(node, x).log_softmax(1).reshape(x.shape)


def _rows(node: Node, x: Tensor) -> Tensor:
    """As softmax before opset 13 sees its input: all from an axis on is one row."""
    axis = node.get("axis", 1) % x.dim()
    return x.reshape(math.prod(x.shape[:axis]), -1)


def _resized(
    node: Node, x: Tensor, roi: Tensor | None = None, scales: Tensor | None = None, sizes: Tensor | None = None
) -> Tensor:
    if node.opset < 11:  # roi came with opset 11
        roi, scales = None, roi
    if node.get("axes") or node.get("keep_aspect_ratio_policy", "stretch") != "stretch" or node.get("antialias", 0):
        raise node.unsupported("with these settings")
    factors = [float(f) for f in node.get("scales", [])] or (
        scales.tolist() if scales is not None and scales.numel() else []
    )
    wanted = [int(size) for size in sizes.tolist()] if sizes is not None and sizes.numel() else []
    if (factors[:2] or [1.0, 1.0]) != [1.0, 1.0] or (wanted and wanted[:2] != list(x.shape[:2])):
        raise node.unsupported("over channels")
    size = wanted[2:] or [math.floor(length * f) for length, f in zip(x.shape[2:], factors[2:], strict=True)]
    mode, place = node.get("mode", "nearest"), node.get("coordinate_transformation_mode", "half_pixel")
    if node.opset < 11:
        place = "asymmetric"
    whole = all(new % old == 0 for new, old in zip(size, x.shape[2:], strict=True))
    if mode == "nearest" and (place == "asymmetric" or whole):
        return functional.interpolate(x, size, mode="nearest")
    if mode == "linear" and x.dim() == 4 and place in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        return functional.interpolate(x, size, mode="bilinear", align_corners=place == "align_corners")
    raise node.unsupported(f"by {mode} with {place}")


LAYERS: dict[str, Operator] = {
    "AveragePool": _averages,
    "BatchNormalization": _batch_normalised,
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    "Einsum": lambda node, *inputs: torch.einsum(node.get("equation"), *inputs),
    "Gemm": _general_product,
    "GlobalAveragePool": lambda node, x: x.mean(_space(x), keepdim=True),
    "GlobalMaxPool": lambda node, x: x.amax(_space(x), keepdim=True),
    "GroupNormalization": _group_normalised,
    "InstanceNormalization": _instance_normalised,
    "LRN": _locally_normalised,
    "LayerNormalization": _layer_normalised,
    "LogSoftmax": _log_softmax,
    "MatMul": lambda node, a, b: torch.matmul(a, b),
    "MaxPool": _highest,
    "Resize": _resized,
    "Softmax": _softmax,
    "Upsample": _resized,
}
