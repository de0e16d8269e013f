"""What the attacks by gradients have in common: batches, counts, and the record of what was found."""

import dataclasses
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from garrison.core.errors import GarrisonError
from garrison.core.robustness_card import Access, Norm
from garrison.robustness.attacks.attack import TOLERANCE, Outcome, Progress, generator
from garrison.robustness.attacks.checked import CheckedAttack
from garrison.robustness.attacks.geometry import room
from garrison.robustness.classifier import Classifier, QueriesSpent, decisions
from garrison.robustness.distances import distance

Climbed = Callable[[Tensor, Tensor], Tensor]
"""From scores (m, classes) and the rows (m,) that they are of, to losses (m,), or several of each, (m, k)."""


class Batch:
    """Inputs under attack, and what was found for each of them under each budget.

    Attacks name inputs by their rows. Every point that they have the model look at is recorded under all budgets that
    it keeps, so that success under one budget is success under all larger ones.
    """

    def __init__(
        self, classifier: Classifier, inputs: Tensor, labels: Tensor, norm: Norm, epsilons: tuple[float, ...]
    ) -> None:
        self.classifier, self.inputs, self.labels, self.norm, self.epsilons = classifier, inputs, labels, norm, epsilons
        low, high = (
            torch.as_tensor(bound, dtype=inputs.dtype).to(inputs.device) for bound in (classifier.low, classifier.high)
        )
        self._low, self._high = low, high
        self.room = room(inputs, low, high)
        count, budgets = len(inputs), len(epsilons)
        self.adversarial = inputs.expand(budgets, *inputs.shape).clone()
        self.length = torch.full((budgets, count), torch.inf, device=inputs.device)
        """Of what was found; infinite where nothing was."""
        self.queries = torch.zeros(count, dtype=torch.int64, device=inputs.device)
        self.gradients = torch.zeros_like(self.queries)
        self.found_after = torch.full((budgets, count), -1, dtype=torch.int64, device=inputs.device)
        self._limits = torch.tensor(epsilons, device=inputs.device) * (1 + TOLERANCE)
        self._begun = torch.zeros_like(self.queries)
        self.clean = torch.empty(0)
        """Scores (n, classes) of the inputs, once they were looked at."""

    def start(self) -> None:
        """Look at the inputs themselves. Raises `GarrisonError` for scores that are not finite."""
        self.clean = self.look(torch.arange(len(self.inputs), device=self.inputs.device), torch.zeros_like(self.inputs))
        if not bool(self.clean.isfinite().all()):
            name = self.classifier.name or "the model"
            raise GarrisonError(f"{name} gives scores that are not finite for these inputs")

    def begin(self) -> None:
        """Count from here as if nothing but the inputs themselves had been looked at: another budget begins."""
        self._begun = (self.queries - 1).clamp_min(0)

    def robust(self, budget: int) -> Tensor:
        """The rows for which nothing was found under a budget."""
        return self.length[budget].isinf().nonzero().squeeze(1)

    def likely(self, most: int) -> list[Tensor]:
        """The most likely other class of each input (n,), then the next, at most `most` of them."""
        others = self.clean.scatter(1, self.labels[:, None], -torch.inf).argsort(1, descending=True)
        return list(others.T[: min(most, self.classifier.classes - 1)])

    def look(self, rows: Tensor, delta: Tensor) -> Tensor:
        """Scores of perturbed inputs, recorded."""
        points = self._points(rows, delta)
        scores = self.classifier.scores(points)
        self.queries[rows] += 1
        self._record(rows, points, scores)
        return scores

    def climb(self, rows: Tensor, delta: Tensor, climbed: Climbed, samples: int = 1) -> tuple[Tensor, Tensor, Tensor]:
        """Scores, losses and the gradients of the losses at perturbed inputs, recorded.

        Of a model that answers at random, each is the mean over `samples` answers (expectation over transformation,
        Athalye et al. 2018).
        """
        points = self._points(rows, delta)
        leaf = points.detach().requires_grad_()
        answers: list[tuple[Tensor, Tensor, Tensor]] = []
        for _ in range(samples):
            with torch.enable_grad():
                scores = self.classifier(leaf)
                losses = climbed(scores, rows)
                (gradient,) = torch.autograd.grad(losses.sum(), leaf)
            answers.append((scores.detach(), losses.detach(), gradient))
        scores, losses, gradient = answers[0] if samples == 1 else map(_mean, zip(*answers, strict=True))
        self.queries[rows] += samples
        self.gradients[rows] += samples
        self._record(rows, points, scores)
        return scores, losses, gradient.nan_to_num(0.0)

    def slopes(self, rows: Tensor, delta: Tensor, climbed: Climbed) -> Iterator[tuple[Tensor, Tensor]]:
        """Each of k losses (m, k) at perturbed inputs, with its gradient."""
        points = self._points(rows, delta)
        leaf = points.detach().requires_grad_()
        with torch.enable_grad():
            scores = self.classifier(leaf)
            losses = climbed(scores, rows)
        self.queries[rows] += 1
        self._record(rows, points, scores.detach())
        for number, column in enumerate(losses.T, 1):
            (gradient,) = torch.autograd.grad(column.sum(), leaf, retain_graph=number < losses.shape[1])
            self.gradients[rows] += 1
            yield column.detach(), gradient.nan_to_num(0.0)

    def _points(self, rows: Tensor, delta: Tensor) -> Tensor:
        return (self.inputs[rows] + delta).clamp(self._low, self._high)

    def _record(self, rows: Tensor, points: Tensor, scores: Tensor) -> None:
        wrong = (decisions(scores) != self.labels[rows]).nonzero().squeeze(1)
        if not len(wrong):
            return
        rows, points = rows[wrong], points[wrong]
        length = distance(self.norm, points - self.inputs[rows])
        for budget, limit in enumerate(self._limits):
            closer = (length <= limit) & (length < self.length[budget, rows])
            chosen = rows[closer]
            first = chosen[self.found_after[budget, chosen] < 0]
            self.found_after[budget, first] = self.queries[first] - self._begun[first]
            self.length[budget, chosen] = length[closer]
            self.adversarial[budget, chosen] = points[closer]


def _mean(answers: Sequence[Tensor]) -> Tensor:
    return torch.stack(tuple(answers)).mean(0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GradientAttack(CheckedAttack):
    """An attack that follows gradients, in batches."""

    access: ClassVar[Access] = "gradients"
    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2", "l1")

    norm: Norm = "linf"
    batch: int = 250
    """Inputs that are attacked at once."""

    def _attacked(
        self,
        classifier: Classifier,
        inputs: Tensor,
        labels: Tensor,
        epsilons: tuple[float, ...],
        seed: int,
        progress: Progress,
    ) -> Outcome:
        noise = generator(seed, classifier.device)
        starts = range(0, max(1, len(inputs)), self.batch)
        batches, spent = [], ""
        for index, start in enumerate(starts):
            some = slice(start, start + self.batch)
            batch = Batch(classifier, inputs[some], labels[some], self.norm, epsilons)

            def told(share: float, index: int = index) -> None:
                progress((index + share) / len(starts))

            batches.append(batch)
            if not len(batch.inputs) or spent:
                continue
            try:
                batch.start()
                self._attack(batch, noise, told)
            except QueriesSpent as reason:
                spent = str(reason)
            told(1)
        length = torch.cat([batch.length for batch in batches], 1)
        return Outcome(
            epsilons,
            torch.cat([batch.adversarial for batch in batches], 1),
            length.isfinite(),
            torch.cat([batch.queries for batch in batches]),
            torch.cat([batch.gradients for batch in batches]),
            torch.cat([batch.found_after for batch in batches], 1),
            spent,
        )

    @abstractmethod
    def _attack(self, batch: Batch, noise: torch.Generator, progress: Progress) -> None:
        """Have the model look at points until those inputs are found that can be."""
