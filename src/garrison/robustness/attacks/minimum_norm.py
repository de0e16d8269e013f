"""What attacks that look for the smallest change share: one run answers every budget."""

from abc import abstractmethod

import torch
from torch import Tensor

from garrison.core.errors import GarrisonError
from garrison.core.robustness_card import Norm
from garrison.robustness.attacks.attack import TOLERANCE, Outcome, Progress
from garrison.robustness.attacks.checked import CheckedAttack
from garrison.robustness.attacks.losses import margin
from garrison.robustness.classifier import Classifier
from garrison.robustness.distances import distance

_NOISE = 1e-5
"""A decision by less than this share of the largest score may turn with the size of the batch (float32)."""


class SearchAttack(CheckedAttack):
    """An attack that keeps the nearest adversarial input that it has met."""

    def _attacked(
        self,
        classifier: Classifier,
        inputs: Tensor,
        labels: Tensor,
        epsilons: tuple[float, ...],
        seed: int,
        progress: Progress,
    ) -> Outcome:
        search = Search(classifier, inputs, labels, epsilons, self.norm)
        self._search(search, seed, progress)
        return search.outcome()

    @abstractmethod
    def _search(self, search: "Search", seed: int, progress: Progress) -> None:
        """Ask about points near the inputs, which were asked about themselves."""


class Search:
    """The nearest adversarial input found so far for each of n inputs, and what was spent to find it."""

    def __init__(
        self, classifier: Classifier, inputs: Tensor, labels: Tensor, epsilons: tuple[float, ...], norm: Norm
    ) -> None:
        """Asks for each input once: those that are misclassified already are found, unchanged."""
        self.classifier, self.inputs, self.labels, self.norm = classifier, inputs, labels, norm
        self.epsilons = epsilons
        """Ascending."""
        self.adversarial = self.inputs.clone()
        count = len(labels)
        self.queries = torch.ones(count, dtype=torch.int64, device=labels.device)
        self.gradients = torch.zeros_like(self.queries)
        self.found_after = torch.full((len(self.epsilons), count), -1, dtype=torch.int64, device=labels.device)
        self.clean = scores = classifier.scores(self.inputs)
        """Scores (n, classes) of the inputs."""
        if not bool(scores.isfinite().all()):
            raise GarrisonError(f"{classifier.name or 'the model'} gives scores that are not finite for these inputs")
        wrong = scores.argmax(1) != labels
        self.distance = torch.full((count,), torch.inf, device=labels.device).masked_fill(wrong, 0.0)
        self.found_after[:, wrong] = 1

    def remaining(self) -> Tensor:
        """Which inputs (k,) are still classified correctly and were not found."""
        return self.distance.isinf().nonzero().squeeze(1)

    def ask(self, rows: Tensor, candidates: Tensor, confidence: float = 0.0) -> Tensor:
        """Logits (k, classes) for `candidates`, of which any that is misclassified and nearer than what was found
        before is kept. `confidence` is the margin that a decision needs to count."""
        scores = self.classifier.logits(self.classifier(candidates))
        self.queries[rows] += 1
        with torch.no_grad():
            doubt = (scores.abs().amax(1) * _NOISE).clamp_min(confidence)
            sizes = distance(self.norm, candidates - self.inputs[rows])
            nearer = (margin(scores, self.labels[rows]) > doubt) & (sizes < self.distance[rows])
            kept, sizes = rows[nearer], sizes[nearer]
            self.distance[kept] = sizes
            self.adversarial[kept] = candidates.detach()[nearer]
            for which, epsilon in enumerate(self.epsilons):
                new = kept[(sizes <= epsilon * (1 + TOLERANCE)) & (self.found_after[which, kept] < 0)]
                self.found_after[which, new] = self.queries[new]
        return scores

    def shrink(self, steps: int, confidence: float = 0.0) -> None:
        """Halves the way between each input and what was found for it, `steps` times, and keeps what is still wrong."""
        rows = (self.distance.isfinite() & (self.distance > 0)).nonzero().squeeze(1)
        if not len(rows):
            return
        start, end = self.inputs[rows], self.adversarial[rows].clone()
        right = torch.zeros(len(rows), *[1] * (start.dim() - 1), device=start.device)
        wrong = torch.ones_like(right)
        for _ in range(steps):
            middle = (right + wrong) / 2
            with torch.no_grad():
                before = self.distance[rows]
                self.ask(rows, self.classifier.clip(start + middle * (end - start)), confidence)
                found = (self.distance[rows] < before).view_as(right)
            right, wrong = torch.where(found, right, middle), torch.where(found, middle, wrong)

    def outcome(self) -> Outcome:
        """What was found, by budget."""
        budgets = torch.tensor(self.epsilons, device=self.distance.device, dtype=self.distance.dtype)
        success = self.distance <= budgets[:, None] * (1 + TOLERANCE)
        shown = success.view(*success.shape, *[1] * (self.inputs.dim() - 1))
        return Outcome(
            epsilons=self.epsilons,
            adversarial=torch.where(shown, self.adversarial, self.inputs),
            success=success,
            queries=self.queries,
            gradients=self.gradients,
            found_after=self.found_after,
        )
