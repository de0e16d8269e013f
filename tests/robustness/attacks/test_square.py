"""Square: what it finds is within the budget, what it counts was asked, and no peer finds more."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from garrison.core.errors import GarrisonError, UsageError
from garrison.robustness.attacks.attack import TOLERANCE, Attack, Outcome
from garrison.robustness.attacks.square import Square
from garrison.robustness.classifier import Classifier, QueriesSpent, of_module
from garrison.robustness.distances import distance
from tests.robustness.conftest import Digits

NORMS = (("linf", (0.1, 0.25)), ("l2", (0.6, 1.2)), ("l1", (2.0, 5.0)))


def linear(weights: list[float], bias: float = 0.0, **bounds: float | Tensor) -> Classifier:
    """Two classes: class 1 above the hyperplane."""
    direction = torch.tensor(weights)

    def forward(inputs: Tensor) -> Tensor:
        margin = inputs.flatten(1) @ direction + bias
        return torch.stack([-margin, margin], 1) / 2

    return Classifier(forward, 2, **bounds)


def holds(outcome: Outcome, attack: Square, classifier: Classifier, inputs: Tensor, labels: Tensor) -> None:
    """What every outcome promises."""
    for place, epsilon in enumerate(outcome.epsilons):
        found = outcome.success[place]
        changes = outcome.adversarial[place] - inputs
        assert (distance(attack.norm, changes) <= epsilon * (1 + TOLERANCE)).all()
        assert (classifier.clip(outcome.adversarial[place]) == outcome.adversarial[place]).all()
        assert (classifier.labels(outcome.adversarial[place])[found] != labels[found]).all()
        assert (outcome.adversarial[place][~found] == inputs[~found]).all()
        assert ((outcome.found_after[place] >= 1) == found).all()
        assert (outcome.found_after[place] <= outcome.queries).all()
    assert (outcome.success[1:] >= outcome.success[:-1]).all()


@pytest.mark.parametrize(("norm", "epsilons"), NORMS)
@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_what_is_found_is_within_the_budget_and_what_is_counted_was_asked(
    norm: str, epsilons: tuple[float, ...], outputs: str, digits: Digits, digits_network: nn.Module
) -> None:
    def forward(inputs: Tensor) -> Tensor:
        scores: Tensor = digits_network(inputs)
        return scores.softmax(1) if outputs == "probabilities" else scores

    classifier = Classifier(forward, 10, outputs=outputs)  # type: ignore[arg-type]
    attack = Square(norm=norm, queries=60)  # type: ignore[arg-type]
    assert isinstance(attack, Attack)
    inputs, labels = digits.test[:40], digits.test_labels[:40]
    untouched = inputs.clone()
    outcome = attack(classifier, inputs, labels, epsilons, seed=1)
    assert classifier.asked == outcome.queries.sum()
    assert outcome.queries.max() <= 1 + 60 * len(epsilons)
    assert (inputs == untouched).all()
    assert outcome.success[1].sum() > 0
    holds(outcome, attack, classifier, inputs, labels)


def test_logits_and_their_probabilities_are_attacked_alike(digits: Digits, digits_network: nn.Module) -> None:
    inputs, labels = digits.test[:30], digits.test_labels[:30]
    outcomes = [
        Square(queries=40)(classifier, inputs, labels, [0.2], seed=3)
        for classifier in (
            of_module(digits_network, 10),
            Classifier(lambda points: digits_network(points).softmax(1), 10, outputs="probabilities"),
        )
    ]
    assert (outcomes[0].success == outcomes[1].success).float().mean() >= 0.95


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1.0), ("l2", 2.0), ("l1", math.inf)])
def test_a_linear_model_falls_just_above_its_exact_margin_and_never_below(norm: str, dual: float) -> None:
    weights = [0.5, -0.5, 0.5, 0.5] if norm != "l1" else [0.1, 1.0, 0.1, 0.1]
    classifier = linear(weights, low=-10.0, high=10.0)
    inputs = torch.tensor([[1.0, 1.0, 1.0, 1.0], [2.0, 0.0, 1.0, 0.5]])
    margin = inputs @ torch.tensor(weights)
    exact = margin.abs() / torch.linalg.vector_norm(torch.tensor(weights), ord=1 if norm == "linf" else dual)
    labels = classifier.labels(inputs)
    below, above = 0.99 * float(exact.min()), 1.3 * float(exact.max())
    outcome = Square(norm=norm, queries=400)(classifier, inputs, labels, [below, above], seed=0)  # type: ignore[arg-type]
    assert not outcome.success[0].any()
    assert outcome.success[1].all()


def test_tables_stay_within_the_bounds_of_each_feature() -> None:
    low, high = torch.tensor([0.0, -1.0, 5.0]), torch.tensor([1.0, 1.0, 5.0])
    classifier = linear([1.0, 1.0, 100.0], -501.0, low=low, high=high)
    inputs = torch.tensor([[0.9, 0.9, 5.0], [0.2, 0.3, 5.0]])
    labels = classifier.labels(inputs)
    outcome = Square(queries=100)(classifier, inputs, labels, [0.6], seed=0)
    assert outcome.success.all()
    assert (outcome.adversarial[..., 2] == 5).all()
    holds(outcome, Square(), classifier, inputs, labels)


def test_what_is_wrong_already_is_found_unchanged_and_costs_one_query(
    digits_classifier: Classifier, digits: Digits
) -> None:
    inputs = digits.test[:10]
    labels = (digits_classifier.labels(inputs) + 1) % 10
    outcome = Square()(digits_classifier, inputs, labels, [0.1, 0.2], seed=0)
    assert outcome.success.all()
    assert (outcome.queries == 1).all()
    assert (outcome.found_after == 1).all()
    assert (outcome.adversarial == inputs).all()


def test_the_same_seed_gives_the_same_outcome_and_no_global_randomness_is_used(
    digits_classifier: Classifier, digits: Digits
) -> None:
    def run(seed: int) -> Outcome:
        return Square(queries=30)(digits_classifier, digits.test[:20], digits.test_labels[:20], [0.2], seed=seed)

    before = torch.random.get_rng_state()
    first, second, other = run(5), run(5), run(6)
    assert (torch.random.get_rng_state() == before).all()
    assert (first.adversarial == second.adversarial).all()
    assert (first.queries == second.queries).all()
    assert (first.adversarial != other.adversarial).any()


def spent_after(classifier: Classifier, budget: int) -> Classifier:
    """The same model, which refuses what would exceed a budget of queries."""
    asked = 0

    def forward(inputs: Tensor) -> Tensor:
        nonlocal asked
        if asked + len(inputs) > budget:
            raise QueriesSpent(f"the budget of {budget} queries is spent")
        asked += len(inputs)
        return classifier.forward(inputs)

    return Classifier(forward, classifier.classes, outputs=classifier.outputs)


def test_nothing_is_lost_when_the_queries_are_spent_midway(digits_classifier: Classifier, digits: Digits) -> None:
    inputs, labels = digits.test[:20], digits.test_labels[:20]
    whole = Square(queries=200)(digits_classifier, inputs, labels, [0.25], seed=0)
    part = Square(queries=200)(spent_after(digits_classifier, 100), inputs, labels, [0.25], seed=0)
    assert "100 queries" in part.incomplete
    assert part.queries.sum() == 100
    assert 0 < part.success.sum() < whole.success.sum()
    assert (part.adversarial[part.success] == whole.adversarial[part.success]).all()


def test_nothing_at_all_may_be_asked(digits_classifier: Classifier, digits: Digits) -> None:
    outcome = Square()(spent_after(digits_classifier, 0), digits.test[:3], digits.test_labels[:3], [0.25], seed=0)
    assert outcome.incomplete
    assert not outcome.success.any()
    assert (outcome.queries == 0).all()


def test_decisions_only_are_refused(digits: Digits) -> None:
    classifier = Classifier(lambda points: torch.zeros(len(points), 10), 10, outputs="labels")
    with pytest.raises(UsageError, match="decisions only"):
        Square()(classifier, digits.test[:2], digits.test_labels[:2], [0.1], seed=0)


def test_scores_that_are_no_numbers_are_said(digits: Digits) -> None:
    classifier = Classifier(lambda points: torch.full((len(points), 10), torch.nan), 10, name="broken.onnx")
    with pytest.raises(GarrisonError, match=r"broken\.onnx.*NaN"):
        Square()(classifier, digits.test[:2], digits.test_labels[:2], [0.1], seed=0)


def test_a_constant_model_is_never_fooled(digits: Digits) -> None:
    classifier = Classifier(lambda points: torch.eye(10)[torch.full((len(points),), 3)], 10)
    outcome = Square(queries=20)(classifier, digits.test[:2], torch.tensor([3, 3]), [0.5], seed=0)
    assert not outcome.success.any()
    assert (outcome.queries == 21).all()


def test_no_inputs_give_no_outcome(digits_classifier: Classifier, digits: Digits) -> None:
    outcome = Square()(digits_classifier, digits.test[:0], digits.test_labels[:0], [0.5], seed=0)
    assert outcome.success.shape == (1, 0)


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(["linf", "l2", "l1"]),
    st.sampled_from([(1, 1, 1), (1, 5, 3), (3, 4, 4), (2, 1, 7), (1,), (6,), (4, 3)]),
    st.floats(0.01, 3),
    st.integers(0, 100),
)
def test_inputs_of_any_shape_stay_within_budget_and_bounds(
    norm: str, shape: tuple[int, ...], epsilon: float, seed: int
) -> None:
    inputs = torch.rand((4, *shape), generator=torch.Generator().manual_seed(seed))
    classifier = linear([1.0] * inputs[0].numel(), -0.5 * inputs[0].numel())
    attack = Square(norm=norm, queries=12)  # type: ignore[arg-type]
    labels = classifier.labels(inputs)
    outcome = attack(classifier, inputs, labels, [epsilon], seed=seed)
    assert outcome.queries.sum() == classifier.asked - len(inputs)
    holds(outcome, attack, classifier, inputs, labels)


@pytest.mark.parametrize(("norm", "name", "epsilon"), [("linf", "Linf", 0.12), ("l2", "L2", 0.7)])
def test_torchattacks_finds_no_more_with_as_many_queries(
    norm: str, name: str, epsilon: float, digits: Digits, digits_network: nn.Module
) -> None:
    torchattacks = pytest.importorskip("torchattacks")
    inputs, labels = digits.test[:60], digits.test_labels[:60]
    ours = Square(norm=norm, queries=200)(of_module(digits_network, 10), inputs, labels, [epsilon], seed=0)  # type: ignore[arg-type]
    asked = 0

    def counted(module: nn.Module) -> Callable[..., Tensor]:
        def hook(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            nonlocal asked
            asked += len(arguments[0])

        return module.register_forward_pre_hook(hook)  # type: ignore[return-value]

    handle = counted(digits_network)
    theirs = torchattacks.Square(digits_network, norm=name, eps=epsilon, n_queries=200, seed=0)(inputs, labels)
    handle.remove()  # type: ignore[attr-defined]
    robust = int((digits_network(theirs).argmax(1) == labels).sum())
    assert len(labels) - int(ours.success.sum()) <= robust + 2
    assert int(ours.queries.sum()) <= asked * 1.1
