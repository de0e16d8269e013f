"""Which frameworks a model may be of, and the classifier that is made of it."""

import importlib.util
import sys
from collections.abc import Callable
from typing import Any

import torch

from garrison.core.errors import UsageError
from garrison.robustness.models.built import Built, Wanted


def build(model: object, wanted: Wanted) -> Built:
    """A classifier of a loaded model: a torch module, TorchScript or exported program, `onnx.ModelProto`, an estimator
    of scikit-learn or one that behaves like it, or a booster of XGBoost or LightGBM.

    Torch modules are put into evaluation mode, frozen and moved to the device. Raises `UsageError` for what is no
    classifier, and for one that does not take the inputs of `wanted`.
    """
    return _builder(model)(model, wanted)


def _builder(model: object) -> Callable[[Any, Wanted], Built]:
    if isinstance(model, torch.nn.Module):  # a ScriptModule is one
        from garrison.robustness.models.torch_modules import of_module

        return of_module
    if isinstance(model, torch.export.ExportedProgram):
        from garrison.robustness.models.torch_modules import of_program

        return of_program
    kinds = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(model).__mro__}
    if "onnx.ModelProto" in kinds or _is_onnx(model):
        if importlib.util.find_spec("onnxruntime") is None:
            raise UsageError("running ONNX needs onnxruntime: pip install onnxruntime")
        from garrison.robustness.models.onnx_models import of_model

        return of_model
    if kinds & {"xgboost.Booster", "xgboost.XGBClassifier", "xgboost.XGBRFClassifier"}:
        from garrison.robustness.models.boosters import of_xgboost

        return of_xgboost
    if kinds & {"lightgbm.Booster", "lightgbm.LGBMClassifier"}:
        from garrison.robustness.models.boosters import of_lightgbm

        return of_lightgbm
    if hasattr(model, "predict"):
        from garrison.robustness.models.estimators import of_estimator

        return of_estimator
    if isinstance(model, dict) and any(isinstance(value, torch.Tensor) for value in model.values()):
        raise UsageError(
            "weights without a model: name the function that makes it with --architecture package.module:function"
        )
    raise UsageError(
        f"a {type(model).__module__}.{type(model).__qualname__} is no classifier that can be attacked here"
    )


def _is_onnx(model: object) -> bool:
    onnx = sys.modules.get("onnx")
    return onnx is not None and isinstance(model, onnx.ModelProto)
