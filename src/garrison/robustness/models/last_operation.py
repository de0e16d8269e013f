"""The last operation of a torch model, and the model without it.

A softmax at the end costs attacks their gradients where the model is sure of itself (Carlini and Wagner 2017, section
IV), and what stands before it decides the same. Whether what is left is in truth the model's logits is for the caller
to check on inputs; here only the graph is read.
"""

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from garrison.robustness.classifier import Outputs
from garrison.robustness.models.built import Forward

_NAMES = {"softmax": "softmax", "sigmoid": "sigmoid", "log_softmax": "log_softmax", "logsoftmax": "log_softmax"}
"""Operations as functions and modules are called, without case and underscores around."""


@dataclass(frozen=True, eq=False)
class Cut:
    """A model's last operation."""

    name: str
    """`softmax`, `sigmoid` or `log_softmax`."""
    without: Forward | None
    """The model without it, where that would give logits that it does not give already."""

    @property
    def kind(self) -> Outputs | None:
        """What the whole model answers with; `None` for sigmoids, whose rows may or may not be one distribution."""
        kinds: dict[str, Outputs] = {"softmax": "probabilities", "log_softmax": "logits"}
        return kinds.get(self.name)


def cut_module(module: nn.Module) -> Cut | None:
    """Of a module whose forward can be traced; `None` where it cannot, or ends otherwise."""
    try:
        traced = fx.symbolic_trace(module)
    except Exception:  # whatever the module's own forward raises when it is given a proxy in place of a tensor
        return None
    return _cut(traced)


def cut_program(program: torch.export.ExportedProgram) -> Cut | None:
    """Of an exported program, which itself stays as it is."""
    module = program.module()
    assert isinstance(module, fx.GraphModule)
    return _cut(module)


def _cut(module: fx.GraphModule) -> Cut | None:
    output = next(node for node in reversed(module.graph.nodes) if node.op == "output")
    last: Any = output.args[0]
    if isinstance(last, list | tuple) and len(last) == 1:
        last = last[0]
    if not isinstance(last, fx.Node):
        return None
    target = type(module.get_submodule(str(last.target))).__name__ if last.op == "call_module" else last.target
    name = _name(getattr(target, "__name__", str(target)))
    if name is None or not last.args or not isinstance(last.args[0], fx.Node):
        return None
    if name == "log_softmax":
        return Cut(name, None)
    output.replace_input_with(last, last.args[0])
    module.graph.eliminate_dead_code()
    module.recompile()
    return Cut(name, module)


def cut_script(module: Any) -> Cut | None:
    """Of TorchScript, by its frozen graph."""
    try:
        frozen: Any = torch.jit.freeze(module, optimize_numerics=False)
        graph = frozen.graph
        (last,) = graph.outputs()
        node = last.node()
        name = _name(node.kind()) if node.kind().startswith("aten::") else None
        if name is None:
            return None
        if name == "log_softmax":
            return Cut(name, None)
        before = next(iter(node.inputs()))
        graph.eraseOutput(0)
        graph.registerOutput(before)
    except (RuntimeError, ValueError):  # it cannot be frozen, or gives several things
        return None
    return Cut(name, frozen)


def _name(written: str) -> str | None:
    """`softmax` of `aten.softmax.int`, `Softmax`, `_softmax`."""
    parts = [part.strip("_").lower() for part in re.split(r"[.:]+", written)]
    return next((_NAMES[part] for part in parts if part in _NAMES), None)
