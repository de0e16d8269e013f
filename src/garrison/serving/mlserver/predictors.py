"""What a loaded model makes of arrays, whatever framework it is of."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from garrison.core.errors import UsageError

Arrays = dict[str, NDArray[Any]]


class Predictor(Protocol):
    """A model that is asked with arrays and answers with arrays, each with a name."""

    outputs: tuple[str, ...]
    """What it can give, the usual one first."""

    def predict(self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str]) -> Arrays:
        """Raises `UsageError` for inputs that the model does not take."""
        ...


class Estimator:
    """scikit-learn, or what has its methods: LightGBM's and XGBoost's wrappers."""

    _METHODS = ("predict", "predict_proba", "decision_function", "transform")

    def __init__(self, model: Any) -> None:
        self._model = model
        self.outputs = tuple(name for name in self._METHODS if hasattr(model, name))

    def predict(self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str]) -> Arrays:
        rows = _only(inputs)
        return {name: np.asarray(getattr(self._model, name)(rows)) for name in wanted}


class Booster:
    """XGBoost's or LightGBM's own models."""

    outputs: tuple[str, ...] = ("predict",)

    def __init__(self, model: Any) -> None:
        self._model = model

    def predict(self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str]) -> Arrays:
        rows: Any = _only(inputs)
        if type(self._model).__module__.startswith("xgboost"):
            import xgboost

            rows = xgboost.DMatrix(rows, feature_names=self._model.feature_names)
        return {"predict": np.asarray(self._model.predict(rows))}


class Graph:
    """ONNX, run by ONNX Runtime."""

    def __init__(self, model: Any) -> None:
        import onnxruntime  # type: ignore[import-untyped,unused-ignore]

        self._session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        self._inputs = {one.name: one.type for one in self._session.get_inputs()}
        self.outputs = tuple(one.name for one in self._session.get_outputs())

    def predict(self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str]) -> Arrays:
        named = dict(inputs)
        if len(self._inputs) == 1 and len(named) == 1:
            named = {next(iter(self._inputs)): next(iter(named.values()))}
        if named.keys() != self._inputs.keys():
            raise UsageError(f"the model takes {', '.join(self._inputs)}")
        given = {name: _as(self._inputs[name], data) for name, data in named.items()}
        found = self._session.run(list(wanted), given)
        return {name: np.asarray(data) for name, data in zip(wanted, found, strict=True)}


class Module:
    """PyTorch: modules, TorchScript, programs of `torch.export`."""

    outputs: tuple[str, ...] = ("scores",)

    def __init__(self, model: Any) -> None:
        self._model = model.module() if hasattr(model, "module") and not callable(model) else model
        if hasattr(self._model, "eval"):
            with contextlib.suppress(NotImplementedError):  # exported programs are what they were exported as
                self._model.eval()

    def predict(self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str]) -> Arrays:
        import torch

        with torch.inference_mode():
            found = self._model(torch.from_numpy(np.ascontiguousarray(_only(inputs), np.float32)))
        if not isinstance(found, torch.Tensor):
            raise UsageError("the model gives no single tensor")
        return {"scores": found.float().cpu().numpy()}


def predictor(model: object) -> Predictor:
    """The predictor for what `garrison.load` gave. Raises `UsageError` for what cannot be asked."""
    home = type(model).__module__.partition(".")[0]
    kind = type(model).__name__
    if kind == "Booster" and home in ("xgboost", "lightgbm"):
        return Booster(model)
    if kind == "ModelProto":
        return Graph(model)
    if home == "torch" or _is_module(model):
        return Module(model)
    if hasattr(model, "predict"):
        return Estimator(model)
    raise UsageError(f"{kind} is no model that can be asked: it has weights and nothing that computes with them")


def _is_module(model: object) -> bool:
    return any(base.__module__.startswith("torch.nn") for base in type(model).__mro__)


def _only(inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    if len(inputs) != 1:
        raise UsageError(f"the model takes one input, and {len(inputs)} were given")
    return next(iter(inputs.values()))


def _as(kind: str, data: NDArray[Any]) -> NDArray[Any]:
    """As ONNX Runtime wants it, where the caller's datatype is another of the same sort."""
    wanted = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}.get(kind)
    return data if wanted is None or data.dtype.kind not in "fiu" else data.astype(wanted, copy=False)
