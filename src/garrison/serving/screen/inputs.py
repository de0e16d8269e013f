"""Adversarial and foreign inputs, by the robustness room's stored detectors."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from garrison.serving.calls import Call, Mark
from garrison.serving.screen.settings import DetectorUse

_INLINE = 300.0
"""Microseconds up to which looking at an input takes less than handing it to a thread and back."""


class InputDetector:
    """One detector, for one input of one model. Safe to share by threads."""

    def __init__(self, name: str, use: DetectorUse) -> None:
        """Raises `UsageError` for a directory that holds no detector."""
        from garrison.robustness.detection.stored import StoredDetector

        self._name = name
        self._use = use
        self._detector = StoredDetector.load(use.directory)

    def takes_long(self, call: Call) -> bool:
        """Whether it should be asked in a thread."""
        cost = self._detector.cost
        rows = max((tensor.shape[0] for tensor in call.tensors() if tensor.shape), default=1)
        return cost is None or cost.microseconds * min(rows, self._use.most_rows) > _INLINE

    def marks(self, call: Call) -> Iterator[Mark]:
        """One for the row that looks worst, if any is flagged; what the detector cannot take is flagged, too."""
        inputs = self._inputs(call)
        if isinstance(inputs, str):
            yield Mark(rule="adversarial-input", message=f"{self._name}: {inputs}")
            return
        scores = self._detector.scores(inputs)
        flags = ~(scores <= self._detector.card.calibration.threshold)  # NaN is flagged
        if flags.any():
            worst = float(np.nan_to_num(scores[flags], nan=np.inf).max())
            yield Mark(
                rule="adversarial-input",
                message=f"{self._name}: {int(flags.sum())} of {len(flags)} rows",
                score=worst if np.isfinite(worst) else None,
            )

    def _inputs(self, call: Call) -> NDArray[Any] | str:
        """The rows (n, *shape) to look at, or why there are none."""
        tensors = [one for one in call.tensors() if not self._use.input or one.name == self._use.input]
        if len(tensors) != 1:
            return "its input is not there" if self._use.input else "the call has no single input"
        data, shape = tensors[0].data, self._detector.card.shape
        if data.dtype.kind not in "fiub":
            return "its input holds no numbers"
        size = int(np.prod(shape))
        # A single row may come without the axis of rows.
        rows = data.size // size if data.shape[1:] != shape else len(data)
        if rows * size != data.size or (data.ndim and data.shape[0] != rows and data.size != size):
            return "its input has another shape"
        if rows > self._use.most_rows:
            return f"more than {self._use.most_rows} rows"
        reshaped = data.reshape(rows, *shape)
        return reshaped if self._use.scale == 1.0 else np.asarray(reshaped, np.float32) * np.float32(self._use.scale)
