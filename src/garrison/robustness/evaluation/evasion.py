"""Attacks one after the other, each on what the earlier ones left robust, for several budgets of one norm.

Inputs are taken batch by batch, each through all attacks, so that what is done when time runs out is a sample of the
whole, and not the whole under half of the attacks.
"""

import copy
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from garrison.core.errors import GarrisonError, UsageError
from garrison.core.robustness_card import AttackResult, Budget, Evasion, Norm, rate
from garrison.robustness.attacks.attack import TOLERANCE, Attack, Outcome, settings
from garrison.robustness.classifier import Classifier, QueriesSpent
from garrison.robustness.distances import distance
from garrison.robustness.evaluation.clock import TimeIsOver

_OVER = "its time was over"
FIRST_BATCH, BATCH = 50, 250
"""Inputs that go through all attacks together: few at first, so that there is something to tell soon."""


@dataclass(eq=False)
class _Tally:
    """What one attack did under one budget, over all batches."""

    tried: int = 0
    found: int = 0
    broken_after: int = 0
    """Inputs that are not robust after it, misclassified ones included."""
    queries_to_success: list[Tensor] = field(default_factory=list)
    distances: list[Tensor] = field(default_factory=list)


@dataclass(eq=False)
class _Cost:
    """What one attack took, over all batches and budgets."""

    queries: int = 0
    gradients: int = 0
    seconds: float = 0.0
    incomplete: str = ""


@dataclass(eq=False)
class Evaded:
    """What the attacks of one norm found. E budgets, n inputs that were done."""

    norm: Norm
    epsilons: tuple[float, ...]
    done: Tensor
    """(n,) which of the inputs, by index."""
    correct: Tensor
    """(n,) bool: classified correctly before."""
    broken_by: Tensor
    """(E, n) int64: which attack found it, -1 where none did, -2 where it was misclassified before."""
    adversarial: Tensor
    """(E, n, *shape): the input itself where nothing was found."""
    attacks: tuple[str, ...]
    results: tuple[Evasion, ...]
    """For each budget."""
    unfounded: dict[str, int]
    """How often an attack said that it succeeded and had not: beyond the budget, or the model decides as before."""
    stopped: str = ""
    """Why not all inputs were done."""

    def robust(self, number: int) -> Tensor:
        """(n,) bool: classified correctly under every attack with the budget of this number."""
        return self.broken_by[number] == -1


def evade(
    classifier: Classifier,
    inputs: Tensor,
    labels: Tensor,
    norm: Norm,
    epsilons: Sequence[float],
    attacks: Sequence[Attack],
    *,
    seed: int,
    progress: Callable[[float, str], None] | None = None,
    partial: Callable[["Evaded"], None] | None = None,
    deadline: float | None = None,
) -> Evaded:
    """Run `attacks` of one norm on `inputs` (n, *shape) with their true `labels` (n,), under each of `epsilons`.

    `progress` is told which share is done and with which attack; `partial` gets what is known after each batch.
    `deadline` is a time of `time.monotonic`: no batch is begun that would end later, except the first. Raises
    `TimeIsOver` if the model does before the first batch is done; of a later one, nothing counts then.
    """
    run = _Run(classifier, norm, tuple(sorted(set(epsilons))), tuple(attacks), seed)
    stopped = ""
    begun = time.monotonic()
    for batch in _batches(len(inputs)):
        done, size = batch.start, batch.stop - batch.start
        if done and deadline is not None:
            now = time.monotonic()
            if now + (now - begun) * size / done > deadline:
                stopped = _OVER
                break
        try:
            for share, name in run.batch(inputs[batch], labels[batch], done):
                if progress is not None:
                    progress((done + share * size) / len(inputs), name)
        except TimeIsOver:
            if not done:
                raise
            stopped = _OVER
            break
        if partial is not None:
            partial(run.evaded(""))
        if run.spent:
            stopped = run.spent
            break
    return run.evaded(stopped)


def _batches(count: int) -> list[slice]:
    starts = [0, *range(FIRST_BATCH, count, BATCH)]
    return [slice(start, end) for start, end in itertools.pairwise([*starts, count])]


class _Run:
    def __init__(
        self, classifier: Classifier, norm: Norm, epsilons: tuple[float, ...], attacks: tuple[Attack, ...], seed: int
    ) -> None:
        self._classifier = classifier
        self._norm = norm
        self._epsilons = epsilons
        self._attacks = attacks
        self._seed = seed
        self._tallies = [[_Tally() for _ in epsilons] for _ in attacks]
        self._costs = [_Cost() for _ in attacks]
        self._done: list[Tensor] = []
        self._broken_by: list[Tensor] = []
        self._adversarial: list[Tensor] = []
        self._unfounded: Counter[str] = Counter()
        self.spent = ""
        """Why the model may not be asked any more."""

    def batch(self, inputs: Tensor, labels: Tensor, start: int) -> Iterator[tuple[float, str]]:
        """All attacks on one batch; yields which share is done after each. What does not come to its end is undone."""
        before = copy.deepcopy((self._tallies, self._costs, self._unfounded))
        try:
            yield from self._all(inputs, labels, start)
        except TimeIsOver:
            self._tallies, self._costs, self._unfounded = before
            raise

    def _all(self, inputs: Tensor, labels: Tensor, start: int) -> Iterator[tuple[float, str]]:
        count = len(inputs)
        correct = self._classifier.labels(inputs) == labels
        broken_by = torch.where(correct, -1, -2).repeat(len(self._epsilons), 1)
        adversarial = inputs.repeat(len(self._epsilons), *[1] * inputs.dim())
        for number, attack in enumerate(self._attacks):
            if not self.spent:
                self._one(number, attack, inputs, labels, broken_by, adversarial, start)
            for tally, broken in zip(self._tallies[number], broken_by, strict=True):
                tally.broken_after += int((broken != -1).sum())
            yield (number + 1) / len(self._attacks), attack.name
        self._done.append(torch.arange(start, start + count))
        self._broken_by.append(broken_by.cpu())
        self._adversarial.append(adversarial.cpu())

    def _one(
        self,
        number: int,
        attack: Attack,
        inputs: Tensor,
        labels: Tensor,
        broken_by: Tensor,
        adversarial: Tensor,
        start: int,
    ) -> None:
        """One attack on what is robust yet. Inputs that are broken under the same budgets are attacked together."""
        begun = time.monotonic()
        cost = self._costs[number]
        unbroken = (broken_by == -1).sum(0)  # under the first so many budgets, since broken stays broken
        for budgets in range(1, len(self._epsilons) + 1):
            chosen = (unbroken == budgets).nonzero().flatten()
            if not len(chosen):
                continue
            seed = (self._seed * 1_000_003 + start * 101 + number * 11 + budgets) % 2**31
            try:
                outcome = attack(self._classifier, inputs[chosen], labels[chosen], self._epsilons[:budgets], seed=seed)
            except QueriesSpent as reason:
                self.spent = cost.incomplete = str(reason)
                break
            except UsageError:
                raise
            except GarrisonError as reason:  # an answer that is none: the other attacks may still do without
                cost.incomplete = str(reason)
                if self._classifier.counted:
                    self.spent = cost.incomplete
                break
            if outcome.incomplete:
                self.spent = cost.incomplete = outcome.incomplete
            cost.queries += int(outcome.queries.sum())
            cost.gradients += int(outcome.gradients.sum())
            self._confirm(attack.name, outcome, inputs[chosen], labels[chosen])
            self._enter(number, outcome, chosen, inputs, broken_by, adversarial)
        cost.seconds += time.monotonic() - begun

    def _confirm(self, name: str, outcome: Outcome, inputs: Tensor, labels: Tensor) -> None:
        """Take back what is beyond its budget, and, where asking is free, what the model is right about."""
        for place, epsilon in enumerate(outcome.epsilons):
            success, moved = outcome.success[place], outcome.adversarial[place]
            good = distance(self._norm, moved - inputs) <= epsilon * (1 + TOLERANCE)
            good &= (self._classifier.clip(moved) == moved).flatten(1).all(1)
            if not self._classifier.counted and success.any():
                good[success] &= self._classifier.labels(moved[success]) != labels[success]
            self._unfounded[name] += int((success & ~good).sum())
            outcome.success[place] = success & good

    def _enter(
        self, number: int, outcome: Outcome, chosen: Tensor, inputs: Tensor, broken_by: Tensor, adversarial: Tensor
    ) -> None:
        for place, success in enumerate(outcome.success):
            found = success.nonzero().flatten()
            tally = self._tallies[number][place]
            tally.tried += len(success)
            tally.found += len(found)
            tally.queries_to_success.append(outcome.found_after[place][found].cpu())
            moved = outcome.adversarial[place][found]
            tally.distances.append(distance(self._norm, moved - inputs[chosen[found]]).cpu())
            broken_by[place, chosen[found]] = number
            adversarial[place, chosen[found]] = moved

    def evaded(self, stopped: str) -> Evaded:
        """What is known now."""
        done = torch.cat(self._done)
        broken_by = torch.cat(self._broken_by, 1)
        return Evaded(
            norm=self._norm,
            epsilons=self._epsilons,
            done=done,
            correct=broken_by[0] != -2,
            broken_by=broken_by,
            adversarial=torch.cat(self._adversarial, 1),
            attacks=tuple(attack.name for attack in self._attacks),
            results=tuple(self._result(place, len(done)) for place in range(len(self._epsilons))),
            unfounded=dict(self._unfounded),
            stopped=stopped,
        )

    def _result(self, place: int, count: int) -> Evasion:
        budget = Budget(norm=self._norm, epsilon=self._epsilons[place])
        rows = tuple(self._row(number, place, count, budget) for number in range(len(self._attacks)))
        return Evasion(
            budget=budget,
            robust_accuracy=rows[-1].robust_accuracy,
            worst_attack=max(rows, key=lambda row: row.success.count).attack,
            attacks=rows,
        )

    def _row(self, number: int, place: int, count: int, budget: Budget) -> AttackResult:
        attack, tally, cost = self._attacks[number], self._tallies[number][place], self._costs[number]
        queries = torch.cat(tally.queries_to_success) if tally.found else None
        distances = torch.cat(tally.distances) if tally.found else None
        return AttackResult(
            attack=attack.name,
            access=attack.access,
            budget=budget,
            success=rate(tally.found, tally.tried),
            robust_accuracy=rate(count - tally.broken_after, count),
            median_queries=None if queries is None else float(queries.double().median()),
            queries=cost.queries,
            gradients=cost.gradients,
            median_distance=None if distances is None else float(distances.double().median()),
            seconds=cost.seconds,
            seed=self._seed,
            settings=settings(attack),
            incomplete=cost.incomplete,
        )
