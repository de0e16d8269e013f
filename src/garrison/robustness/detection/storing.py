"""Write a detector to a directory, whole or not at all."""

import contextlib
import dataclasses
import hashlib
import os
import platform
import shutil
import statistics
import time

import msgspec
import numpy as np
from numpy.typing import NDArray

from garrison import __version__
from garrison.core.errors import UsageError
from garrison.robustness.detection.detector import Detector
from garrison.robustness.detection.exporting import exported
from garrison.robustness.detection.manifest import GRAPH, MANIFEST, SCORES, Cost, Manifest
from garrison.robustness.detection.stored import StoredDetector

_MEASURED = 200
"""Inputs that the cost is measured with, one at a time, after as many to warm up as a tenth of them."""


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a detector was fitted for and with."""

    model: str
    data: str
    model_sha256: str = ""
    data_sha256: str = ""


def store(
    detector: Detector, directory: str, inputs: NDArray[np.float32], origin: Origin, *, replace: bool = False
) -> Manifest:
    """Write `detector.json`, `detector.onnx` and `benign.safetensors`, and read them back.

    `inputs` (n, *shape) are what the graph is traced, compared and timed with. Raises `UsageError` for a detector that
    is not calibrated, for a place that is taken or cannot be written, and if the stored detector does not score as the
    fitted one does.
    """
    if detector.calibration is None or detector.benign is None:
        raise UsageError("the detector is not calibrated; calibrate it with benign inputs before it is stored")
    if len(inputs) < 2:
        raise UsageError("storing a detector takes two inputs to try it with")
    directory = os.path.abspath(directory)
    if os.path.lexists(directory) and not (replace and os.path.isfile(os.path.join(directory, MANIFEST))):
        raise UsageError(f"{directory}: is there already" + (", and is no detector" if replace else ""))
    draft = os.path.join(os.path.dirname(directory), f".{os.urandom(8).hex()}.part")
    try:
        os.mkdir(draft)
        card = _written(detector, draft, inputs, origin)
        _moved(draft, directory)
    except OSError as error:
        raise UsageError(f"{directory}: cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return card


def _written(detector: Detector, draft: str, inputs: NDArray[np.float32], origin: Origin) -> Manifest:
    import safetensors.numpy
    import torch

    assert detector.calibration is not None and detector.benign is not None
    example = torch.tensor(inputs[:2], dtype=torch.float32)
    device = next((one.device for one in [*detector.module.parameters(), *detector.module.buffers()]), example.device)
    files = {
        GRAPH: exported(detector.module, example.to(device)),
        SCORES: safetensors.numpy.save({"scores": detector.benign}),
    }
    for name, data in files.items():
        _put(os.path.join(draft, name), data)
    card = Manifest(
        tool=f"garrison {__version__}",
        kind=detector.kind,
        settings={
            name: list(value) if isinstance(value, tuple) else value for name, value in detector.settings.items()
        },
        model=origin.model,
        model_sha256=origin.model_sha256,
        data=origin.data,
        data_sha256=origin.data_sha256,
        shape=detector.shape,
        fitted_with=detector.fitted_with,
        calibration=detector.calibration,
        files={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    )
    _put(os.path.join(draft, MANIFEST), _encoded(card))
    stored = StoredDetector.load(draft)
    _compare(detector, stored, inputs[:_MEASURED])
    card = msgspec.structs.replace(card, cost=_cost(stored, inputs))
    os.unlink(os.path.join(draft, MANIFEST))
    _put(os.path.join(draft, MANIFEST), _encoded(card))
    return card


def _compare(detector: Detector, stored: StoredDetector, inputs: NDArray[np.float32]) -> None:
    ours, theirs = detector.score(inputs), stored.scores(inputs)
    spread = float(np.ptp(detector.benign)) if detector.benign is not None else 0.0
    if not np.allclose(ours, theirs, rtol=1e-3, atol=max(1e-3 * spread, 1e-6), equal_nan=True):
        raise UsageError(
            "the stored detector does not score as the fitted one does: "
            f"they are up to {float(np.nanmax(np.abs(ours - theirs))):.3g} apart; this model cannot be written as ONNX"
        )


def _cost(stored: StoredDetector, inputs: NDArray[np.float32]) -> Cost:
    taken = []
    for number in range(_MEASURED + _MEASURED // 10):
        one = inputs[number % len(inputs)][np.newaxis]
        started = time.perf_counter()
        stored.scores(one)
        taken.append(time.perf_counter() - started)
    return Cost(microseconds=round(statistics.median(taken[_MEASURED // 10 :]) * 1e6, 1), machine=_machine())


def _machine() -> str:
    """The processor, as the system calls it."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "unknown"


def _encoded(card: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(card)) + b"\n"


def _put(path: str, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _moved(draft: str, directory: str) -> None:
    """Give the draft its name. A detector that is replaced is set aside first, and put back if that fails."""
    aside = f"{draft}.old"
    replaced = os.path.lexists(directory)
    if replaced:
        os.rename(directory, aside)
    try:
        os.rename(draft, directory)
    except OSError:
        if replaced:
            os.rename(aside, directory)
        raise
    if replaced:
        shutil.rmtree(aside, ignore_errors=True)
