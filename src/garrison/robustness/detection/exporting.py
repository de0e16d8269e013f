"""Write a module as an ONNX graph."""

import inspect
import io
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from garrison.core.errors import UsageError, first_line

OPSET = 17


def exported(module: nn.Module, example: Tensor) -> bytes:
    """A graph from `inputs` (n, *shape) to `scores` (n,) or (n, views), for any n. Raises `UsageError`.

    `example` (2, *shape) is what the module is traced with, so its path through the code must not depend on values.
    """
    module.training = False  # exported programs refuse `eval()`, and have no other mode
    options: dict[str, Any] = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # The exporter that follows it needs a package beyond the extra; this one warns that it is the older.
        warnings.simplefilter("ignore")
        try:
            # Traced first: the exporter refuses modules that hold TorchScript.
            traced = torch.jit.trace(module, (example,), check_trace=False)  # type: ignore[no-untyped-call]
            torch.onnx.export(
                traced,
                (example,),
                buffer,  # type: ignore[arg-type]
                training=torch.onnx.TrainingMode.PRESERVE,
                input_names=["inputs"],
                output_names=["scores"],
                dynamic_axes={"inputs": {0: "n"}, "scores": {0: "n"}},
                opset_version=OPSET,
                **options,
            )
        except (RuntimeError, TypeError, ValueError, torch.onnx.errors.OnnxExporterError) as error:
            reason = first_line(error)
            raise UsageError(
                f"the model cannot be written as ONNX from here ({reason}); export it where it was made, "
                "and fit the detector for that file"
            ) from None
    return buffer.getvalue()
