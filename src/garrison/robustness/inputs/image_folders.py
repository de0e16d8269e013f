"""A folder with a folder of images for each class."""

import os
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from garrison.core.errors import UsageError, first_line
from garrison.core.files import regular_file
from garrison.robustness.data import Data
from garrison.robustness.inputs.assembled import from_arrays
from garrison.robustness.inputs.files import MOST, digest
from garrison.robustness.inputs.reading import Reading

_FORMATS = ("PNG", "JPEG", "BMP", "PPM", "WEBP")
"""What decoders are let loose on files."""
_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".ppm", ".webp")
_MOST_PIXELS = 1 << 26
"""Of one image."""


def read(folder: str, how: Reading) -> Data:
    """Images of one size, whose class is the name of the folder that they are in. Raises `UsageError`."""
    classes = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    paths: list[str] = []
    labels: list[int] = []
    for number, name in enumerate(classes):
        inside = os.path.join(folder, name)
        found = [os.path.join(inside, file) for file in sorted(os.listdir(inside)) if file.lower().endswith(_ENDINGS)]
        paths.extend(found)
        labels.extend([number] * len(found))
    if not paths:
        raise UsageError(f"{folder}: no images of the form CLASS/NAME.png below it, and no IDX files in it")
    images = _images(paths)
    return from_arrays(
        images, np.array(labels), folder, sha256=digest(paths), kind="image", channels="last", classes=tuple(classes)
    )


def _images(paths: list[str]) -> NDArray[np.uint8]:
    """Images (n, height, width, channels): one channel where all are grey, else three."""
    first = _image(paths[0])
    if len(paths) * first.shape[0] * first.shape[1] * 3 * 4 > MOST:
        raise UsageError(f"{paths[0]}: {len(paths):,} images of this size are more than {MOST >> 20:,} MiB")
    images = np.empty((len(paths), *first.shape[:2], 3), np.uint8)
    grey = True
    for number, path in enumerate(paths):
        image = _image(path)
        if image.shape[:2] != first.shape[:2]:
            sizes = [f"{array.shape[1]}×{array.shape[0]}" for array in (image, first)]
            raise UsageError(f"{path}: an image of {sizes[0]}, and the first one is of {sizes[1]}: make them one size")
        grey = grey and image.shape[2] == 1
        images[number] = image
    return images[..., :1] if grey else images


def _image(path: str) -> NDArray[Any]:
    """One image (height, width, 1 or 3)."""
    from PIL import Image

    with regular_file(path) as file, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(file, formats=_FORMATS)
            if image.width * image.height > _MOST_PIXELS:
                raise UsageError(f"{path}: an image of {image.width}×{image.height}")
            if image.mode in ("I", "F") or image.mode.startswith("I;"):
                raise UsageError(f"{path}: an image of more than eight bits a channel: put them into an .npz")
            array = np.asarray(image.convert("L" if image.mode in ("1", "L", "LA") else "RGB"))
        except (
            OSError,
            ValueError,
            SyntaxError,
            Image.DecompressionBombError,
            Image.DecompressionBombWarning,
        ) as error:
            raise UsageError(f"{path}: {first_line(error)}") from None
    return array[..., None] if array.ndim == 2 else array
