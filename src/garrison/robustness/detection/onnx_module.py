"""A module around an ONNX model, whose layers are the tensors of its graph."""

import functools

import onnx
import torch
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.robustness.models.onnx_graph.graph import Graph
from garrison.robustness.models.onnx_graph.node import Unsupported

_PRODUCTS = ("Gemm", "MatMul", "Conv")


class OnnxModule(nn.Module):
    """(n, *shape) -> the model's first output of numbers, with gradients."""

    def __init__(self, model: onnx.ModelProto, device: torch.device) -> None:
        """Raises `UsageError` for a model of several inputs, or with operators that the interpreter does not know."""
        super().__init__()
        constants = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
        sources = [value.name for value in model.graph.input if value.name not in constants]
        outputs = [value.name for value in model.graph.output if value.type.tensor_type.elem_type == 1]
        if len(sources) != 1 or not outputs:
            raise UsageError("the ONNX model is no function of one input to numbers in float32")
        self._model, self._source, self._device = model, sources[0], device
        self.given: dict[str, str] = {}
        """For each tensor that a node makes, in order, which one that node is given first."""
        self.weighted: list[str] = []
        """Those that are a product with weights, bias included, in order."""
        for node in model.graph.node:
            first = node.input[0] if node.input else ""
            self.given[node.output[0]] = first
            if node.op_type in _PRODUCTS and any(constants.get(name, 0) > 1 for name in node.input):
                self.weighted.append(node.output[0])
            elif node.op_type == "Add" and self._is_bias(node, constants):
                self.given[node.output[0]] = self.given[self.weighted.pop()]
                self.weighted.append(node.output[0])
        self._part = functools.cache(self._graph)
        self._part(outputs[0])
        self._output = outputs[0]

    def _is_bias(self, node: onnx.NodeProto, constants: dict[str, int]) -> bool:
        """Whether it adds a constant to the last product."""
        return any(name in self.weighted[-1:] for name in node.input) and any(name in constants for name in node.input)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.tensor(self._output, inputs)

    def tensor(self, name: str, inputs: Tensor) -> Tensor:
        """A tensor of the graph, by its name."""
        return inputs if name == self._source else self._part(name)(inputs)

    def _graph(self, name: str) -> Graph:
        try:
            return Graph(self._model, self._source, name, self._device)
        except Unsupported as unknown:
            raise UsageError(f"the operator {unknown} of the ONNX model is not known here") from None
