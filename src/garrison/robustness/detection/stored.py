"""A stored detector, run with NumPy and ONNX Runtime alone.

detector = StoredDetector.load("fashion.detector")
flags = detector.flags(inputs)       # (n,) bool
print(detector.card.cost)            # microseconds for one input, and where that was measured
"""

import hashlib
import os
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from garrison.core.errors import UsageError
from garrison.core.files import regular_file
from garrison.robustness.detection import graphs
from garrison.robustness.detection.calibration import flagged, p_values
from garrison.robustness.detection.manifest import GRAPH, MANIFEST, MOST, SCORES, Cost, Manifest, parsed

BATCH = 256
"""Inputs that are passed at once, so that memory is bounded."""


class StoredDetector:
    """A detector as it was stored: it scores inputs and flags those beyond its threshold. Safe to share by threads."""

    def __init__(self, card: Manifest, session: Any, benign: NDArray[np.float32]) -> None:
        self.card = card
        """What it is, how it was calibrated and what it costs."""
        self._session = session
        self._benign = benign

    @classmethod
    def load(cls, directory: str | os.PathLike[str], *, threads: int = 1) -> Self:
        """Read a directory that `garrison detect fit` wrote.

        Raises `UsageError` for one that is torn, altered, of a newer format, or that does more than compute.
        """
        path = os.fspath(directory)
        card = parsed(_read(path, MANIFEST), os.path.join(path, MANIFEST))
        files = {name: _read(path, name) for name in card.files}
        for name, digest in card.files.items():
            if hashlib.sha256(files[name]).hexdigest() != digest:
                raise UsageError(f"{os.path.join(path, name)}: is not the file that {MANIFEST} names: altered or torn")
        graphs.check(files[GRAPH], os.path.join(path, GRAPH))
        benign = _benign(files[SCORES], os.path.join(path, SCORES), card)
        return cls(card, _session(files[GRAPH], os.path.join(path, GRAPH), threads), benign)

    @property
    def cost(self) -> Cost | None:
        """What one input costs; `None` where that was not measured."""
        return self.card.cost

    def scores(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Scores (n,) of inputs (n, *shape), higher for what is more suspicious; NaN for inputs that are not finite.

        Raises `UsageError` for inputs of another shape, and for what are no numbers.
        """
        given = np.asarray(inputs)
        if given.dtype.kind not in "fiub":
            raise UsageError(f"inputs of type {given.dtype}, where the detector takes numbers")
        if given.shape[1:] != self.card.shape or given.ndim == 0:
            raise UsageError(f"inputs of shape {given.shape[1:]}, where the detector takes {self.card.shape}")
        with np.errstate(over="ignore"):
            given = np.ascontiguousarray(given, dtype=np.float32)
        scores = np.empty(len(given), dtype=np.float32)
        for start in range(0, len(given), BATCH):
            batch = given[start : start + BATCH]
            finite = np.isfinite(batch.reshape(len(batch), -1)).all(1)
            found = np.asarray(
                self._session.run(["scores"], {"inputs": np.where(np.isfinite(batch), batch, np.float32(0))})[0]
            )
            if found.shape != (len(batch),):
                raise UsageError(f"the detector's graph gives {found.shape} for {len(batch)} inputs")
            scores[start : start + BATCH] = np.where(finite, found, np.float32(np.nan))
        return scores

    def flags(self, inputs: NDArray[Any]) -> NDArray[np.bool_]:
        """Which inputs (n,) are beyond the threshold; those that are not finite are."""
        return flagged(self.scores(inputs), self.card.calibration.threshold)

    def p_values(self, inputs: NDArray[Any]) -> NDArray[np.float64]:
        """The share of benign inputs (n,) that score as high; nearly uniform where inputs are benign."""
        return p_values(self.scores(inputs), self._benign)


def _read(directory: str, name: str) -> bytes:
    path = os.path.join(directory, name)
    with regular_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MOST[name]:
            raise UsageError(f"{path}: more than {MOST[name]:,} bytes")
        data = bytearray()
        while len(data) < size and (part := file.read(size - len(data))):
            data += part
    return bytes(data)


def _benign(data: bytes, path: str, card: Manifest) -> NDArray[np.float32]:
    import safetensors
    import safetensors.numpy

    try:
        found = safetensors.numpy.load(data).get("scores")
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: no safetensors: {error}") from None
    if found is None or found.dtype != np.float32 or found.shape != (card.calibration.count,):
        raise UsageError(f"{path}: does not hold the {card.calibration.count:,} benign scores that it is said to hold")
    if not np.isfinite(found).all() or (np.diff(found) < 0).any():
        raise UsageError(f"{path}: its benign scores are not finite or not ascending")
    return np.asarray(found)


def _session(graph: bytes, path: str, threads: int) -> Any:
    try:
        import onnxruntime  # type: ignore[import-untyped,unused-ignore]
    except ModuleNotFoundError:
        raise UsageError("running a detector takes onnxruntime: pip install 'garrison[robustness]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no base of their own
        raise UsageError(f"{path}: ONNX Runtime does not take it: {str(error).splitlines()[0]}") from None
    if [one.name for one in session.get_inputs()] != ["inputs"] or [one.name for one in session.get_outputs()] != [
        "scores"
    ]:
        raise UsageError(f"{path}: is no graph from `inputs` to `scores`")
    return session
