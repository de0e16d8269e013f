"""Torch modules, TorchScript and exported programs."""

import torch
from torch import nn

from garrison.core.errors import UsageError, first_line
from garrison.robustness.classifier import Classifier
from garrison.robustness.models.built import Built, Forward, Wanted, classifier
from garrison.robustness.models.fixed_batches import in_batches
from garrison.robustness.models.last_operation import Cut, cut_module, cut_program, cut_script

_TOLERANCE = 1e-5
"""Between probabilities in float32, with an operation and with the operation done again."""


def of_module(module: nn.Module, wanted: Wanted) -> Built:
    """A module (TorchScript too), frozen, in evaluation mode and on the device."""
    module.eval()
    _frozen(module, wanted)
    script = isinstance(module, torch.jit.ScriptModule)
    cut = (cut_script if script else cut_module)(module) if wanted.outputs == "auto" else None
    return _built(module, module, cut, wanted)


def of_program(program: torch.export.ExportedProgram, wanted: Wanted) -> Built:
    """An exported program, asked about as many inputs at a time as it was exported with, where it takes no others."""
    module = program.module()
    _frozen(module, wanted)
    cut = cut_program(program) if wanted.outputs == "auto" else None
    if cut is not None and isinstance(cut.without, nn.Module):
        _frozen(cut.without, wanted)
    return _built(module, module, cut, wanted, _exported_batch(program))


def _frozen(module: nn.Module, wanted: Wanted) -> None:
    try:
        module.to(wanted.device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"the model cannot be put on {wanted.device}: {first_line(error)}") from None
    for parameter in module.parameters():
        parameter.requires_grad_(False)


def _built(module: nn.Module, forward: Forward, cut: Cut | None, wanted: Wanted, size: int | None = None) -> Built:
    dtype = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
    notes: list[str] = []
    if size is not None:
        notes.append(f"it was exported for batches of {size}, and is asked about {size} at a time")

    def cast(function: Forward) -> Forward:
        batched = function if size is None else in_batches(function, size)
        return lambda inputs: batched(inputs.to(dtype))

    made, said = classifier(cast(forward), wanted, differentiable=True, outputs=cut.kind if cut else None)
    if cut is not None and cut.without is not None and (logits := _logits(cut, made, cast(cut.without), wanted)):
        made = logits
        notes.append(f"its last operation, a {cut.name}, is taken off, and attacks see the logits before it")
    return Built(made, parameters=sum(p.numel() for p in module.parameters()) or None, notes=(*said, *notes))


def _logits(cut: Cut, whole: Classifier, without: Forward, wanted: Wanted) -> Classifier | None:
    """A classifier of the model without its last operation, if that operation makes the same scores of it again."""
    probe = wanted.probe()
    if probe is None or whole.outputs == "labels":
        return None
    logits, _ = classifier(without, wanted, differentiable=True, outputs="logits")
    before, after = logits.scores(probe), whole.scores(probe)
    one_distribution = cut.name == "softmax" or whole.outputs == "probabilities"
    again = before.softmax(1) if one_distribution else before.sigmoid()
    return logits if torch.allclose(again, after, atol=_TOLERANCE) else None


def _exported_batch(program: torch.export.ExportedProgram) -> int | None:
    """How many inputs a program takes at a time; `None` where it takes any number."""
    names = program.graph_signature.user_inputs
    if len(names) != 1:
        raise UsageError(f"the program takes {len(names)} inputs, and a classifier of images or tables takes one")
    node = next(node for node in program.graph.nodes if node.name == names[0])
    size = node.meta["val"].shape[0]
    return size if isinstance(size, int) else None
