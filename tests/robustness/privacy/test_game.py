"""What models say of examples, and who was trained with what."""

import numpy as np
import pytest
import torch

from garrison.core.errors import GarrisonError
from garrison.robustness.classifier import Classifier, Outputs
from garrison.robustness.privacy.game import confidences, splits, views


def answering(scores: list[list[float]], outputs: Outputs) -> Classifier:
    return Classifier(lambda batch: torch.tensor(scores)[: len(batch)], 3, outputs=outputs)


def test_confidence_is_the_log_odds_of_the_true_label() -> None:
    logits = [[2.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    labels = torch.tensor([0, 2])
    from_logits = confidences(answering(logits, "logits"), torch.zeros(2, 4), labels, views("table", 1))
    true = torch.tensor(logits).softmax(1)[[0, 1], labels]
    assert from_logits[0] == pytest.approx((true / (1 - true)).log().numpy(), abs=1e-6)
    soft = torch.tensor(logits).softmax(1).tolist()
    from_probabilities = confidences(answering(soft, "probabilities"), torch.zeros(2, 4), labels, views("table", 1))
    assert from_probabilities == pytest.approx(from_logits, abs=1e-5)


def test_confidence_of_logits_does_not_saturate() -> None:
    found = confidences(
        answering([[300.0, 0.0, 0.0]], "logits"), torch.zeros(1, 4), torch.tensor([0]), views("table", 1)
    )
    assert found[0, 0] == pytest.approx(300 - np.log(2))


@pytest.mark.parametrize("outputs", ["probabilities", "labels"])
def test_certain_answers_have_finite_confidence(outputs: Outputs) -> None:
    classifier = answering([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], outputs)
    found = confidences(classifier, torch.zeros(2, 4), torch.tensor([0, 1]), views("table", 1))
    assert found[0, 0] == pytest.approx(-found[0, 1], rel=1e-3)
    assert 20 < found[0, 0] < 40


def test_answers_that_are_no_number_are_told() -> None:
    with pytest.raises(GarrisonError, match="no number"):
        confidences(
            answering([[float("nan"), 0, 0]], "logits"), torch.zeros(1, 4), torch.tensor([0]), views("table", 1)
        )


def test_each_example_is_inside_of_half_of_the_shadows() -> None:
    found = splits(8, 101, np.random.default_rng(0))
    assert (found.sum(0) == 4).all()
    assert set(found.sum(1)) == {50, 51}
    assert len({half.tobytes() for half in found}) == 8


def test_images_are_mirrored_and_moved() -> None:
    image = torch.arange(9.0).reshape(1, 1, 3, 3)
    same, mirrored, down, up, right, left = (view(image)[0, 0].tolist() for view in views("image", 6))
    assert same == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert mirrored == [[2, 1, 0], [5, 4, 3], [8, 7, 6]]
    assert down == [[0, 1, 2], [0, 1, 2], [3, 4, 5]]
    assert up == [[3, 4, 5], [6, 7, 8], [6, 7, 8]]
    assert right == [[0, 0, 1], [3, 3, 4], [6, 6, 7]]
    assert left == [[1, 2, 2], [4, 5, 5], [7, 8, 8]]
    assert len(views("table", 6)) == 1
