"""A patch is a square of so many pixels that sends images elsewhere, wherever it is put."""

import pytest
import torch

from garrison.core.errors import UsageError
from garrison.robustness.attacks.conformance import check_attack
from garrison.robustness.attacks.patch import Patch
from garrison.robustness.classifier import Classifier
from garrison.robustness.distances import distance
from tests.robustness.conftest import Digits


def test_it_is_an_attack() -> None:
    check_attack(Patch(steps=20), epsilons=(9, 30))


def test_a_patch_is_one_square_of_no_more_pixels(digits_classifier: Classifier, digits: Digits) -> None:
    inputs, labels = digits.test[:200], digits.test_labels[:200]
    right = digits_classifier.labels(inputs) == labels
    outcome = Patch(steps=60)(digits_classifier, inputs, labels, [4, 17], seed=0)
    for epsilon, side, adversarial, success in zip((4, 17), (2, 4), outcome.adversarial, outcome.success, strict=True):
        changed = (adversarial != inputs).any(1)[success & right]
        assert bool((distance("l0", adversarial - inputs) <= epsilon).all())
        for pixels in changed:
            down, across = pixels.nonzero(as_tuple=True)
            assert int(down.max() - down.min()) < side and int(across.max() - across.min()) < side
    places = {tuple(pixels.nonzero()[0].tolist()) for pixels in changed}
    assert len(places) > 3
    assert float((outcome.success[1] & right).float().mean()) > 0.25


def test_more_places_find_more(digits_classifier: Classifier, digits: Digits) -> None:
    inputs, labels = digits.test[:100], digits.test_labels[:100]
    one, many = (
        Patch(steps=30, trials=trials)(digits_classifier, inputs, labels, [9], seed=0).success.sum()
        for trials in (1, 8)
    )
    assert int(many) > int(one)


def test_a_colour_image_counts_pixels() -> None:
    images = torch.rand(12, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    classifier = Classifier(lambda x: torch.stack([x.mean((1, 2, 3)), x.new_full((len(x),), 0.5)], 1), 2)
    labels = classifier.labels(images)
    outcome = Patch(steps=10)(classifier, images, labels, [9], seed=0)
    assert bool(outcome.success.any())
    assert bool((distance("l0", outcome.adversarial[0] - images) <= 9).all())


def test_a_table_has_no_place_for_a_patch() -> None:
    classifier = Classifier(lambda x: x, 2)
    with pytest.raises(UsageError, match="on images"):
        Patch()(classifier, torch.rand(4, 2), torch.zeros(4, dtype=torch.int64), [4], seed=0)
