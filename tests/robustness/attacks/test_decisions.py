"""Attacks by decisions alone: they get near the least change there is, and count each question."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from garrison.robustness.attacks.attack import TOLERANCE, Attack, Outcome
from garrison.robustness.attacks.boundary import Boundary
from garrison.robustness.attacks.hopskipjump import HopSkipJump
from garrison.robustness.classifier import Classifier, QueriesSpent
from garrison.robustness.distances import distance
from tests.robustness.conftest import Digits

ATTACKS = [HopSkipJump("linf", 200), HopSkipJump("l2", 200), HopSkipJump("l2", 150, "noise"), Boundary(200)]
IDS = ["linf", "l2", "noise", "boundary"]
By = HopSkipJump | Boundary


def deciding(module: nn.Module) -> Classifier:
    """A model that gives nothing but its decisions."""
    decide = lambda points: nn.functional.one_hot(module(points).argmax(1), 10).float()  # noqa: E731
    return Classifier(decide, 10, differentiable=False, outputs="labels")


def plane(weights: list[float], **bounds: float | Tensor) -> Classifier:
    """Two classes on the sides of a hyperplane through zero, decisions only."""
    direction = torch.tensor(weights)
    side = lambda points: nn.functional.one_hot((points.flatten(1) @ direction > 0).long(), 2).float()  # noqa: E731
    return Classifier(side, 2, differentiable=False, outputs="labels", **bounds)


def holds(outcome: Outcome, attack: By, classifier: Classifier, inputs: Tensor, labels: Tensor) -> None:
    for place, epsilon in enumerate(outcome.epsilons):
        found = outcome.success[place]
        assert (distance(attack.norm, outcome.adversarial[place] - inputs) <= epsilon * (1 + TOLERANCE)).all()
        assert (classifier.clip(outcome.adversarial[place]) == outcome.adversarial[place]).all()
        assert (classifier.labels(outcome.adversarial[place])[found] != labels[found]).all()
        assert ((outcome.found_after[place] >= 1) == found).all()
        assert (outcome.found_after[place] <= outcome.queries).all()
    assert (outcome.success[1:] >= outcome.success[:-1]).all()
    later = outcome.success[:-1]
    assert (outcome.found_after[1:][later] <= outcome.found_after[:-1][later]).all()


@pytest.mark.parametrize("attack", ATTACKS, ids=IDS)
def test_decisions_are_enough_and_each_question_counts(attack: By, digits: Digits, digits_network: nn.Module) -> None:
    assert isinstance(attack, Attack)
    classifier = deciding(digits_network)
    inputs, labels = digits.test[:20], digits.test_labels[:20]
    untouched = inputs.clone()
    epsilons = (0.05, 0.3, 0.6) if attack.norm == "linf" else (0.1, 1.5, 4.0)
    outcome = attack(classifier, inputs, labels, epsilons, seed=0)
    assert classifier.asked == outcome.queries.sum()
    assert outcome.queries.max() <= attack.queries
    assert (inputs == untouched).all()
    assert outcome.success[2].all()
    assert outcome.success[0].float().mean() < 0.5
    holds(outcome, attack, classifier, inputs, labels)


@pytest.mark.parametrize("attack", [HopSkipJump("linf", 1500), HopSkipJump("l2", 1500), Boundary(3000)], ids=str)
def test_the_least_change_to_a_plane_is_nearly_found_and_none_smaller(attack: By) -> None:
    weights = [0.5, -1.0, 0.2, 0.8, -0.3, 0.1]
    classifier = plane(weights, low=-5.0, high=5.0)
    inputs = torch.randn((6, 6), generator=torch.Generator().manual_seed(0))
    labels = classifier.labels(inputs)
    normal = torch.tensor(weights)
    dual = normal.abs().sum() if attack.norm == "linf" else normal.norm()
    least = (inputs @ normal).abs() / dual
    outcome = attack(classifier, inputs, labels, [1e-4, 100.0], seed=0)
    assert outcome.success[1].all()
    reached = distance(attack.norm, outcome.adversarial[1] - inputs)
    assert (reached >= least * (1 - 1e-4)).all()
    assert (reached / least).median() < 1.1


@pytest.mark.parametrize("attack", ATTACKS, ids=IDS)
def test_the_same_seed_gives_the_same_outcome(attack: By, digits: Digits, digits_network: nn.Module) -> None:
    before = torch.random.get_rng_state()
    runs = [
        attack(deciding(digits_network), digits.test[:8], digits.test_labels[:8], [0.3], seed=seed)
        for seed in (4, 4, 5)
    ]
    assert (torch.random.get_rng_state() == before).all()
    assert (runs[0].adversarial == runs[1].adversarial).all()
    assert (runs[0].queries == runs[1].queries).all()
    assert (runs[0].found_after == runs[1].found_after).all()


@pytest.mark.parametrize("attack", ATTACKS, ids=IDS)
def test_what_is_found_within_the_smallest_budget_is_left_alone(
    attack: By, digits: Digits, digits_network: nn.Module
) -> None:
    inputs = digits.test[:10]
    outcome = attack(deciding(digits_network), inputs, digits.test_labels[:10], [100.0], seed=0)
    assert outcome.success.all()
    assert outcome.queries.max() < 120
    labels = (outcome.adversarial[0].flatten(1).sum(1) * 0).long()
    wrong = attack(plane([-1.0] * 64), inputs, labels + 1, [0.1], seed=0)
    assert (wrong.queries == 1).all()
    assert (wrong.adversarial[0] == inputs).all()


@pytest.mark.parametrize("attack", ATTACKS, ids=IDS)
def test_nothing_is_lost_when_the_queries_are_spent_midway(
    attack: By, digits: Digits, digits_network: nn.Module
) -> None:
    whole = deciding(digits_network)
    asked = 0

    def forward(points: Tensor) -> Tensor:
        nonlocal asked
        if asked + len(points) > 900:
            raise QueriesSpent("the budget of 900 queries is spent")
        asked += len(points)
        return whole.forward(points)

    classifier = Classifier(forward, 10, outputs="labels")
    inputs, labels = digits.test[:10], digits.test_labels[:10]
    outcome = attack(classifier, inputs, labels, [0.01, 4.0], seed=0)
    assert "900 queries" in outcome.incomplete
    assert outcome.queries.sum() == asked == 900
    assert outcome.success[1].any()
    holds(outcome, attack, whole, inputs, labels)


@pytest.mark.parametrize("attack", ATTACKS, ids=IDS)
def test_a_constant_model_is_never_fooled(attack: By, digits: Digits) -> None:
    classifier = Classifier(lambda points: torch.eye(10)[torch.full((len(points),), 3)], 10, outputs="labels")
    outcome = attack(classifier, digits.test[:2], torch.tensor([3, 3]), [100.0], seed=0)
    assert not outcome.success.any()
    assert outcome.queries.max() <= attack.queries


@pytest.mark.parametrize("attack", ATTACKS, ids=IDS)
def test_no_inputs_give_no_outcome(attack: By, digits: Digits, digits_network: nn.Module) -> None:
    outcome = attack(deciding(digits_network), digits.test[:0], digits.test_labels[:0], [0.5], seed=0)
    assert outcome.success.shape == (1, 0)


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(ATTACKS), st.integers(1, 60), st.integers(1, 5), st.integers(0, 9))
def test_any_number_of_queries_is_kept_to(attack: By, queries: int, features: int, seed: int) -> None:
    inputs = torch.randn((5, features), generator=torch.Generator().manual_seed(seed))
    low = torch.full((features,), -torch.inf)
    classifier = plane([1.0] * features, low=low, high=4.0)
    labels = classifier.labels(inputs)
    limited = type(attack)(**{**vars(attack), "queries": queries})
    classifier.asked = 0
    outcome = limited(classifier, inputs, labels, [0.2, 2.0], seed=seed)
    assert outcome.queries.sum() == classifier.asked
    assert outcome.queries.max() <= queries
    holds(outcome, limited, classifier, inputs, labels)
