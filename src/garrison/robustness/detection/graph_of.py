"""The classifier of a model that was loaded, around the model's own module."""

import torch
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.robustness.classifier import Classifier, Outputs
from garrison.robustness.detection.onnx_module import OnnxModule

_TOLERANCE = 1e-4


@torch.no_grad()
def classifier_of(model: object, opened: Classifier, probe: Tensor) -> Classifier:
    """The classifier whose `forward` is the module itself, scoring `probe` (n, *shape) as `opened` does.

    Raises `UsageError` for what is no module of PyTorch, and for one that answers differently.
    """
    if isinstance(model, torch.export.ExportedProgram):
        model = model.module()
    elif type(model).__module__.startswith("onnx"):
        model = OnnxModule(model, opened.device)  # type: ignore[arg-type]
    if not isinstance(model, nn.Module):
        raise UsageError(
            f"{opened.name or 'the model'}: detectors are built around PyTorch modules, TorchScript, exported "
            "programs and ONNX models; this is none of them"
        )
    inputs = probe.to(opened.device)
    expected = opened.scores(inputs)
    for module in (model, nn.Sequential(nn.Flatten(), model)):
        try:
            given = module(inputs)
        except (RuntimeError, TypeError, ValueError):
            continue
        if isinstance(given, Tensor) and given.shape == expected.shape:
            outputs = _outputs(given.float(), expected, opened.outputs)
            if outputs:
                return Classifier(
                    module, opened.classes, opened.low, opened.high,
                    outputs=outputs, device=opened.device, name=opened.name,
                )  # fmt: skip
    raise UsageError(
        f"{opened.name or 'the model'}: its module does not take the data as they are, one score for each class; "
        "give the model in a form that does"
    )


def _outputs(given: Tensor, expected: Tensor, kind: Outputs) -> Outputs | None:
    """What the module itself gives, told by scores whose kind is known."""
    if torch.allclose(given, expected, rtol=_TOLERANCE, atol=_TOLERANCE):
        return kind
    # Opening a model takes a last softmax off, for the sake of attacks.
    if kind == "logits" and torch.allclose(given, expected.softmax(1), atol=_TOLERANCE):
        return "probabilities"
    return None
