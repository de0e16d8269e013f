"""How a model is trained, and what was seen meanwhile."""

from dataclasses import dataclass
from typing import Literal

from garrison.core.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings of adversarial training. The defaults are the practice that the literature agrees on."""

    epochs: int = 10
    batch: int = 128
    optimizer: Literal["adam", "sgd"] = "adam"
    """Adam does for any network; SGD (Nesterov, momentum 0.9) is a little better for networks with normalisation."""
    rate: float = 0.0
    """The highest learning rate; 0 takes 0.002 for Adam and 0.05 for SGD. It rises linearly for the first fifth of the
    training and falls linearly to zero (Wong et al. 2020, section 4.1)."""
    weight_decay: float = 5e-4
    """Matters more for robust than for plain training (Pang et al. 2021)."""
    steps: int = 7
    """Of the attack on each batch. One is the fast variant for CPUs: a random start and one long step (FGSM-RS, Wong et
    al. 2020); when it is seen to overfit catastrophically, the best weights are restored and three steps are taken."""
    warm_up: float = 0.2
    """Share of the training over which the budget grows to its full size."""
    averaging: float = 0.995
    """Decay, per batch, of the average of weights that is validated and returned (Gowal et al. 2020); 0 for none."""
    label_smoothing: float = 0.0
    extra_share: float = 0.5
    """Of each batch, taken from the extra data where there are any (Carmon et al. 2019)."""
    validation_share: float = 0.1
    """Of the training data, held back where no validation data are given."""
    validated_on: int = 1000
    """Inputs at most, after each epoch."""
    patience: int = 0
    """Epochs without a better robust validation accuracy after which training stops; 0 goes on to the end. The best
    epoch's weights are returned in any case (Rice et al. 2020)."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "steps", "validated_on"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} has to be at least 1")
        for name in ("warm_up", "averaging", "label_smoothing", "extra_share", "validation_share"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} has to be from 0 to below 1")
        if self.rate < 0 or self.weight_decay < 0 or self.patience < 0:
            raise UsageError("rate, weight_decay and patience must not be negative")

    @property
    def highest_rate(self) -> float:
        return self.rate or {"adam": 2e-3, "sgd": 5e-2}[self.optimizer]


@dataclass(frozen=True)
class Epoch:
    """What was seen after an epoch, on validation data."""

    number: int
    """From 1."""
    loss: float
    """Mean over the epoch's batches, in training."""
    clean: float
    robust: float
    """Accuracy under a short attack, an optimistic figure that serves to choose the epoch."""
    note: str = ""
