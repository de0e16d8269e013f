"""SimBA: what it finds is within the budgets, and what it counts was asked."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.robustness.attacks.attack import TOLERANCE, Attack, Outcome
from garrison.robustness.attacks.simba import SimBA, _Basis
from garrison.robustness.classifier import Classifier, QueriesSpent, of_module
from garrison.robustness.distances import distance
from tests.robustness.conftest import Digits


def holds(outcome: Outcome, classifier: Classifier, inputs: Tensor, labels: Tensor) -> None:
    for place, epsilon in enumerate(outcome.epsilons):
        found = outcome.success[place]
        assert (distance("l2", outcome.adversarial[place] - inputs) <= epsilon * (1 + TOLERANCE)).all()
        assert (classifier.clip(outcome.adversarial[place]) == outcome.adversarial[place]).all()
        assert (classifier.labels(outcome.adversarial[place])[found] != labels[found]).all()
        assert ((outcome.found_after[place] >= 1) == found).all()
        assert (outcome.found_after[place] <= outcome.queries).all()
    assert (outcome.success[1:] >= outcome.success[:-1]).all()


@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_most_digits_fall_to_few_questions_and_each_counts(
    outputs: str, digits: Digits, digits_network: nn.Module
) -> None:
    def forward(points: Tensor) -> Tensor:
        scores: Tensor = digits_network(points)
        return scores.softmax(1) if outputs == "probabilities" else scores

    classifier = Classifier(forward, 10, outputs=outputs)  # type: ignore[arg-type]
    attack = SimBA(200)
    assert isinstance(attack, Attack)
    inputs, labels = digits.test[:40], digits.test_labels[:40]
    untouched = inputs.clone()
    outcome = attack(classifier, inputs, labels, [0.5, 1.0, 2.0], seed=0)
    assert classifier.asked == outcome.queries.sum()
    assert outcome.queries.max() <= 200
    assert (inputs == untouched).all()
    assert outcome.success[2].float().mean() > 0.8
    assert outcome.success[0].float().mean() < 0.5
    holds(outcome, classifier, inputs, labels)


def test_the_margin_of_a_plane_bounds_what_is_found() -> None:
    weights = torch.tensor([3.0, -1.0, 0.5, 0.2])

    def forward(points: Tensor) -> Tensor:
        margin = points @ weights
        return torch.stack([-margin, margin], 1)

    classifier = Classifier(forward, 2, low=-10.0, high=10.0)
    inputs = torch.randn((8, 4), generator=torch.Generator().manual_seed(0))
    labels = classifier.labels(inputs)
    least = (inputs @ weights).abs() / weights.norm()
    outcome = SimBA(500, step=0.05)(classifier, inputs, labels, [0.01, 20.0], seed=0)
    assert outcome.success[1].all()
    reached = distance("l2", outcome.adversarial[1] - inputs)
    assert (reached >= least * (1 - 1e-4)).all()
    # All directions are walked alike, so it gets no nearer than the steps allow.
    assert (reached <= least * 3).all()


def test_the_same_seed_gives_the_same_outcome(digits: Digits, digits_network: nn.Module) -> None:
    before = torch.random.get_rng_state()
    runs = [
        SimBA(60)(of_module(digits_network, 10), digits.test[:8], digits.test_labels[:8], [1.0], seed=seed)
        for seed in (4, 4, 5)
    ]
    assert (torch.random.get_rng_state() == before).all()
    assert (runs[0].adversarial == runs[1].adversarial).all()
    assert (runs[0].queries == runs[1].queries).all()
    assert (runs[0].queries != runs[2].queries).any()


def test_nothing_is_lost_when_the_queries_are_spent_midway(digits: Digits, digits_network: nn.Module) -> None:
    asked = 0

    def forward(points: Tensor) -> Tensor:
        nonlocal asked
        if asked + len(points) > 300:
            raise QueriesSpent("the budget of 300 queries is spent")
        asked += len(points)
        scores: Tensor = digits_network(points)
        return scores

    inputs, labels = digits.test[:20], digits.test_labels[:20]
    outcome = SimBA(200)(Classifier(forward, 10), inputs, labels, [2.0], seed=0)
    assert "300 queries" in outcome.incomplete
    assert outcome.queries.sum() == asked == 300
    holds(outcome, of_module(digits_network, 10), inputs, labels)


def test_decisions_only_are_refused(digits: Digits) -> None:
    classifier = Classifier(lambda points: torch.zeros(len(points), 10), 10, outputs="labels")
    with pytest.raises(UsageError, match="decisions only"):
        SimBA()(classifier, digits.test[:2], digits.test_labels[:2], [0.1], seed=0)


def test_a_constant_model_is_never_fooled(digits: Digits) -> None:
    classifier = Classifier(lambda points: torch.eye(10)[torch.full((len(points),), 3)], 10)
    outcome = SimBA(30)(classifier, digits.test[:2], torch.tensor([3, 3]), [5.0], seed=0)
    assert not outcome.success.any()
    assert (outcome.queries == 30).all()


@pytest.mark.parametrize("shape", [(2, 3, 5), (7,), (2, 3)])
def test_the_directions_are_an_orthonormal_basis(shape: tuple[int, ...]) -> None:
    basis = _Basis(torch.Size(shape), 1.0, torch.device("cpu"))
    flat = basis.directions(torch.arange(basis.size)).float().flatten(1)
    assert basis.size == torch.Size(shape).numel()
    torch.testing.assert_close(flat @ flat.T, torch.eye(basis.size), atol=1e-5, rtol=0)


@settings(max_examples=10, deadline=None)
@given(st.sampled_from([(1, 1, 1), (2, 3, 4), (5,)]), st.integers(1, 30), st.floats(0.05, 3), st.integers(0, 9))
def test_any_number_of_queries_is_kept_to(shape: tuple[int, ...], queries: int, epsilon: float, seed: int) -> None:
    inputs = torch.rand((4, *shape), generator=torch.Generator().manual_seed(seed))

    def forward(points: Tensor) -> Tensor:
        margin = points.flatten(1).mean(1) - 0.5
        return torch.stack([-margin, margin], 1)

    classifier = Classifier(forward, 2)
    labels = classifier.labels(inputs)
    classifier.asked = 0
    outcome = SimBA(queries)(classifier, inputs, labels, [epsilon / 2, epsilon], seed=seed)
    assert outcome.queries.sum() == classifier.asked
    assert outcome.queries.max() <= queries
    holds(outcome, classifier, inputs, labels)
