"""A model in a file as something to attack: loaded as `garrison.load` does, then made a classifier."""

import importlib
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from garrison.core.errors import GarrisonError, UsageError, first_line
from garrison.core.policy import Policy
from garrison.loading import Loaded, admitted, load_identified
from garrison.robustness.classifier import Classifier, Outputs
from garrison.robustness.data import Data
from garrison.robustness.models.building import build
from garrison.robustness.models.built import Wanted
from garrison.robustness.models.text_estimators import of_text_estimator
from garrison.robustness.text.classifier import TextClassifier

if TYPE_CHECKING:
    from garrison.provenance.trust import Trust


@dataclass(frozen=True, eq=False)
class Opened:
    """A model that was loaded to be attacked."""

    classifier: Classifier
    model: object
    """What the framework's loader gave; after `architecture`, the module with the weights."""
    format: str
    """As `garrison scan` names it."""
    sha256: str
    """Of the file that was loaded, in hexadecimal; empty for a directory."""
    parameters: int | None
    class_names: tuple[str, ...]
    """What the model itself calls its classes, in the order of its scores; empty where it does not say."""
    notes: tuple[str, ...]
    """What was done to the model for the attack, and what cannot be had of it."""


def open_model(
    path: "str | os.PathLike[str]",
    *,
    data: Data | None = None,
    architecture: str = "",
    classes: int | None = None,
    low: float | Tensor | None = None,
    high: float | Tensor | None = None,
    outputs: Outputs | Literal["auto"] = "auto",
    device: str = "auto",
    policy: Policy | None = None,
    trust: "Trust | None" = None,
) -> Opened:
    """Load a model as `garrison.load` does, and make a classifier of it.

    PyTorch (whole modules of known classes, TorchScript, programs of `torch.export`, weights with `architecture`),
    ONNX (a directory where its tensors are in files beside it), scikit-learn (pickle, joblib, skops), XGBoost (JSON,
    UBJSON) and LightGBM (text).

    `architecture`, `package.module:function`, names a function or class that makes the module whose weights the file
    has: it is imported from the current directory or from what is installed, and run, without arguments. That is your
    own code, which nothing here examines.

    `data` shows what inputs look like and what the model makes of them: by its first inputs the number of classes and
    `outputs` are found where the model does not say, and a conversion is compared with the original. `device` is `cpu`,
    `cuda`, or `auto`: a GPU where there is one.

    `low` and `high` bound what attacks may make of inputs: a number for all, or a tensor that broadcasts to one input.
    Left out, images stay from 0 to 1, and each column of a table within what the data has in it.

    Texts are for `open_text_model`.

    Raises `LoadRefused` as `garrison.load` does, and `UsageError` for a damaged file, for what is no classifier, for
    weights that do not fit, and for a model that does not take the data.
    """
    name = os.fspath(path)
    if data is not None and data.kind == "text":
        raise UsageError(f"{name}: a model of texts is opened by itself: open_text_model")
    place = _device(device)
    if os.path.isdir(name):
        model, format, digest = _onnx_directory(name, policy, trust)
    else:
        loaded = _loaded(name, policy, trust)
        model, format, digest = loaded.model, loaded.format, loaded.sha256
    if architecture:
        model = _with_weights(architecture, model)
    least, most = bounds(data, low, high)
    wanted = Wanted(classes, least, most, outputs, place, data, os.path.basename(name))
    try:
        built = build(model, wanted)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None
    return Opened(built.classifier, model, format, digest, built.parameters, built.class_names, built.notes)


@dataclass(frozen=True, eq=False)
class OpenedText:
    """A model of texts that was loaded to be attacked."""

    classifier: TextClassifier
    model: object
    format: str
    sha256: str


def open_text_model(
    path: "str | os.PathLike[str]",
    *,
    data: Data,
    policy: Policy | None = None,
    trust: "Trust | None" = None,
) -> OpenedText:
    """Load a pipeline of scikit-learn that takes texts, as `garrison.load` does, for data of texts.

    Raises as `open_model` does.
    """
    name = os.fspath(path)
    loaded = _loaded(name, policy, trust)
    try:
        made = of_text_estimator(loaded.model, [text for text in data.inputs if isinstance(text, str)], name)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None
    return OpenedText(made, loaded.model, loaded.format, loaded.sha256)


def _loaded(name: str, policy: Policy | None, trust: "Trust | None") -> Loaded:
    try:
        return load_identified(name, policy, trust=trust)
    except GarrisonError:
        raise
    except Exception as error:  # whatever a framework raises for a damaged file
        raise UsageError(f"{name}: it cannot be loaded: {type(error).__name__}: {first_line(error)}") from error


def bounds(
    data: Data | None, low: float | Tensor | None, high: float | Tensor | None
) -> tuple[float | Tensor, float | Tensor]:
    """What attacks may make of inputs, at least and at most: what is given, else what the data say."""
    ends: tuple[float | Tensor, float | Tensor] = 0.0, 1.0
    if data is not None and data.kind == "table" and isinstance(data.inputs, np.ndarray):
        ends = torch.from_numpy(data.inputs.min(0)), torch.from_numpy(data.inputs.max(0))
    return ends[0] if low is None else low, ends[1] if high is None else high


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"{name!r} is no device; write cpu, cuda or auto") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError("there is no GPU that PyTorch could use here")
    return device


def _onnx_directory(name: str, policy: Policy | None, trust: "Trust | None") -> tuple[object, str, str]:
    with admitted(name, policy, trust=trust) as copy:
        found = sorted(file for file in os.listdir(copy) if file.endswith(".onnx"))
        if len(found) != 1:
            raise UsageError(f"{name}: a directory is taken for one ONNX model, and it has {len(found)} files .onnx")
        import onnx

        return onnx.load(os.path.join(copy, found[0])), "onnx", ""


def _with_weights(architecture: str, weights: object) -> torch.nn.Module:
    """The module that a function makes, with these weights. Raises `UsageError`."""
    module = _made(architecture)
    state = _state(weights)
    wanted, given = set(module.state_dict()), set(state)
    if wanted != given and len(given) and all(key.startswith("module.") for key in given):
        state = {key.removeprefix("module."): value for key, value in state.items()}  # as DataParallel saves it
        given = set(state)
    for what, keys in (("are missing from the file", wanted - given), ("are not the module's", given - wanted)):
        if keys:
            some = ", ".join(sorted(keys)[:3])
            raise UsageError(f"{architecture} does not fit the weights: {len(keys)} {what}: {some}")
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise UsageError(f"{architecture} does not fit the weights: {reason}") from None
    return module


def _made(architecture: str) -> torch.nn.Module:
    place, colon, function = architecture.partition(":")
    if not (place and colon and function):
        raise UsageError(f"{architecture!r} is no architecture; write package.module:function")
    here = os.getcwd()
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        make: Any = importlib.import_module(place)
        for part in function.split("."):
            make = getattr(make, part)
        module = make()
    except Exception as error:  # it is the caller's own code
        raise UsageError(f"{architecture}: {type(error).__name__}: {first_line(error)}") from error
    finally:
        if added:
            sys.path.remove(here)
    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"{architecture} makes a {type(module).__qualname__}, not a torch.nn.Module")
    return module


def _state(weights: object) -> dict[str, Any]:
    """Tensors by name: the file's own, or those under the name that training scripts give them."""
    if isinstance(weights, torch.nn.Module):
        return dict(weights.state_dict())
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(weights, dict) and isinstance(weights.get(key), dict):
            weights = weights[key]
            break
    named = weights if isinstance(weights, dict) else {}
    state = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in named.items()}
    if not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise UsageError("the file has no weights by name that an architecture could take")
    return state
