"""Inputs, or outputs, of one model, watched by everything that there is."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from garrison.serving.observe.drift.chart import Chart, Tracked
from garrison.serving.observe.drift.fourier import Window
from garrison.serving.observe.drift.windows import SHOWN, Windows, compared
from garrison.serving.observe.reference.columns import Layout
from garrison.serving.observe.reference.manifest import Side
from garrison.serving.observe.reference.reference import Reference
from garrison.serving.observe.reference.scaling import Scaling


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """The first alarm among some rows."""

    row: int
    test: str
    """`chart 40`, with its memory in rows; `discrepancy`; `shares`."""
    statistic: float
    limit: float


class SideWatch:
    """Takes in rows, and says where they stop looking like the reference."""

    def __init__(
        self, name: str, side: Side, reference: Reference, rows: int, seconds: float, clock: Callable[[], float]
    ) -> None:
        """`name` is `inputs` or `outputs`; windows for the report are of so many rows, or so many seconds."""
        self.layout = Layout(side.blocks)
        arrays = {key: reference.array(name, key) for key in ("means", "scales", "axes", "rest")}
        self._scaling = Scaling(self.layout.columns, arrays)
        covariance, centre = reference.array(name, "covariance"), reference.array(name, "centre")
        self._charts = [(Chart(one.memory, covariance, centre), one.limit, one.memory) for one in side.charts]
        self._window = Window(
            reference.array(name, "frequencies"), reference.array(name, "phases"), reference.array(name, "embedding"),
            side.window,
        )  # fmt: skip
        self._discrepancy = side.discrepancy
        self._components = self._scaling.axes.shape[1]
        self._tracked = Tracked(side.charts[0].memory, len(self._scaling.means))
        self._windows = Windows(rows, seconds, clock)
        self._shown = np.unique(
            np.linspace(0, len(self.layout.columns) - 1, min(SHOWN, len(self.layout.columns))).astype(np.int64)
        )
        self._sample, self._edges = reference.array(name, "sample"), reference.array(name, "edges")
        self.recovery = int(2 * max(one.memory for one in side.charts))
        """Rows without an alarm after which drift counts as over."""
        self.rows = 0
        self.statistics: dict[str, float] = {}

    def add(self, rows: NDArray[np.float32]) -> Alarm | None:
        """Take in rows (n, columns) of the layout. Returns the earliest alarm among them."""
        standard, missing = self._scaling.standard(rows)
        moments = self._scaling.moments(standard, missing)
        self._tracked.add(standard)
        self._windows.add(rows[:, self._shown] if len(self._shown) < rows.shape[1] else rows)
        found: Alarm | None = None
        for chart, limit, memory in self._charts:
            squares = chart.add(moments)
            self.statistics[f"chart {memory:g}"] = float(squares[-1]) / limit
            if squares.max() > limit:
                row = int(np.argmax(squares > limit))
                if found is None or row < found.row:
                    found = Alarm(row=row, test=f"chart {memory:g}", statistic=float(squares[row]), limit=limit)
        for row, value in self._window.add(moments[:, : self._components]):
            self.statistics["discrepancy"] = value / self._discrepancy
            if value > self._discrepancy and (found is None or row < found.row):
                found = Alarm(row=row, test="discrepancy", statistic=value, limit=self._discrepancy)
        self.rows += len(rows)
        return found

    def moved(self) -> list[dict[str, Any]]:
        """The features that moved most, by the moving average over the shorter memory."""
        return self._tracked.moved(self._scaling.names)

    def report(self) -> dict[str, Any]:
        """How things stand: each statistic as a multiple of its limit, what moved, and the last window by feature."""
        window = self._windows.last if self._windows.last is not None else self._windows.current()
        names = tuple(self.layout.columns[at].name for at in self._shown)
        return {
            "rows": self.rows,
            "statistics": {name: round(value, 4) for name, value in self.statistics.items()},
            "moved": self.moved(),
            "window": [] if window is None else compared(window, self._sample, self._edges, names),
            "window_rows": self._windows.last_seen if self._windows.last is not None else self._windows.seen,
        }

    def state(self) -> list[bytes]:
        """What the charts remember, for `restore`."""
        return [chart.mean.tobytes() for chart, _, _ in self._charts]

    def restore(self, state: list[bytes]) -> None:
        """Go on from a state of the same reference; another is passed over."""
        means = [np.frombuffer(one, np.float32) for one in state if len(one) % 4 == 0]
        if len(means) != len(self._charts):
            return
        for (chart, _, _), mean in zip(self._charts, means, strict=True):
            if mean.shape == chart.mean.shape and np.isfinite(mean).all():
                chart.mean = mean.copy()
