"""What a loaded model makes of arrays, whatever framework it is of."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from garrison.core.errors import UsageError

_DATATYPES = {
    "tensor(bool)": "BOOL", "tensor(string)": "BYTES",
    "tensor(float16)": "FP16", "tensor(float)": "FP32", "tensor(double)": "FP64",
    "tensor(int8)": "INT8", "tensor(int16)": "INT16", "tensor(int32)": "INT32", "tensor(int64)": "INT64",
    "tensor(uint8)": "UINT8", "tensor(uint16)": "UINT16", "tensor(uint32)": "UINT32", "tensor(uint64)": "UINT64",
}  # fmt: skip
"""The Open Inference Protocol's, by ONNX Runtime's."""
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Taken:
    """An input that a model says it takes."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    """With -1 for axes of any length."""


class Predictor(Protocol):
    """A model that is asked with arrays and answers with arrays, each with a name."""

    inputs: tuple[Taken, ...]
    """What it takes; empty where the model does not tell."""
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
        self.inputs = _columns(getattr(model, "n_features_in_", None))
        self.outputs = tuple(name for name in self._METHODS if hasattr(model, name))

    def predict(self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str]) -> Arrays:
        rows = _only(inputs)
        return {name: np.asarray(getattr(self._model, name)(rows)) for name in wanted}


class Booster:
    """XGBoost's or LightGBM's own models."""

    outputs: tuple[str, ...] = ("predict",)

    def __init__(self, model: Any) -> None:
        self._model = model
        count = model.num_features  # a method of XGBoost's old releases and of LightGBM
        self.inputs = _columns(count() if callable(count) else count)

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
        self.inputs = _taken(self._session.get_inputs())
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

    inputs: tuple[Taken, ...] = ()
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


def _columns(count: Any) -> tuple[Taken, ...]:
    """Rows of so many numbers."""
    return (Taken("input", "FP32", (-1, int(count))),) if isinstance(count, int | np.integer) and count > 0 else ()


def _taken(inputs: Sequence[Any]) -> tuple[Taken, ...]:
    """What a graph says; nothing at all where it takes something else than tensors that the protocol has."""
    found = []
    for one in inputs:
        datatype = _DATATYPES.get(one.type)
        if datatype is None or not one.shape:
            return ()
        shape = tuple(axis if isinstance(axis, int) and axis > 0 else -1 for axis in one.shape)
        found.append(Taken(one.name, datatype, shape))
    return tuple(found)


def _only(inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    if len(inputs) != 1:
        raise UsageError(f"the model takes one input, and {len(inputs)} were given")
    return next(iter(inputs.values()))


def _as(kind: str, data: NDArray[Any]) -> NDArray[Any]:
    """As ONNX Runtime wants it, where the caller's datatype is another of the same sort."""
    wanted = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}.get(kind)
    return data if wanted is None or data.dtype.kind not in "fiu" else data.astype(wanted, copy=False)
