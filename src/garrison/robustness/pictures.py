"""Pictures for the card: arrays as PNG files in base64."""

import base64
import io

import numpy as np
from numpy.typing import ArrayLike, NDArray

from garrison.core.errors import UsageError


def png(image: ArrayLike, *, low: float = 0.0, high: float = 1.0, diverging: bool = False) -> str:
    """An image (height, width) or (channels, height, width), greyscale or RGB, as a PNG file in base64.

    Values from `low` to `high` go from black to white, and what lies beyond is clipped. A perturbation is `diverging`:
    its mean over the channels is shown, zero white, positive red, negative blue, and the largest deviation fullest.
    What is no number is shown as zero. Raises `UsageError` for other shapes and for a missing Pillow.
    """
    try:
        from PIL import Image
    except ImportError:
        raise UsageError("pictures need Pillow: pip install garrison[robustness]") from None
    values = np.nan_to_num(np.asarray(image, np.float64)).clip(-1e30, 1e30)
    if values.ndim == 2:
        values = values[None]
    if values.ndim != 3 or values.shape[0] not in (1, 3) or 0 in values.shape:
        raise UsageError(f"no image of one or three channels: its shape is {np.shape(image)}")
    if diverging:
        pixels = _red_and_blue(values.mean(0))
    else:
        share = (values - low) / (high - low) if high > low else np.zeros_like(values)
        pixels = np.moveaxis(_bytes(share), 0, -1)
        pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def _red_and_blue(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    scaled = values / max(float(np.abs(values).max()), 1e-12)
    fading = 1 - np.abs(scaled)
    red, blue = np.where(scaled >= 0, 1.0, fading), np.where(scaled <= 0, 1.0, fading)
    return _bytes(np.stack([red, fading, blue], -1))


def _bytes(share: NDArray[np.float64]) -> NDArray[np.uint8]:
    return (share.clip(0, 1) * 255).round().astype(np.uint8)
