"""What an attack that sees only answers has asked, and what it found."""

import torch
from torch import Tensor

from garrison.core.errors import GarrisonError
from garrison.core.robustness_card import Norm
from garrison.robustness.attacks.attack import TOLERANCE, Outcome
from garrison.robustness.attacks.losses import margin
from garrison.robustness.classifier import Classifier, QueriesSpent
from garrison.robustness.distances import distance


class Ledger:
    """Asks a classifier about points near inputs, counts each against its input, and keeps the closest wrong ones."""

    def __init__(
        self, classifier: Classifier, inputs: Tensor, labels: Tensor, epsilons: tuple[float, ...], norm: Norm
    ) -> None:
        self.classifier = classifier
        self.inputs = inputs
        self.labels = labels
        self.norm = norm
        self.epsilons = epsilons
        """Ascending."""
        self.queries = torch.zeros(len(inputs), dtype=torch.int64, device=inputs.device)
        self.closest = inputs.clone()
        """(n, *shape): wrong, and the nearest to its input; the input itself before anything was found."""
        self.distance = torch.full((len(inputs),), torch.inf, device=inputs.device)
        """(n,) of `closest`; infinite before anything was found."""
        self.found_after = torch.full((len(epsilons), len(inputs)), -1, dtype=torch.int64, device=inputs.device)
        self._before = torch.zeros_like(self.queries)

    def open(self, budget: int = 0) -> Tensor:
        """Indices (k,) of the inputs that nothing was found for under a budget, given by its place."""
        return (self.found_after[budget] < 0).nonzero().flatten()

    def begin(self) -> None:
        """Count from here as if nothing but the inputs themselves had been asked about."""
        self._before = (self.queries - 1).clamp_min(0)

    def ask(self, points: Tensor, which: Tensor) -> Tensor:
        """Scores (k, classes) of points (k, *shape), each near the input of its index in `which` (k,).

        An index may stand there more than once; each counts. Raises `GarrisonError` for scores that are no numbers, and
        `QueriesSpent` after as many of the first points as may still be asked about.
        """
        try:
            scores = self.classifier.scores(points)
        except QueriesSpent:
            if len(points) > 1:
                for half in (slice(len(points) // 2), slice(len(points) // 2, None)):
                    self.ask(points[half], which[half])
            raise
        before = self.queries[which] - self._before[which]
        self.queries += which.bincount(minlength=len(self.queries))
        if bool(scores.isnan().any()):
            raise GarrisonError(f"{self.classifier.name or 'the model'} answered with scores that are no numbers (NaN)")
        wrong = scores.argmax(1) != self.labels[which]
        if bool(wrong.any()):
            self._keep(points[wrong], which[wrong], (before + 1 + _repeats(which))[wrong])
        return scores

    def margins(self, points: Tensor, which: Tensor) -> Tensor:
        """How far the best other class is ahead (k,), in differences of logits; see `ask`."""
        return margin(self.classifier.logits(self.ask(points, which)), self.labels[which])

    def outcome(self, incomplete: str = "") -> Outcome:
        """What was found: the closest point, under each budget that it is within."""
        success = self.found_after >= 0
        shape = (*success.shape, *[1] * (self.inputs.ndim - 1))
        adversarial = torch.where(success.view(shape), self.closest, self.inputs)
        gradients = torch.zeros_like(self.queries)
        return Outcome(self.epsilons, adversarial, success, self.queries, gradients, self.found_after, incomplete)

    def _keep(self, points: Tensor, which: Tensor, counts: Tensor) -> None:
        distances = distance(self.norm, points - self.inputs[which])
        for place, epsilon in enumerate(self.epsilons):
            within = distances <= epsilon * (1 + TOLERANCE)
            first = torch.full_like(self.queries, torch.iinfo(torch.int64).max)
            first.scatter_reduce_(0, which[within], counts[within], "amin")
            new = (self.found_after[place] < 0) & (first < torch.iinfo(torch.int64).max)
            self.found_after[place, new] = first[new]
        nearest = self.distance.scatter_reduce(0, which, distances, "amin")
        closer = (distances == nearest[which]) & (distances < self.distance[which])
        self.closest[which[closer]] = points[closer]
        self.distance = nearest


def _repeats(which: Tensor) -> Tensor:
    """How often each element (k,) stands before its place."""
    order = which.argsort(stable=True)
    ordered = which[order]
    repeats = torch.empty_like(which)
    repeats[order] = torch.arange(len(which), device=which.device) - torch.searchsorted(ordered, ordered)
    return repeats
