"""A stored detector as it was before it was stored: with gradients, for attacks that know of it."""

import hashlib
import os

import torch

from garrison.core.errors import UsageError
from garrison.core.files import contents
from garrison.robustness.detection.detector import Detector
from garrison.robustness.detection.manifest import GRAPH, MOST
from garrison.robustness.detection.stored import StoredDetector


def reopened(directory: str | os.PathLike[str]) -> tuple[Detector, StoredDetector]:
    """The detector of a directory, with the stored one that it was made of.

    Raises `UsageError` for a directory that is no detector, or whose graph the interpreter cannot run.
    """
    import onnx

    from garrison.robustness.detection.onnx_module import OnnxModule

    stored = StoredDetector.load(directory)
    path = os.path.join(os.fspath(directory), GRAPH)
    graph = contents(path, MOST[GRAPH])
    if hashlib.sha256(graph).hexdigest() != stored.card.files[GRAPH]:
        raise UsageError(f"{path}: was replaced while it was read")
    found = Detector(
        kind=stored.card.kind,
        module=OnnxModule(onnx.load_model_from_string(graph), torch.device("cpu")),
        shape=stored.card.shape,
        settings={},
        fitted_with=stored.card.fitted_with,
        calibration=stored.card.calibration,
    )
    return found, stored
