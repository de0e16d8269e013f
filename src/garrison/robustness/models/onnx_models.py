"""ONNX models: by an interpreter with gradients where it agrees with onnxruntime, else by onnxruntime."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto
from torch import Tensor

from garrison.core.errors import UsageError, first_line
from garrison.robustness.classifier import Classifier, Outputs
from garrison.robustness.models.built import Built, Forward, Wanted, classifier
from garrison.robustness.models.fixed_batches import in_batches
from garrison.robustness.models.onnx_graph.elementwise import TYPES
from garrison.robustness.models.onnx_graph.graph import Graph
from garrison.robustness.models.onnx_graph.node import Unsupported

_ARRAYS: dict[int, Any] = {
    TensorProto.FLOAT: np.float32,
    TensorProto.DOUBLE: np.float64,
    TensorProto.FLOAT16: np.float16,
}
_TOLERANCE = 1e-5
"""Between probabilities in float32, with an operation and with the operation done again."""
_SAME = 1e-4
"""Between scores of two implementations, as a share of the largest."""


def of_model(model: onnx.ModelProto, wanted: Wanted) -> Built:
    """A model with one input of numbers, whose tensors are all in it. Raises `UsageError`."""
    source = _input(model)
    dims = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in source.type.tensor_type.shape.dim]
    size = dims[0] if dims and dims[0] > 0 else None
    form = _Form(size, tuple(dims[1:]) if dims else None, source)
    session = _Session(model)
    output = session.output
    kinds: dict[str, Outputs] = {"Softmax": "probabilities", "LogSoftmax": "logits"}
    last = _last(model, output)
    kind = kinds.get(last.op_type) if last is not None else None
    made, said = classifier(_batched(session, size), wanted, differentiable=False, outputs=kind, shape=form.shape)
    notes = list(said)
    if last is not None and last.op_type in ("Softmax", "Sigmoid") and wanted.outputs == "auto":
        cut = _without(model, last, output)
        if logits := _logits(cut, last.op_type, made, wanted, form):
            model, made, output = cut, logits, last.input[0]
            notes.append(f"its last operation, a {last.op_type}, is taken off, and attacks see the logits before it")
    made, note = _with_gradients(model, output, made, wanted, form)
    if size is not None:
        notes.append(f"it is made for batches of {size}")
    count = sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer)
    return Built(made, _class_names(model), count or None, (*notes, note))


@dataclass(frozen=True, eq=False)
class _Form:
    """What a model says of its inputs."""

    batch: int | None
    """How many it takes at a time; `None` for any number."""
    shape: tuple[int, ...] | None
    """Of one; -1 for what may be anything."""
    source: onnx.ValueInfoProto


def _with_gradients(
    model: onnx.ModelProto, output: str, original: Classifier, wanted: Wanted, form: _Form
) -> tuple[Classifier, str]:
    """A classifier by the interpreter if it agrees with `original`, else that; and what is to be said of it."""
    without = "attacks get no gradients of it: "
    probe = wanted.probe()
    if original.outputs == "labels":
        return original, f"{without}it gives decisions only"
    if probe is None:
        return original, f"{without}there was no data to compare with onnxruntime on"
    dtype = TYPES[form.source.type.tensor_type.elem_type]
    expected = original.scores(probe)
    reason = ""
    try:
        graph = Graph(model, form.source.name, output, wanted.device)
    except Unsupported as unknown:
        return original, f"{without}the operator {unknown} is not known to the interpreter"
    for size in dict.fromkeys((None, form.batch)):  # what was made for one size often takes others as well
        try:
            made, _ = classifier(
                _batched(lambda inputs: graph(inputs.to(dtype)), size),
                wanted,
                differentiable=True,
                outputs=original.outputs,
                shape=form.shape,
            )
            sample = probe[:1].clone().requires_grad_()
            if not made.forward(sample).requires_grad:
                return original, f"{without}an operator in it has none"
            found = made.scores(probe)
        except (UsageError, Unsupported, RuntimeError, IndexError, ValueError) as error:
            reason = reason or f"the interpreter fails: {first_line(error)}"
            continue
        far = float(((found - expected).abs() / expected.abs().amax().clamp(min=1)).max())
        if far <= _SAME:
            return made, "attacks get its gradients from an interpreter that agrees with onnxruntime on the data"
        reason = f"the interpreter disagrees with onnxruntime by {far:.2g}"
    return original, f"{without}{reason}"


class _Session:
    """A model in onnxruntime, as a function of a batch."""

    def __init__(self, model: onnx.ModelProto) -> None:
        import onnxruntime  # type: ignore[import-untyped]

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own kinds, one for each of its codes
            raise UsageError(f"onnxruntime does not take the model: {first_line(error)}") from None
        self._input = _input(model)
        self.output, self._maps = _output(self._session.get_outputs())

    def __call__(self, inputs: Tensor) -> NDArray[Any]:
        array = inputs.detach().cpu().numpy().astype(_ARRAYS[self._input.type.tensor_type.elem_type])
        (answer,) = self._session.run([self.output], {self._input.name: array})
        if self._maps:
            return np.array([[row[key] for key in sorted(row)] for row in answer], dtype=np.float32)
        return np.asarray(answer)


def _input(model: onnx.ModelProto) -> onnx.ValueInfoProto:
    """The one input. Raises `UsageError` where there are several, or where it is not of numbers with a point."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise UsageError(f"the model takes {len(inputs)} inputs, and a classifier of images or tables takes one")
    source: onnx.ValueInfoProto = inputs[0]
    if source.type.tensor_type.elem_type not in _ARRAYS:
        kind = TensorProto.DataType.Name(source.type.tensor_type.elem_type)
        raise UsageError(f"the model takes inputs of type {kind.lower()}, and floats are attacked here")
    return source


def _output(outputs: Any) -> tuple[str, bool]:
    """The output that has the scores, and whether they come as maps from class to score: converters of scikit-learn
    give the decision first and the scores after it."""
    for output in outputs:
        if output.type in ("tensor(float)", "tensor(double)", "tensor(float16)"):
            return output.name, False
    for output in outputs:
        if output.type.startswith("seq(map("):
            return output.name, True
    for output in outputs:
        if output.type in ("tensor(int64)", "tensor(int32)"):
            return output.name, False
    raise UsageError(f"the model gives {', '.join(output.type for output in outputs)}: no scores and no decisions")


def _last(model: onnx.ModelProto, output: str) -> onnx.NodeProto | None:
    """The node that makes an output, seen through those that change nothing."""
    makers = {name: node for node in model.graph.node for name in node.output}
    node = makers.get(output)
    while node is not None and node.op_type == "Identity":
        node = makers.get(node.input[0])
    return node


def _without(model: onnx.ModelProto, last: onnx.NodeProto, output: str) -> onnx.ModelProto:
    """The model up to what `last` takes."""
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    kept = next(value for value in model.graph.output if value.name == output)
    del cut.graph.output[:]
    cut.graph.output.append(onnx.helper.make_tensor_value_info(last.input[0], kept.type.tensor_type.elem_type, None))
    return cut


def _logits(cut: onnx.ModelProto, name: str, whole: Classifier, wanted: Wanted, form: _Form) -> Classifier | None:
    """A classifier of the model without its last operation, if that operation makes the same scores of it again."""
    probe = wanted.probe()
    if probe is None or whole.outputs == "labels":
        return None
    session = _batched(_Session(cut), form.batch)
    logits, _ = classifier(session, wanted, differentiable=False, outputs="logits", shape=form.shape)
    before, after = logits.scores(probe), whole.scores(probe)
    again = before.softmax(1) if name == "Softmax" or whole.outputs == "probabilities" else before.sigmoid()
    return logits if torch.allclose(again, after, atol=_TOLERANCE) else None


def _batched(forward: Forward, size: int | None) -> Forward:
    return forward if size is None else in_batches(forward, size)


def _class_names(model: onnx.ModelProto) -> tuple[str, ...]:
    """What operators of classical models call the classes."""
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name.startswith(("classlabels_", "classes_")) and (attribute.strings or attribute.ints):
                names = [name.decode("utf-8", "replace") for name in attribute.strings]
                return tuple(names or map(str, attribute.ints))
    return ()
