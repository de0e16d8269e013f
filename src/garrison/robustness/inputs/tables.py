"""Tables with named columns: CSV and Parquet."""

import csv
import importlib.util
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from garrison.core.errors import UsageError, first_line
from garrison.core.files import regular_file
from garrison.robustness.data import Data
from garrison.robustness.inputs.assembled import finite
from garrison.robustness.inputs.files import MOST, digest
from garrison.robustness.inputs.labels import indices
from garrison.robustness.inputs.reading import Reading
from garrison.robustness.inputs.texts import LABELS, TEXTS, chosen, decoded, from_texts

_DELIMITERS = ",;\t|"
_MOST_CATEGORIES = 1_000


@dataclass(frozen=True, eq=False)
class _Column:
    """One column: its numbers, or its texts."""

    values: NDArray[Any]

    @property
    def numbers(self) -> bool:
        return self.values.dtype.kind in "biuf"


def read_csv(path: str, how: Reading) -> Data:
    """A CSV file in UTF-8; its delimiter is found, and without a header its columns are called 0, 1, ...

    Raises `UsageError`.
    """
    text = decoded(path)
    delimiter = "\t" if path.lower().removesuffix(".gz").endswith(".tsv") else _delimiter(text)
    rows: list[list[str]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if row:
                if rows and len(row) != len(rows[0]):
                    raise UsageError(
                        f"{path}: line {reader.line_num} has {len(row)} columns, and the first {len(rows[0])}"
                    )
                rows.append(row)
    except csv.Error as error:
        raise UsageError(f"{path}: line {reader.line_num}: {error}") from None
    if not rows:
        raise UsageError(f"{path}: it is empty")
    header = not any(_is_number(cell) for cell in rows[0])
    names = [name.strip() for name in rows[0]] if header else [str(number) for number in range(len(rows[0]))]
    del rows[: int(header)]
    if not rows:
        raise UsageError(f"{path}: a header and no rows")
    columns = [_column(cells) for cells in zip(*rows, strict=True)]
    return _data(names, columns, path, how)


def read_parquet(path: str, how: Reading) -> Data:
    """A Parquet file of flat columns. Raises `UsageError`."""
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError("reading Parquet needs pyarrow: pip install pyarrow")
    import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]
    import pyarrow.parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]

    with regular_file(path) as file:
        try:
            parquet = pyarrow.parquet.ParquetFile(pyarrow.PythonFile(file, mode="r"))
            groups = [parquet.metadata.row_group(number) for number in range(parquet.num_row_groups)]
            if sum(group.total_byte_size for group in groups) > MOST or parquet.metadata.num_rows > MOST // 8:
                raise UsageError(f"{path}: more than {MOST >> 20:,} MiB")
            table = parquet.read()
        except (pyarrow.ArrowException, OSError) as error:
            raise UsageError(f"{path}: {first_line(error)}") from None
    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        if column.null_count:
            raise UsageError(f"{path}: column {name!r} has {column.null_count} missing values: fill them or drop it")
        values = column.to_numpy()
        columns.append(
            _Column(values if values.dtype.kind in "biuf" else np.array([str(v) for v in column.to_pylist()]))
        )
    if not table.num_rows:
        raise UsageError(f"{path}: it is empty")
    return _data(table.column_names, columns, path, how)


def _delimiter(text: str) -> str:
    """The delimiter that the first lines have the most of."""
    first = text.split("\n", 1)[0]
    return max(_DELIMITERS, key=first.count)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _column(cells: Sequence[str]) -> _Column:
    try:
        return _Column(np.array([float(cell) for cell in cells]))
    except ValueError:
        return _Column(np.array(cells))


def _data(names: list[str], columns: list[_Column], path: str, how: Reading) -> Data:
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"{path}: two columns are called {twice!r}")
    table = dict(zip(names, columns, strict=True))
    label = chosen(names, how.label, LABELS, path, "labels")
    for name in (*how.groups, *how.drop):
        chosen(names, name, (), path, "columns")
    groups = {name: table[name].values for name in how.groups}
    if how.text is not None or how.kind == "text":
        text = chosen(names, how.text, TEXTS, path, "texts")
        data = from_texts([str(v) for v in table[text].values], table[label].values, path, digest([path]))
        data.groups.update(groups)
        return data
    labels, classes = indices(table[label].values, f"{path}: {label}")
    kept = {name: column for name, column in table.items() if name != label and name not in how.drop}
    if not kept:
        raise UsageError(f"{path}: no column but the labels")
    features: list[str] = []
    arrays: list[NDArray[Any]] = []
    categories: dict[str, tuple[str, ...]] = {}
    for name, column in kept.items():
        if column.numbers:
            features.append(name)
            arrays.append(_finite_column(column, name, path))
            continue
        known, codes = _codes(column, name, path)
        if how.encoding == "ordinal":
            features.append(name)
            arrays.append(codes.astype(np.float32))
            categories[name] = known
        else:
            features.extend(f"{name}={value}" for value in known)
            arrays.extend((codes == position).astype(np.float32) for position in range(len(known)))
    if len(arrays) * len(labels) * 4 > MOST:
        raise UsageError(f"{path}: more than {MOST >> 20:,} MiB")
    inputs = finite(np.stack(arrays, 1), path)
    return Data(inputs, labels, "table", path, digest([path]), classes, tuple(features), categories, groups)


def _finite_column(column: _Column, name: str, path: str) -> NDArray[Any]:
    bad = np.flatnonzero(~np.isfinite(column.values.astype(np.float64)))
    if len(bad):
        raise UsageError(
            f"{path}: column {name!r} has {len(bad)} values that are no finite numbers, first in row {bad[0] + 1}"
        )
    return column.values


def _codes(column: _Column, name: str, path: str) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The categories of a column in the order of their names, and each value's position among them."""
    known, codes = np.unique(column.values, return_inverse=True)
    missing = int((column.values == "").sum())
    if missing:
        raise UsageError(f"{path}: column {name!r} has {missing} empty cells: fill them or drop it")
    if len(known) > _MOST_CATEGORIES:
        raise UsageError(f"{path}: column {name!r} has {len(known):,} different texts: drop it, or name it with --text")
    return tuple(map(str, known)), codes.astype(np.int64)
