"""Arrays that were read, as data: finite numbers, images with their channels first, one label for each input."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from garrison.core.errors import UsageError
from garrison.robustness.data import Data, Kind
from garrison.robustness.inputs.files import MOST
from garrison.robustness.inputs.labels import indices
from garrison.robustness.inputs.reading import Channels

_CHANNELS = (1, 3, 4)
"""Of images: grey, colours, colours with transparency."""


def from_arrays(
    inputs: NDArray[Any],
    labels: Any,
    source: str,
    *,
    sha256: str,
    kind: Kind | None = None,
    channels: Channels = "auto",
    classes: tuple[str, ...] = (),
) -> Data:
    """Data of numbers. Raises `UsageError`."""
    if inputs.dtype.kind not in "biuf":
        raise UsageError(f"{source}: inputs of type {inputs.dtype}, where numbers are meant")
    if inputs.ndim < 2 or 0 in inputs.shape:
        raise UsageError(f"{source}: inputs of shape {_shape(inputs.shape)}: nothing to attack")
    if inputs.size * 4 > MOST:
        raise UsageError(f"{source}: inputs of more than {MOST >> 20:,} MiB")
    counted, names = indices(labels, source)
    require_as_many(len(inputs), len(counted), source)
    found: Kind = kind or ("table" if inputs.ndim == 2 else "image")
    notes: list[str] = []
    if found == "image":
        inputs = _channels_first(inputs, channels, source)
        scaled = _scaled(inputs, notes)
    elif inputs.ndim != 2:
        raise UsageError(f"{source}: inputs of shape {_shape(inputs.shape)} are no table")
    else:
        scaled = finite(inputs, source)
    return Data(finite(scaled, source), counted, found, source, sha256, classes or names, notes=tuple(notes))


def finite(inputs: NDArray[Any], source: str) -> NDArray[np.float32]:
    """Inputs as float32. Raises `UsageError` where one is no finite number, and says which."""
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = np.ascontiguousarray(inputs, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(numbers).all(axis=tuple(range(1, numbers.ndim))))
    if len(bad):
        raise UsageError(
            f"{source}: {len(bad)} inputs have values that are no finite numbers, the first is input {bad[0]}"
        )
    return numbers


def require_as_many(inputs: int, labels: int, source: str) -> None:
    """Raise `UsageError` unless each input has a label."""
    if inputs != labels:
        raise UsageError(f"{source}: {inputs} inputs and {labels} labels")


def _channels_first(images: NDArray[Any], channels: Channels, source: str) -> NDArray[Any]:
    if images.ndim == 3:
        return images[:, None]
    if images.ndim != 4:
        raise UsageError(f"{source}: inputs of shape {_shape(images.shape)} are no images")
    if channels == "auto":
        first, last = images.shape[1] in _CHANNELS, images.shape[3] in _CHANNELS
        if first and last and images.shape[1] != images.shape[3]:
            shape = _shape(images.shape[1:])
            raise UsageError(f"{source}: images of {shape} may have their channels first or last: say --channels")
        channels = "last" if last and not first else "first"
    return images if channels == "first" else np.moveaxis(images, 3, 1)


def _scaled(images: NDArray[Any], notes: list[str]) -> NDArray[np.float32]:
    """Whole numbers become numbers from 0 to 1, by the most that their type holds, or by 255."""
    if images.dtype.kind == "b" or images.dtype.kind == "f":
        return images.astype(np.float32)
    most = int(images.max())
    if images.dtype == np.uint16 and most > 255:
        highest = 65535
    elif images.dtype == np.uint8 or (1 < most <= 255 and int(images.min()) >= 0):
        highest = 255
    else:
        return images.astype(np.float32)
    notes.append(f"values were divided by {highest}")
    return images.astype(np.float32) / np.float32(highest)


def _shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) or "none"
