"""Preprocessing looks like a defence, until the attack knows of it."""

import pytest
import torch
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Budget
from garrison.robustness.attacks.pgd import PGD
from garrison.robustness.hardening import Jpeg, Median, Quantise, RandomResize, TotalVariation, preprocess
from garrison.robustness.hardening.preprocessing import Preprocessing
from tests.robustness.conftest import Digits

ALL: list[Preprocessing] = [Quantise(), Median(), Jpeg(), TotalVariation(), RandomResize()]


@pytest.fixture
def images() -> Tensor:
    return torch.rand((2, 3, 12, 10), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("preprocessing", ALL, ids=str)
def test_images_stay_images(preprocessing: Preprocessing, images: Tensor) -> None:
    before = images.clone()
    with torch.random.fork_rng():
        changed = preprocessing(images)
    assert changed.shape == images.shape
    assert changed.dtype == images.dtype
    assert float(changed.min()) >= -1e-5
    assert float(changed.max()) <= 1 + 1e-5
    assert torch.equal(images, before)


def test_quantised_values_are_the_levels() -> None:
    assert Quantise(3)(torch.tensor([0.0, 0.2, 0.3, 0.7, 1.0])).tolist() == [0.0, 0.0, 0.5, 0.5, 1.0]


def test_a_median_removes_a_single_pixel() -> None:
    image = torch.zeros((1, 1, 5, 5))
    image[..., 2, 2] = 1
    assert float(Median()(image).max()) == 0


def test_total_variation_falls(images: Tensor) -> None:
    def variation(image: Tensor) -> float:
        return float(image.diff(dim=2).abs().sum() + image.diff(dim=3).abs().sum())

    assert variation(TotalVariation()(images)) < 0.9 * variation(images)
    flat = torch.full((1, 1, 4, 4), 0.5)
    assert torch.allclose(TotalVariation()(flat), flat)


def test_jpeg_of_a_flat_image_is_that_image() -> None:
    flat = torch.full((1, 1, 16, 16), 128 / 255)
    assert torch.allclose(Jpeg()(flat), flat, atol=1e-6)
    with pytest.raises(UsageError, match="one or three channels"):
        Jpeg()(torch.zeros((1, 2, 8, 8)))


@pytest.mark.parametrize("preprocessing", [Quantise(4), RandomResize()], ids=str)
def test_an_attack_that_knows_leaves_less(
    digits: Digits, digits_network: nn.Module, preprocessing: Preprocessing
) -> None:
    found = preprocess(
        digits_network,
        preprocessing,
        budget=Budget(norm="linf", epsilon=0.15),
        classes=10,
        test=(digits.test[:100], digits.test_labels[:100]),
        seed=0,
        draws=4,
        attacks=[PGD(norm="linf", steps=10)],
    )
    assert found.naive is not None
    assert found.before.robust.value < found.naive.robust.value
    assert found.after.robust.value < found.naive.robust.value - 0.1
    assert found.after.clean.value > 0.5
