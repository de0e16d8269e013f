"""Damage to images that no attacker is needed for: noise, blur, weather, compression, and a camera held askew.

The kinds and their five severities follow D. Hendrycks, T. Dietterich, Benchmarking neural network robustness to
common corruptions and perturbations, 2019. Lengths are shares of the shorter side here, so that a severity means the
same for 8×8 and 224×224 pixels; figures are therefore not comparable with those of ImageNet-C. The parameters are in
`corruptions.json`. Tables are not covered.
"""

import io
import json
import zlib
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage  # type: ignore[import-untyped]

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Corruption, rate
from garrison.robustness.attacks.attack import Progress
from garrison.robustness.classifier import Classifier

Images = NDArray[np.float32]
"""(n, channels, height, width)"""

SEVERITIES = (1, 2, 3, 4, 5)

_PARAMETERS: dict[str, dict[str, Any]] = json.loads(
    resources.files("garrison.robustness").joinpath("corruptions.json").read_text("utf-8")
)

NAMES = tuple(_PARAMETERS)

_BATCH = 256
"""Images that are damaged and classified together; part of what a seed stands for."""


def corrupted(images: Images, name: str, severity: int, *, seed: int, low: float = 0.0, high: float = 1.0) -> Images:
    """`images` (n, channels, height, width), which range from `low` to `high`, damaged; the same for the same seed.

    All severities of a kind share their random numbers, so that a higher one is more of the same damage.
    Raises `UsageError`.
    """
    if images.ndim != 4:
        raise UsageError(f"corruptions are for images (n, channels, height, width), not {images.shape}")
    if name not in _KINDS:
        raise UsageError(f"there is no corruption {name!r}; there are {', '.join(NAMES)}")
    if severity not in SEVERITIES:
        raise UsageError(f"a severity is 1 to 5, not {severity}")
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise UsageError(f"images to be damaged need a range, not {low} to {high}")
    chosen = {parameter: values[severity - 1] for parameter, values in _PARAMETERS[name].items() if parameter != "what"}
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    unit = _array((images.astype(np.float32) - low) / (high - low))
    damaged = [_KINDS[name](unit[at : at + _BATCH], rng, **chosen) for at in range(0, len(unit), _BATCH)]
    whole = np.concatenate(damaged) if damaged else unit
    return _array(np.clip(np.clip(whole, 0, 1) * (high - low) + low, low, high))


def measure(
    classifier: Classifier,
    images: Images,
    labels: NDArray[np.int64],
    *,
    seed: int,
    severities: Sequence[int] = SEVERITIES,
    progress: Progress | None = None,
) -> tuple[Corruption, ...]:
    """The accuracy under each corruption and severity. `images` within the bounds of the classifier, which must be
    two numbers. Raises `UsageError`."""
    low, high = (torch.as_tensor(bound) for bound in (classifier.low, classifier.high))
    if low.numel() != 1 or high.numel() != 1:
        raise UsageError("corruptions need one range for all pixels, and this model has one for each input feature")
    found = []
    for number, name in enumerate(NAMES):
        for severity in severities:
            damaged = corrupted(images, name, severity, seed=seed, low=float(low), high=float(high))
            right = 0
            for at in range(0, len(damaged), _BATCH):
                decided = classifier.labels(torch.from_numpy(damaged[at : at + _BATCH]).to(classifier.device))
                right += int((decided.cpu().numpy() == labels[at : at + _BATCH]).sum())
            found.append(Corruption(name=name, severity=severity, accuracy=rate(right, len(labels))))
        if progress:
            progress((number + 1) / len(NAMES))
    return tuple(found)


def _gaussian_noise(images: Images, rng: np.random.Generator, *, deviation: float) -> Images:
    return _array(images + deviation * rng.standard_normal(images.shape, dtype=np.float32))


def _shot_noise(images: Images, rng: np.random.Generator, *, photons: float) -> Images:
    return _array(rng.poisson(np.clip(images, 0, 1) * photons) / photons)


def _impulse_noise(images: Images, rng: np.random.Generator, *, share: float) -> Images:
    drawn = rng.random(images.shape, dtype=np.float32)
    return _array(np.where(drawn < share / 2, 0, np.where(drawn > 1 - share / 2, 1, images)))


def _gaussian_blur(images: Images, rng: np.random.Generator, *, deviation: float) -> Images:
    width = deviation * _side(images)
    return _array(ndimage.gaussian_filter(images, (0, 0, width, width), mode="nearest"))


def _defocus_blur(images: Images, rng: np.random.Generator, *, radius: float) -> Images:
    pixels = radius * _side(images)
    reach = int(np.ceil(pixels)) + 1
    down, right = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    # The edge of the disc is soft, so that discs smaller than a pixel have an effect, too.
    disc = np.clip(pixels + 0.5 - np.hypot(down, right), 0, 1)
    return _array(ndimage.convolve(images, (disc / disc.sum())[None, None].astype(np.float32), mode="nearest"))


def _motion_blur(images: Images, rng: np.random.Generator, *, length: float) -> Images:
    """The mean of copies along a line; fractions of a pixel by linear interpolation."""
    pixels = length * _side(images)
    angles = rng.uniform(0, 2 * np.pi, len(images))
    places = np.linspace(-0.5, 0.5, 2 * int(np.ceil(pixels)) + 1) * pixels
    blurred = np.empty_like(images)
    for image, angle, target in zip(images, angles, blurred, strict=True):
        copies = [
            ndimage.shift(image, (0, place * np.sin(angle), place * np.cos(angle)), order=1, mode="nearest")
            for place in places
        ]
        target[:] = np.mean(copies, axis=0)
    return blurred


def _brightness(images: Images, rng: np.random.Generator, *, more: float) -> Images:
    return _array(images + more)


def _contrast(images: Images, rng: np.random.Generator, *, left: float) -> Images:
    means = images.mean((2, 3), keepdims=True)
    return _array((images - means) * left + means)


def _fog(images: Images, rng: np.random.Generator, *, weight: float, decay: float) -> Images:
    """As Hendrycks and Dietterich mix it; the cloud is a sum of smooth noise in octaves."""
    height, width = images.shape[2:]
    cloud = np.zeros((len(images), height, width), np.float32)
    size, strength = 2, 1.0
    while size <= 2 * max(height, width):
        grid = rng.random((len(images), size, size), dtype=np.float32)
        down, right = (np.linspace(0, size - 1, length) for length in (height, width))
        where = np.meshgrid(down, right, indexing="ij")
        for layer, target in zip(grid, cloud, strict=True):
            target += np.float32(strength) * ndimage.map_coordinates(layer, where, order=1, mode="nearest")
        size, strength = size * 2, strength / decay
    flat = cloud.reshape(len(images), -1)
    span = np.ptp(flat, axis=1, keepdims=True) if flat.size else flat
    even = (flat - flat.min(1, keepdims=True)) / np.maximum(span, 1e-6) if flat.size else flat
    brightest = images.max((1, 2, 3), keepdims=True)
    fogged: Images = images + weight * even.reshape(len(images), 1, height, width)
    return _array(fogged * brightest / (brightest + weight))


def _pixelate(images: Images, rng: np.random.Generator, *, left: float) -> Images:
    height, width = images.shape[2:]
    small = max(1, round(width * left)), max(1, round(height * left))
    return _by_channel(
        images,
        lambda plane: plane.resize(small, Image.Resampling.BOX).resize((width, height), Image.Resampling.NEAREST),
    )


def _jpeg(images: Images, rng: np.random.Generator, *, quality: int) -> Images:
    """Three channels are compressed as colours, others each on its own."""

    def through(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    bytes_ = np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)
    if images.shape[1] != 3:
        planes = [[np.asarray(through(Image.fromarray(plane))) for plane in image] for image in bytes_]
        return _array(planes).reshape(images.shape) / np.float32(255)
    colours = [np.asarray(through(Image.fromarray(image.transpose(1, 2, 0)))).transpose(2, 0, 1) for image in bytes_]
    return _array(colours) / np.float32(255)


def _elastic(images: Images, rng: np.random.Generator, *, shift: float, smoothness: float) -> Images:
    side = _side(images)
    height, width = images.shape[2:]
    grid = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    shifts = rng.uniform(-1, 1, (len(images), 2, height, width))
    shifts = ndimage.gaussian_filter(shifts, (0, 0, smoothness * side, smoothness * side), mode="reflect")
    shifts *= shift * side / np.maximum(np.abs(shifts).max((1, 2, 3), keepdims=True), 1e-12)
    stretched = np.empty_like(images)
    for image, moves, target in zip(images, shifts, stretched, strict=True):
        where = [axis + move for axis, move in zip(grid, moves, strict=True)]
        for plane, place in zip(image, target, strict=True):
            place[:] = ndimage.map_coordinates(plane, where, order=1, mode="nearest")
    return stretched


def _occlusion(images: Images, rng: np.random.Generator, *, side: float) -> Images:
    height, width = images.shape[2:]
    pixels = max(1, round(side * _side(images)))
    places = rng.random((len(images), 2))
    hidden = images.copy()
    for image, (down, right) in zip(hidden, places, strict=True):
        top, left = int(down * (height - pixels + 1)), int(right * (width - pixels + 1))
        image[:, top : top + pixels, left : left + pixels] = 0.5
    return hidden


def _rotation(images: Images, rng: np.random.Generator, *, degrees: float) -> Images:
    signs = rng.choice([-1, 1], len(images))
    turned = np.empty_like(images)
    for sign in (-1, 1):
        which = signs == sign
        if which.any():
            turned[which] = ndimage.rotate(
                images[which], sign * degrees, axes=(2, 3), reshape=False, order=1, mode="nearest"
            )
    return turned


def _translation(images: Images, rng: np.random.Generator, *, shift: float) -> Images:
    angles = rng.uniform(0, 2 * np.pi, len(images))
    pixels = shift * _side(images)
    moved = np.empty_like(images)
    for image, angle, target in zip(images, angles, moved, strict=True):
        target[:] = ndimage.shift(image, (0, pixels * np.sin(angle), pixels * np.cos(angle)), order=1, mode="nearest")
    return moved


def _scale(images: Images, rng: np.random.Generator, *, left: float) -> Images:
    """Smaller, about the middle; what comes into view repeats the edge."""
    middle = (np.array(images.shape[2:]) - 1) / 2
    return _array(
        ndimage.affine_transform(
            images,
            np.array([1, 1, 1 / left, 1 / left]),
            np.concatenate([[0, 0], middle - middle / left]),
            order=1,
            mode="nearest",
        )
    )


_KINDS: dict[str, Callable[..., Images]] = {
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "gaussian_blur": _gaussian_blur,
    "defocus_blur": _defocus_blur,
    "motion_blur": _motion_blur,
    "brightness": _brightness,
    "contrast": _contrast,
    "fog": _fog,
    "pixelate": _pixelate,
    "jpeg": _jpeg,
    "elastic": _elastic,
    "occlusion": _occlusion,
    "rotation": _rotation,
    "translation": _translation,
    "scale": _scale,
}


def _side(images: Images) -> int:
    return int(min(images.shape[2:]))


def _array(values: Any) -> Images:
    """In float32, whatever it was computed in."""
    return np.asarray(values, np.float32)


def _by_channel(images: Images, change: Callable[[Image.Image], Image.Image]) -> Images:
    """Each channel of each image through Pillow, in floats."""
    planes = [[np.asarray(change(Image.fromarray(plane))) for plane in image] for image in images]
    return np.asarray(planes, np.float32).reshape(images.shape)
