"""Limits of charts for a stated average run length, by simulation from reference rows that they were not fitted to.

Rows are drawn with replacement, and what is measured is how often, on average, a chart comes to lie beyond a level.
Few such excursions are seen near the limit itself; those beyond a lower level are many, and what they have beyond it
is about exponentially distributed (Pickands 1975; Leadbetter, Lindgren and Rootzén 1983, on clusters), which gives
the limit. A standard error is added.
"""

import numpy as np
from numpy.typing import NDArray

from garrison.serving.observe.drift.chart import BATCH, Chart

_EXCURSIONS = 100


def limit(chart: Chart, rows: NDArray[np.float32], run_length: float, simulated: int, seed: int) -> float:
    """The T² that `chart` passes once in `run_length` rows, on average, from `rows` (n, numbers) of the reference."""
    random = np.random.default_rng(seed)
    chart.clear()
    block = max(int(4 / chart.weight), BATCH)
    blocks = max(simulated // block, 10 * _EXCURSIONS)
    heights = np.empty(blocks)
    chart.add(rows[random.integers(0, len(rows), 2 * block)])
    for number in range(blocks):
        heights[number] = chart.add(rows[random.integers(0, len(rows), block)]).max()
    chart.clear()
    heights = np.sort(heights)[::-1]
    level = heights[_EXCURSIONS]
    beyond = float((heights[:_EXCURSIONS] - level).mean()) * (1 + 1 / _EXCURSIONS**0.5)
    rate = _EXCURSIONS / (blocks * block)
    return float(level + beyond * max(np.log(rate * run_length), 0.0))
