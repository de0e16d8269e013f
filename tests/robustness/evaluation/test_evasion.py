"""Attacks one after the other: what each is tried on, and what is counted."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from garrison.core.errors import GarrisonError
from garrison.core.robustness_card import Access, Norm
from garrison.robustness.attacks.attack import Outcome, Progress
from garrison.robustness.classifier import Classifier, QueriesSpent, of_function
from garrison.robustness.evaluation import evasion
from garrison.robustness.evaluation.clock import TimeIsOver
from garrison.robustness.evaluation.evasion import evade


def threshold_classifier() -> Classifier:
    """Class 1 from 0.5 on, so that the distance to 0.5 is the exact robustness of an input of one number."""

    def scores(inputs):  # type: ignore[no-untyped-def]
        import numpy

        positive = inputs.reshape(len(inputs), -1)[:, 0]
        return numpy.stack([1 - positive, positive], 1)

    return of_function(scores, 2, outputs="probabilities")


@dataclass(frozen=True)
class Exact:
    """Moves an input of one number across 0.5 if the budget allows it, but at most to `reach`."""

    reach: float = 1.0
    norm: Norm = "linf"
    name: ClassVar[str] = "exact"
    access: ClassVar[Access] = "scores"

    def __call__(
        self,
        classifier: Classifier,
        inputs: Tensor,
        labels: Tensor,
        epsilons: Sequence[float],
        *,
        seed: int,
        progress: Progress | None = None,
    ) -> Outcome:
        needed = (inputs[:, 0] - 0.5).abs() + 1e-3
        success = torch.stack([(needed <= epsilon) & (needed <= self.reach) for epsilon in epsilons])
        target = torch.where(labels == 1, 0.5 - 1e-3, 0.5 + 1e-3)[:, None]
        adversarial = torch.where(success[..., None], target, inputs)
        one = torch.ones(len(inputs), dtype=torch.int64)
        return Outcome(tuple(epsilons), adversarial, success, one * 3, one * 0, torch.where(success, 3, -1))


INPUTS = torch.tensor([0.1, 0.45, 0.55, 0.65, 0.9, 0.48])[:, None]
LABELS = torch.tensor([0, 0, 1, 1, 1, 1])  # the last is misclassified


def test_what_is_counted_is_what_is_true() -> None:
    found = evade(threshold_classifier(), INPUTS, LABELS, "linf", [0.2, 0.06], [Exact()], seed=0)
    assert found.epsilons == (0.06, 0.2)
    small, large = found.results
    assert (small.robust_accuracy.count, small.robust_accuracy.of) == (3, 6)
    assert (large.robust_accuracy.count, large.robust_accuracy.of) == (2, 6)
    assert (large.attacks[0].success.count, large.attacks[0].success.of) == (3, 5)
    assert found.correct.tolist() == [True] * 5 + [False]
    assert found.robust(0).tolist() == [True, False, False, True, True, False]
    assert large.attacks[0].median_queries == 3


def test_an_attack_is_tried_on_what_is_left() -> None:
    found = evade(threshold_classifier(), INPUTS, LABELS, "linf", [0.2], [Exact(reach=0.06), Exact()], seed=0)
    first, second = found.results[0].attacks
    assert (first.success.count, first.success.of) == (2, 5)
    assert (second.success.count, second.success.of) == (1, 3)
    assert second.robust_accuracy.count == 2
    assert found.results[0].worst_attack == "exact"


@dataclass(frozen=True)
class Boastful(Exact):
    """Says that it succeeded, and moved too far or nowhere."""

    far: bool = True
    name: ClassVar[str] = "boastful"

    def __call__(
        self,
        classifier: Classifier,
        inputs: Tensor,
        labels: Tensor,
        epsilons: Sequence[float],
        *,
        seed: int,
        progress: Progress | None = None,
    ) -> Outcome:
        outcome = super().__call__(classifier, inputs, labels, epsilons, seed=seed)
        outcome.success = torch.ones_like(outcome.success)
        outcome.adversarial = (1 - inputs if self.far else inputs).expand_as(outcome.adversarial).clone()
        return outcome


def test_an_attack_is_not_believed() -> None:
    for far in (True, False):
        found = evade(threshold_classifier(), INPUTS, LABELS, "linf", [0.06], [Boastful(far=far)], seed=0)
        assert found.results[0].robust_accuracy.count == 5
        assert found.unfounded["boastful"] == 5


def test_time_that_runs_out_leaves_a_whole_sample(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(evasion, "BATCH", 2)
    monkeypatch.setattr(evasion, "FIRST_BATCH", 2)
    found = evade(
        threshold_classifier(), INPUTS, LABELS, "linf", [0.2], [Exact()], seed=0, deadline=time.monotonic() - 1
    )
    assert found.stopped
    assert found.results[0].robust_accuracy.of == 2


def test_partial_results_come_batch_by_batch(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(evasion, "BATCH", 2)
    monkeypatch.setattr(evasion, "FIRST_BATCH", 2)
    seen: list[int] = []
    evade(
        threshold_classifier(),
        INPUTS,
        LABELS,
        "linf",
        [0.2],
        [Exact()],
        seed=0,
        partial=lambda found: seen.append(found.results[0].robust_accuracy.of),
    )
    assert seen == [2, 4, 6]


@dataclass(frozen=True)
class Spending(Exact):
    name: ClassVar[str] = "spending"

    def __call__(self, *_: object, **__: object) -> Outcome:
        raise QueriesSpent("the budget of 10 queries is spent")


def test_a_spent_budget_ends_it_and_is_said() -> None:
    found = evade(threshold_classifier(), INPUTS, LABELS, "linf", [0.2], [Exact(reach=0.06), Spending()], seed=0)
    assert "10 queries" in found.stopped
    assert "10 queries" in found.results[0].attacks[1].incomplete
    assert found.results[0].robust_accuracy.count == 3


@dataclass(frozen=True)
class Puzzled(Exact):
    name: ClassVar[str] = "puzzled"

    def __call__(self, *_: object, **__: object) -> Outcome:
        raise GarrisonError("an answer that is none")


def test_an_attack_that_gets_no_answer_leaves_the_others_theirs_and_is_said() -> None:
    attacks = [Puzzled(), Exact(reach=0.06)]
    found = evade(threshold_classifier(), INPUTS, LABELS, "linf", [0.2], attacks, seed=0)
    assert found.results[0].attacks[0].incomplete == "an answer that is none"
    assert found.results[0].robust_accuracy.count == 3


@dataclass(frozen=True)
class Late(Exact):
    name: ClassVar[str] = "late"

    def __call__(self, classifier: Classifier, inputs: Tensor, *rest: Any, **more: Any) -> Outcome:
        if float(inputs[0]) != float(INPUTS[0]):
            raise TimeIsOver
        return super().__call__(classifier, inputs, *rest, **more)


def test_a_batch_that_time_cuts_off_does_not_count(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(evasion, "BATCH", 2)
    monkeypatch.setattr(evasion, "FIRST_BATCH", 2)
    whole = evade(threshold_classifier(), INPUTS[:4], LABELS[:4], "linf", [0.2], [Exact(), Exact()], seed=0)
    found = evade(threshold_classifier(), INPUTS, LABELS, "linf", [0.2], [Exact(), Late()], seed=0)
    assert found.stopped
    assert found.results[0].robust_accuracy == whole.results[0].robust_accuracy
    assert found.results[0].attacks[0].success == whole.results[0].attacks[0].success
