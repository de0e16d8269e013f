"""Labelled inputs of a file or a folder, whatever its format."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from garrison.core.errors import UsageError
from garrison.robustness.data import Data, Kind

Channels = Literal["auto", "first", "last"]
Encoding = Literal["ordinal", "one-hot"]


@dataclass(frozen=True)
class Reading:
    """How a file is to be read, where it does not say so itself."""

    label: str | None = None
    """The column, the key or the array of the labels."""
    labels: str | None = None
    """The file of the labels, where they have one of their own."""
    kind: Kind | None = None
    channels: Channels = "auto"
    """Where images of four axes have their channels."""
    encoding: Encoding = "ordinal"
    """What categories in a table become: one column of 0, 1, ..., or a column of 0 and 1 for each."""
    text: str | None = None
    """The column or the key of the texts; without it a table is a table."""
    groups: tuple[str, ...] = ()
    """Columns by which to slice results. They stay inputs."""
    drop: tuple[str, ...] = ()
    """Columns that are no inputs."""


def read(
    path: "str | os.PathLike[str]",
    *,
    label: str | None = None,
    labels: "str | os.PathLike[str] | None" = None,
    kind: Kind | None = None,
    channels: Channels = "auto",
    encoding: Encoding = "ordinal",
    text: str | None = None,
    groups: Sequence[str] = (),
    drop: Sequence[str] = (),
) -> Data:
    """Labelled inputs of

    - `.npz` with arrays such as x and y, inputs and labels (of a training and a test part, the test part),
    - `.npy` with its labels in another one (`labels`),
    - IDX, as MNIST has it, gzipped or not: the images' file, whose labels lie beside it, or the folder of both,
    - CSV (`.csv`, `.tsv`, gzipped or not) and Parquet, with the `label` column by its name,
    - JSON Lines of texts with labels,
    - a folder of images, in a folder for each class.

    Images of whole numbers become numbers from 0 to 1, with their channels first. Nothing is unpickled. Raises
    `UsageError`, in one line, for what cannot be read, holds more than memory should, or is no data of two classes or
    more.
    """
    name = os.fspath(path)
    how = Reading(
        label, None if labels is None else os.fspath(labels), kind, channels, encoding, text, tuple(groups), tuple(drop)
    )
    if not os.path.exists(name):
        raise UsageError(f"{name}: there is no such file")
    return _reader(name)(name, how)


def _reader(name: str) -> Callable[[str, Reading], Data]:
    if os.path.isdir(name):
        from garrison.robustness.inputs import idx, image_folders

        return idx.read_folder if idx.has_pair(name) else image_folders.read
    lower = name.lower().removesuffix(".gz")
    if lower.endswith((".npz", ".npy")) and not name.lower().endswith(".gz"):
        from garrison.robustness.inputs import array_files

        return array_files.read_archive if lower.endswith(".npz") else array_files.read
    if lower.endswith((".csv", ".tsv")):
        from garrison.robustness.inputs import tables

        return tables.read_csv
    if lower.endswith((".parquet", ".pq")):
        from garrison.robustness.inputs import tables

        return tables.read_parquet
    if lower.endswith((".jsonl", ".ndjson")):
        from garrison.robustness.inputs import texts

        return texts.read_json_lines
    from garrison.robustness.inputs import idx

    if idx.is_idx(name):
        return idx.read
    raise UsageError(
        f"{name}: not of a kind that is read here: .npz, .npy, .csv, .tsv, .parquet, .jsonl, IDX or a folder"
    )
