"""Projected gradient descent."""

import pytest
import torch
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Norm
from garrison.robustness.attacks.attack import Attack, settings
from garrison.robustness.attacks.conformance import check_attack
from garrison.robustness.attacks.losses import Loss
from garrison.robustness.attacks.pgd import PGD
from garrison.robustness.classifier import Classifier, QueriesSpent

from ..conftest import Digits
from .support import BUDGETS, linear_world


@pytest.mark.parametrize("loss", ["ce", "dlr", "margin"])
def test_it_conforms_with_each_loss(loss: Loss) -> None:
    check_attack(PGD(steps=10, loss=loss), epsilons=BUDGETS["linf"])


@pytest.mark.parametrize("loss", ["ce", "margin", "dlr"])
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_a_linear_model_falls_beyond_its_exact_distance_and_not_within(norm: Norm, loss: Loss) -> None:
    world = linear_world(norm, 2)
    attack = PGD(norm=norm, steps=100, loss=loss)
    outcome = attack(world.classifier, world.inputs, world.labels, [0.99, 1.03], seed=0)
    assert not outcome.success[0].any()
    assert outcome.success[1].all()


def test_settings_are_for_the_card() -> None:
    attack = PGD(norm="l2", steps=7, step=0.5)
    assert isinstance(attack, Attack)
    assert settings(attack)["steps"] == 7
    assert settings(attack)["norm"] == "l2"


def test_what_was_found_is_attacked_no_more(digits: Digits, digits_classifier: Classifier) -> None:
    inputs, labels = digits.test[:60], digits.test_labels[:60]
    outcome = PGD(steps=20)(digits_classifier, inputs, labels, [0.1, 0.2, 0.4], seed=0)
    assert outcome.success.sum(1).tolist() == sorted(outcome.success.sum(1).tolist())
    early = outcome.success[0]
    assert (outcome.queries[early] <= 22).all()
    assert (outcome.queries[~outcome.success[2]] == 1 + 3 * 21).all()
    assert (outcome.gradients[~outcome.success[2]] == 60).all()
    assert digits_classifier.asked == int(outcome.queries.sum())


@pytest.mark.parametrize("wrong", [{"norm": "l7"}, {"steps": 0}, {"step": -0.1}, {"step": float("nan")}, {"batch": 0}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        PGD(**wrong)  # type: ignore[arg-type]


def test_a_sure_model_hides_nothing(digits: Digits, digits_network: nn.Module) -> None:
    """Logits a thousand times as large leave cross-entropy no gradient, and the attack finds as much as before."""
    inputs, labels = digits.test[:100], digits.test_labels[:100]
    plain = Classifier(digits_network, 10)
    sure = Classifier(lambda x: digits_network(x) * 1000, 10)
    attack = PGD(steps=20, random_start=False)
    expected = attack(plain, inputs, labels, [0.15], seed=0).success.sum()
    assert abs(int(attack(sure, inputs, labels, [0.15], seed=0).success.sum()) - int(expected)) <= 2


def test_probabilities_are_attacked_as_their_logits(digits: Digits, digits_network: nn.Module) -> None:
    inputs, labels = digits.test[:100], digits.test_labels[:100]
    attack = PGD(steps=20, random_start=False)
    found = attack(Classifier(digits_network, 10), inputs, labels, [0.15], seed=0).success
    soft = Classifier(lambda x: digits_network(x).softmax(1), 10, outputs="probabilities")
    assert abs(int(attack(soft, inputs, labels, [0.15], seed=0).success.sum()) - int(found.sum())) <= 1


def test_a_model_without_gradients_is_refused(digits: Digits) -> None:
    blind = Classifier(lambda x: torch.zeros(len(x), 10), 10, differentiable=False)
    with pytest.raises(UsageError, match="gradients"):
        PGD()(blind, digits.test[:2], digits.test_labels[:2], [0.1], seed=0)


def test_constant_outputs_are_robust_and_end(digits: Digits) -> None:
    constant = Classifier(lambda x: x.flatten(1)[:, :3] * 0 + torch.tensor([1.0, 0.0, 0.0]), 3)
    outcome = PGD(steps=5)(constant, digits.test[:4], torch.zeros(4, dtype=torch.int64), [0.3], seed=0)
    assert not outcome.success.any()


def test_a_budget_that_is_spent_ends_the_attack_with_what_was_found(
    digits: Digits, digits_classifier: Classifier
) -> None:
    inputs, labels = digits.test[:60], digits.test_labels[:60]
    free = PGD(steps=20, batch=20)(digits_classifier, inputs, labels, [0.2], seed=0)

    def forward(points: Tensor) -> Tensor:
        if digits_classifier.asked > asked + 200:
            raise QueriesSpent("200 queries are spent")
        return digits_classifier(points)

    asked = digits_classifier.asked
    outcome = PGD(steps=20, batch=20)(Classifier(forward, 10), inputs, labels, [0.2], seed=0)
    assert outcome.incomplete == "200 queries are spent"
    assert outcome.success.any() and not (outcome.success & ~free.success).any()
    assert not outcome.success[:, 40:].any()


def test_models_that_answer_at_random_are_averaged(digits: Digits, digits_network: nn.Module) -> None:
    """Noise that hides the way of one gradient does not hide that of their mean."""
    noise = torch.Generator().manual_seed(0)

    def forward(points: Tensor) -> Tensor:
        scores: Tensor = digits_network(points + torch.randn(points.shape, generator=noise) * 0.15)
        return scores

    inputs, labels = digits.test[:80], digits.test_labels[:80]
    outcome = PGD(steps=5, samples=8)(Classifier(forward, 10), inputs, labels, [0.1], seed=0)
    robust = ~outcome.success[0]
    assert robust.any() and (outcome.gradients[robust] == 40).all()
    plain = PGD(steps=5, samples=1)(Classifier(forward, 10), inputs, labels, [0.1], seed=0)

    def accuracy(points: Tensor) -> float:
        answers = [forward(points).argmax(1) == labels for _ in range(30)]
        return float(torch.stack(answers).float().mean())

    assert accuracy(outcome.adversarial[0]) <= accuracy(plain.adversarial[0])


def test_scores_that_are_not_finite_are_refused(digits: Digits) -> None:
    broken = Classifier(lambda x: x.flatten(1)[:, :3] * torch.nan, 3)
    with pytest.raises(Exception, match="not finite"):
        PGD(steps=5)(broken, digits.test[:4], torch.zeros(4, dtype=torch.int64), [0.3], seed=0)
