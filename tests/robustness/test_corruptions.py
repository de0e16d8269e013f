"""Corruptions: seeded, within the bounds, for any channels and sizes, and worse with severity."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from garrison.core.errors import UsageError
from garrison.robustness.classifier import Classifier, of_module
from garrison.robustness.corruptions import NAMES, SEVERITIES, corrupted, measure
from tests.robustness.conftest import Digits


def smooth(count: int, channels: int, height: int, width: int) -> np.ndarray:
    """Images with some structure: sums of random waves."""
    rng = np.random.default_rng(0)
    down, right = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    waves = rng.uniform(1, 9, (count, channels, 4, 2, 1, 1))
    image = np.sin(waves[..., 0, :, :] * down + waves[..., 1, :, :] * right).mean(2)
    return ((image + 1) / 2).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (2, 3, 32, 20), (2, 2, 9, 17)])
def test_any_image_is_damaged_within_its_bounds(name: str, shape: tuple[int, ...]) -> None:
    images = smooth(*shape) * 2 - 1
    before = images.copy()
    damaged = corrupted(images, name, 5, seed=0, low=-1.0, high=1.0)
    assert damaged.shape == images.shape
    assert damaged.dtype == np.float32
    assert damaged.min() >= -1 and damaged.max() <= 1
    assert not np.array_equal(damaged, images)
    assert np.array_equal(images, before)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_damages_the_same(name: str) -> None:
    images = smooth(6, 1, 12, 12)
    once, again = (corrupted(images, name, 3, seed=4) for _ in range(2))
    assert np.array_equal(once, again)


DRAWN = ("gaussian_noise", "shot_noise", "impulse_noise", "motion_blur", "fog", "elastic", "occlusion", "translation")


@pytest.mark.parametrize("name", DRAWN)
def test_another_seed_damages_differently(name: str) -> None:
    images = smooth(6, 1, 12, 12)
    assert not np.array_equal(corrupted(images, name, 3, seed=4), corrupted(images, name, 3, seed=5))


@pytest.mark.parametrize("name", NAMES)
def test_damage_grows_with_severity(name: str) -> None:
    images = smooth(24, 1, 28, 28)
    damage = [float(np.square(corrupted(images, name, severity, seed=0) - images).mean()) for severity in SEVERITIES]
    assert damage[0] > 0
    assert all(more >= less * 0.999 for less, more in itertools.pairwise(damage)), damage
    assert damage[-1] > 1.2 * damage[0]


def test_the_network_for_digits_gets_worse(digits_network: nn.Module, digits: Digits) -> None:
    shares: list[float] = []
    labels = digits.test_labels[:100].numpy()
    found = measure(
        of_module(digits_network, 10),
        digits.test[:100].numpy(),
        labels,
        seed=0,
        severities=(1, 5),
        progress=shares.append,
    )
    assert [(corruption.name, corruption.severity) for corruption in found] == [
        (name, severity) for name in NAMES for severity in (1, 5)
    ]
    assert shares[-1] == 1.0
    for mild, strong in zip(found[::2], found[1::2], strict=True):
        assert strong.accuracy.value <= mild.accuracy.value + 0.03, (mild, strong)
    by_name = {(corruption.name, corruption.severity): corruption.accuracy.value for corruption in found}
    assert by_name["brightness", 1] > 0.8
    assert by_name["gaussian_noise", 5] < 0.8
    assert by_name["rotation", 5] < 0.8


def test_no_damage_is_seen_by_a_model_that_looks_at_nothing(digits: Digits) -> None:
    blind = Classifier(lambda inputs: torch.eye(10)[3].expand(len(inputs), 10), 10)
    labels = np.full(10, 3)
    found = measure(blind, digits.test[:10].numpy(), labels, seed=0, severities=(5,))
    assert {corruption.accuracy.value for corruption in found} == {1.0}


@pytest.mark.parametrize(
    ("images", "name", "severity", "high", "said"),
    [
        (np.zeros((3, 5), np.float32), "fog", 1, 1.0, "images"),
        (np.zeros((1, 1, 8, 8), np.float32), "frogs", 1, 1.0, "no corruption 'frogs'"),
        (np.zeros((1, 1, 8, 8), np.float32), "fog", 6, 1.0, "1 to 5"),
        (np.zeros((1, 1, 8, 8), np.float32), "fog", 1, np.inf, "range"),
    ],
)
def test_what_cannot_be_damaged_is_refused(
    images: np.ndarray, name: str, severity: int, high: float, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        corrupted(images, name, severity, seed=0, high=high)


@pytest.mark.parametrize("name", NAMES)
def test_no_images_give_none(name: str) -> None:
    assert corrupted(np.zeros((0, 1, 8, 8), np.float32), name, 2, seed=0).shape == (0, 1, 8, 8)
