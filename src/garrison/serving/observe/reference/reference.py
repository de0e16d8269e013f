"""The reference of a model: made from data that nobody has bent, stored as JSON and safetensors, loaded strictly."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from garrison import __version__
from garrison.core.errors import UsageError
from garrison.core.files import regular_file, replacing
from garrison.robustness.detection.sequences.exposure import Point
from garrison.robustness.detection.sequences.monitor import Monitor
from garrison.robustness.detection.sequences.monitor import Settings as MonitorSettings
from garrison.serving.observe.drift import fourier, limits
from garrison.serving.observe.drift.chart import Chart
from garrison.serving.observe.drift.windows import BINS, SHOWN, edges_of
from garrison.serving.observe.reference.columns import Layout, blocks_of
from garrison.serving.observe.reference.decisions import decisions, scores_of
from garrison.serving.observe.reference.manifest import (
    ARRAYS,
    MANIFEST,
    MOST,
    QUERIES,
    ChartLimit,
    Manifest,
    Performance,
    Side,
)
from garrison.serving.observe.reference.scaling import Scaling
from garrison.serving.tensors.tensor import Tensor

FEWEST = 300
"""Rows that a reference takes at the least."""
_MEMORIES = (40, 400)
_WINDOW = 500
_SAMPLE = 1000
_MEMORY = 512
"""Queries that are remembered of a principal, which takes 0.2 MB."""
_TESTS = 7
"""Among which false alarms are divided: two charts and a discrepancy for inputs and for outputs, and class shares."""


@dataclass(frozen=True, eq=False, repr=False)
class Reference:
    """What a model's traffic looks like while all is well."""

    manifest: Manifest
    arrays: Mapping[str, NDArray[np.float32]]
    queries: MonitorSettings | None
    digest: str
    """SHA-256 of `reference.json`, which names the hashes of the rest."""

    def array(self, side: str, name: str) -> NDArray[np.float32]:
        return self.arrays[f"{side}.{name}"]


def build(
    directory: str,
    model: str,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor] = (),
    *,
    scores: str = "",
    categories: frozenset[str] = frozenset(),
    performance: Performance | None = None,
    rows_per_false_alarm: float = 100_000,
    monitor: bool = True,
    curve: Sequence[Point] = (),
    simulated: int = 400_000,
    seed: int = 0,
) -> Reference:
    """Write the reference of a model to a directory, and read it back.

    `inputs` and `outputs` are those of the same rows, from data that the model was not trained with where outputs and
    `performance` are concerned. `scores` names the output that says the class, where there are several. With `monitor`
    a monitor of queries is fitted, whose account says what a copy could have reached by `curve`. `simulated` rows
    calibrate each chart. The charts' memories are at most a quarter of the rows, since a mean over more would see the
    error of the reference itself.

    Raises `UsageError` for too few rows, and for a directory that is there already.
    """
    random = np.random.default_rng(seed)
    arrays: dict[str, NDArray[np.float32]] = {}
    run_length = rows_per_false_alarm * _TESTS
    blocks = blocks_of(inputs, categories)
    read = Layout(blocks).matrix(inputs)
    if read is None:
        raise UsageError("the inputs have different numbers of rows")
    rows, _ = read
    if len(rows) < FEWEST:
        raise UsageError(f"{len(rows):,} rows; a reference takes {FEWEST:,} at the least")
    order = random.permutation(len(rows))
    input_side = _side("inputs", blocks, rows[order], run_length, simulated, arrays, seed)
    output_side, classes = None, ()
    told = scores_of(outputs, scores)
    if told is not None:
        found = decisions(told)
        names = frozenset({told.name}) if found is not None and told.data.dtype.kind != "f" else frozenset()
        blocks = blocks_of([told], names)
        read = Layout(blocks).matrix([told])
        if read is None or read[1] != len(rows):
            raise UsageError("the outputs are not those of the inputs: they have another number of rows")
        output_side = _side("outputs", blocks, read[0][order], run_length, simulated, arrays, seed + 1)
        if found is not None:
            width = told.data.shape[1] if told.data.ndim == 2 and told.data.shape[1] > 1 else 2
            classes = tuple(np.bincount(found, minlength=width).tolist())
    queries = _monitor(rows[order], curve, seed) if monitor else None
    _write(directory, model, input_side, output_side, classes, performance, rows_per_false_alarm, arrays, queries, seed)
    return load(directory)


def _side(
    name: str,
    blocks: tuple[Any, ...],
    rows: NDArray[np.float32],
    run_length: float,
    simulated: int,
    arrays: dict[str, NDArray[np.float32]],
    seed: int,
) -> Side:
    cut = 2 * len(rows) // 3
    columns = Layout(blocks).columns
    scaling = Scaling.fit(columns, rows[:cut])
    moments = scaling.moments(*scaling.standard(rows[:cut]))
    others = scaling.moments(*scaling.standard(rows[cut:]))
    centre, covariance = moments.mean(0), np.cov(moments.T).astype(np.float32)
    # The means of the two parts differ by the errors of both; from the truth the first differs by its own alone.
    apart = others.mean(0) - centre
    others -= apart * np.float32(1 - ((len(rows) - cut) / len(rows)) ** 0.5)
    charts = []
    for memory in _MEMORIES:
        memory = min(memory, cut // 4)
        chart = Chart(memory, covariance, centre)
        charts.append(ChartLimit(memory=memory, limit=limits.limit(chart, others, run_length, simulated, seed)))
    count = scaling.axes.shape[1]
    white, other_white = moments[:, :count], others[:, :count]
    frequencies, phases = fourier.drawn(white, seed)
    mean = fourier.features(white, frequencies, phases).mean(0)
    window = min(_WINDOW, cut // 2)
    discrepancy = fourier.limit(
        fourier.features(other_white, frequencies, phases), mean, window, window / run_length, seed
    )
    shown = np.unique(np.linspace(0, len(columns) - 1, min(SHOWN, len(columns))).astype(np.int64))
    sample = rows[:_SAMPLE, shown]
    edges = edges_of(sample, [at for at, place in enumerate(shown) if columns[place].kind == "category"])
    found = {**scaling.arrays(), "centre": centre, "covariance": covariance, "frequencies": frequencies,
             "phases": phases, "embedding": mean, "sample": sample, "edges": edges}  # fmt: skip
    arrays.update({f"{name}.{key}": np.ascontiguousarray(value, np.float32) for key, value in found.items()})
    return Side(blocks=blocks, fitted_with=cut, calibrated_with=len(rows) - cut, charts=tuple(charts), window=window,
                discrepancy=discrepancy)  # fmt: skip


def _monitor(rows: NDArray[np.float32], curve: Sequence[Point], seed: int) -> MonitorSettings:
    finite = rows[np.isfinite(rows).all(1)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    # Three tests share the budget, and each needs as many rows as one false alarm takes.
    fewest = 3 / max(len(finite) - len(finite) // 3 - 1, 1) * 1.02
    return Monitor.fit(
        finite, false_alarms=min(max(0.001, fewest), 0.5), low=low, high=max(high, low + 1e-6), memory=_MEMORY,
        curve=curve,
    ).settings  # fmt: skip


def _write(
    directory: str, model: str, inputs: Side, outputs: Side | None, classes: tuple[int, ...],
    performance: Performance | None, rows_per_false_alarm: float, arrays: dict[str, NDArray[np.float32]],
    queries: MonitorSettings | None, seed: int,
) -> None:  # fmt: skip
    import safetensors.numpy

    files = {ARRAYS: safetensors.numpy.save(arrays)}
    if queries is not None:
        files[QUERIES] = msgspec.json.encode(queries)
    manifest = Manifest(
        tool=f"garrison {__version__}", model=model, run_length=rows_per_false_alarm, seed=seed, inputs=inputs,
        outputs=outputs, classes=classes, performance=performance,
        files={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    )  # fmt: skip
    files[MANIFEST] = msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"
    try:
        # The seed of the monitor is secret, and samples may be somebody's data.
        os.mkdir(directory, 0o700)
        for name, data in files.items():
            with replacing(os.path.join(directory, name)) as file:
                file.write(data)
    except OSError as error:
        raise UsageError(f"{directory}: cannot be written: {error.strerror}") from None


def load(directory: str) -> Reference:
    """The reference in a directory. Raises `UsageError` for one that is torn, altered, of a newer format, or whose
    parts do not fit together."""
    path = os.path.join(directory, MANIFEST)
    text = _read(directory, MANIFEST)
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UsageError(f"{path}: no reference: {error}") from None
    if ARRAYS not in manifest.files or not set(manifest.files) <= {ARRAYS, QUERIES}:
        raise UsageError(f"{path}: names {', '.join(sorted(manifest.files)) or 'no files'}, where it is {ARRAYS}")
    files = {name: _read(directory, name) for name in manifest.files}
    for name, data in files.items():
        if hashlib.sha256(data).hexdigest() != manifest.files[name]:
            raise UsageError(f"{os.path.join(directory, name)}: is not the file that {MANIFEST} names: altered or torn")
    arrays = _arrays(files[ARRAYS], manifest, os.path.join(directory, ARRAYS))
    queries = None
    if QUERIES in files:
        try:
            queries = msgspec.json.decode(files[QUERIES], type=MonitorSettings)
            Monitor(queries)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise UsageError(f"{os.path.join(directory, QUERIES)}: no settings of a monitor: {error}") from None
    return Reference(manifest=manifest, arrays=arrays, queries=queries, digest=hashlib.sha256(text).hexdigest())


def _arrays(data: bytes, manifest: Manifest, path: str) -> dict[str, NDArray[np.float32]]:
    import safetensors
    import safetensors.numpy

    try:
        arrays = safetensors.numpy.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: no safetensors: {error}") from None
    sides = {"inputs": manifest.inputs} | ({"outputs": manifest.outputs} if manifest.outputs else {})
    expected = {f"{side}.{name}": shape for side, one in sides.items() for name, shape in _shapes(one, side, arrays)}
    if set(arrays) != set(expected):
        raise UsageError(f"{path}: holds other arrays than a reference does")
    for name, shape in expected.items():
        found = arrays[name]
        if found.dtype != np.float32 or found.shape != shape:
            raise UsageError(f"{path}: {name} is not float32 of {shape}")
        if not name.endswith(".sample") and not np.isfinite(found).all():
            raise UsageError(f"{path}: {name} has numbers that are not finite")
        if name.endswith(".scales") and not (found > 0).all():
            raise UsageError(f"{path}: {name} has scales that are none")
        if name.endswith(".covariance") and not (np.linalg.eigvalsh(found.astype(np.float64)) > -1e-3).all():
            raise UsageError(f"{path}: {name} is the covariance of nothing")
    return arrays


def _shapes(side: Side, name: str, arrays: Mapping[str, NDArray[Any]]) -> list[tuple[str, tuple[int, ...]]]:
    columns = [column for block in side.blocks for column in block.columns]
    features = sum(len(one.levels) if one.kind == "category" else 1 for one in columns)
    axes, sample = arrays.get(f"{name}.axes"), arrays.get(f"{name}.sample")
    count = axes.shape[1] if axes is not None and axes.ndim == 2 else 0
    kept = len(sample) if sample is not None and sample.ndim else 0
    moments, shown = 2 * count + 2, min(SHOWN, len(columns))
    return [
        ("means", (features,)), ("scales", (features,)), ("axes", (features, count)), ("rest", (2,)),
        ("centre", (moments,)), ("covariance", (moments, moments)), ("frequencies", (count, fourier.FEATURES)),
        ("phases", (fourier.FEATURES,)), ("embedding", (fourier.FEATURES,)), ("sample", (kept, shown)),
        ("edges", (shown, BINS - 1)),
    ]  # fmt: skip


def _read(directory: str, name: str) -> bytes:
    path = os.path.join(directory, name)
    with regular_file(path) as file:
        parts, left = [], MOST[name] + 1
        while left and (part := file.read(left)):
            parts.append(part)
            left -= len(part)
    if not left:
        raise UsageError(f"{path}: more than {MOST[name]:,} bytes")
    return b"".join(parts)


def performance_of(
    labels: NDArray[np.integer], decided: NDArray[np.integer], groups: Mapping[str, Sequence[str]], positive: int = 1
) -> Performance:
    """What `build` takes as `performance`, from true and decided classes (n,) and the groups (n,) of each attribute."""
    from garrison.serving.observe.feedback.groups import Tally

    found = {}
    for attribute, values in groups.items():
        tally = Tally()
        tally.add(list(values), labels == positive, decided == positive)
        found[attribute] = tally.baseline()
    if not len(labels) or len(labels) != len(decided):
        raise UsageError("there are no labels, or not as many as decisions")
    return Performance(accuracy=float(np.mean(labels == decided)), count=len(labels), groups=found)
