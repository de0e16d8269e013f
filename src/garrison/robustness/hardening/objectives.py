"""What a training loop makes small."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from garrison.core.robustness_card import Budget
from garrison.robustness.hardening.perturbing import climbed

VALIDATION_STEPS = 10


class Objective(Protocol):
    """A loss of a batch, and how well a model does by it."""

    def loss(
        self, model: nn.Module, inputs: Tensor, labels: Tensor, *, share: float, steps: int, noise: torch.Generator
    ) -> Tensor:
        """The mean loss; `share` of the full perturbation is due, `steps` of the attack are to be taken."""

    def correct(self, model: nn.Module, inputs: Tensor, labels: Tensor, noise: torch.Generator) -> Tensor:
        """Which inputs (n,) the model gets right under what it is trained against."""


@dataclass(frozen=True)
class Adversarial:
    """Cross-entropy at the worst point found (Madry et al. 2018), or at the input with a pull towards deciding alike
    there (TRADES, Zhang et al. 2019, equation 5)."""

    budget: Budget
    low: float
    high: float
    label_smoothing: float = 0.0
    beta: float | None = None
    """The weight of TRADES's pull; none for Madry's training."""

    def loss(
        self, model: nn.Module, inputs: Tensor, labels: Tensor, *, share: float, steps: int, noise: torch.Generator
    ) -> Tensor:
        budget = Budget(norm=self.budget.norm, epsilon=max(share, 1e-3) * self.budget.epsilon)
        training = model.training
        model.eval()  # statistics of batches are for the weights' steps, not for the attack's
        with torch.no_grad():
            usual = model(inputs).float().log_softmax(1)

        def rising(moved: Tensor) -> Tensor:
            scores = model(moved).float()
            if self.beta is None:
                return nn.functional.cross_entropy(scores, labels, reduction="sum")
            return _divergence(usual, scores)

        moved = climbed(rising, inputs, budget, steps, noise, self.low, self.high)
        model.train(training)
        if self.beta is None:
            return nn.functional.cross_entropy(model(moved).float(), labels, label_smoothing=self.label_smoothing)
        scores = model(inputs).float()
        natural = nn.functional.cross_entropy(scores, labels, label_smoothing=self.label_smoothing)
        return natural + self.beta * _divergence(scores.log_softmax(1), model(moved).float()) / len(inputs)

    def correct(self, model: nn.Module, inputs: Tensor, labels: Tensor, noise: torch.Generator) -> Tensor:
        def rising(moved: Tensor) -> Tensor:
            return nn.functional.cross_entropy(model(moved).float(), labels, reduction="sum")

        moved = climbed(rising, inputs, self.budget, VALIDATION_STEPS, noise, self.low, self.high)
        with torch.no_grad():
            right: Tensor = (model(moved).argmax(1) == labels) & (model(inputs).argmax(1) == labels)
            return right


@dataclass(frozen=True)
class Noisy:
    """Cross-entropy under Gaussian noise (Cohen et al. 2019, section 3.3)."""

    sigma: float

    def loss(
        self, model: nn.Module, inputs: Tensor, labels: Tensor, *, share: float, steps: int, noise: torch.Generator
    ) -> Tensor:
        return nn.functional.cross_entropy(model(self._noisy(inputs, share, noise)).float(), labels)

    @torch.no_grad()
    def correct(self, model: nn.Module, inputs: Tensor, labels: Tensor, noise: torch.Generator) -> Tensor:
        right: Tensor = model(self._noisy(inputs, 1.0, noise)).argmax(1) == labels
        return right

    def _noisy(self, inputs: Tensor, share: float, noise: torch.Generator) -> Tensor:
        normal = torch.randn(inputs.shape, generator=noise, device=inputs.device)
        return inputs + share * self.sigma * normal


def _divergence(expected: Tensor, scores: Tensor) -> Tensor:
    """Kullback–Leibler divergence of the scores' distribution from `expected` (logarithms), summed."""
    return nn.functional.kl_div(scores.log_softmax(1), expected, reduction="sum", log_target=True)
