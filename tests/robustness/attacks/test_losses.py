"""Losses that attacks climb."""

import pytest
import torch
from torch.nn.functional import cross_entropy, softplus

from garrison.robustness.attacks.losses import (
    Loss,
    difference_of_logits_ratio,
    log_odds,
    loss,
    margin,
    targeted_difference_of_logits_ratio,
)
from garrison.robustness.classifier import Classifier

SCORES = torch.tensor([[4.0, 1.0, 3.0, -2.0], [0.0, 2.0, 5.0, 1.0]])
LABELS = torch.tensor([0, 1])


def test_cross_entropy_is_the_softplus_of_the_log_odds() -> None:
    torch.testing.assert_close(softplus(log_odds(SCORES, LABELS)), cross_entropy(SCORES, LABELS, reduction="none"))


def test_known_values() -> None:
    torch.testing.assert_close(margin(SCORES, LABELS), torch.tensor([-1.0, 3.0]))
    torch.testing.assert_close(difference_of_logits_ratio(SCORES, LABELS), torch.tensor([-1 / 3, 3 / 4]))
    torch.testing.assert_close(
        targeted_difference_of_logits_ratio(SCORES, LABELS, torch.tensor([1, 3])),
        torch.tensor([-3 / (4 - (1 - 2) / 2), -1 / (5 - (1 + 0) / 2)]),
    )


def test_ratios_do_not_depend_on_scale() -> None:
    targets = torch.tensor([2, 0])
    for factor in (1e-3, 1e3):
        torch.testing.assert_close(
            difference_of_logits_ratio(SCORES * factor + 5, LABELS),
            difference_of_logits_ratio(SCORES, LABELS),
            rtol=1e-3,
            atol=0,
        )
        torch.testing.assert_close(
            targeted_difference_of_logits_ratio(SCORES * factor, LABELS, targets),
            targeted_difference_of_logits_ratio(SCORES, LABELS, targets),
        )


@pytest.mark.parametrize("kind", ["ce", "dlr", "margin"])
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_losses_have_gradients_where_the_model_is_sure(kind: Loss, classes: int) -> None:
    scores = torch.zeros(1, classes)
    scores[0, 0] = 1e4
    scores.requires_grad_()
    loss(kind, scores, torch.tensor([0])).sum().backward()
    assert scores.grad is not None and scores.grad.isfinite().all()
    assert scores.grad[0, 0] < 0 or kind == "dlr"


@pytest.mark.parametrize("classes", [2, 3])
def test_targeted_ratio_with_few_classes_still_pulls_to_the_target(classes: int) -> None:
    scores = torch.tensor([[2.0, 0.5, 1.0][:classes]], requires_grad=True)
    targeted_difference_of_logits_ratio(scores, torch.tensor([0]), torch.tensor([1])).sum().backward()
    assert scores.grad is not None and scores.grad[0, 1] > 0


def test_probabilities_give_the_directions_of_their_logits() -> None:
    raw = torch.tensor([[30.0, 0.0, -5.0]], requires_grad=True)
    classifier = Classifier(lambda inputs: inputs.softmax(1), 3, outputs="probabilities")
    log_odds(classifier.logits(classifier(raw)), torch.tensor([0])).sum().backward()
    expected = torch.tensor([30.0, 0.0, -5.0], requires_grad=True)
    log_odds(expected[None], torch.tensor([0])).sum().backward()
    assert raw.grad is not None and expected.grad is not None
    torch.testing.assert_close(raw.grad[0], expected.grad, rtol=1e-3, atol=1e-6)


def test_probabilities_of_nothing_stay_finite() -> None:
    given = torch.tensor([[1.0, 0.0, 1e-42]], requires_grad=True)
    classifier = Classifier(lambda inputs: inputs, 3, outputs="probabilities")
    value = log_odds(classifier.logits(given), torch.tensor([0]))
    value.sum().backward()
    assert value.isfinite().all() and given.grad is not None and given.grad.isfinite().all()
