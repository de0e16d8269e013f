"""A model as attacks see it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from garrison.core.errors import GarrisonError

Outputs = Literal["logits", "probabilities", "labels"]


class QueriesSpent(GarrisonError):
    """The model may not be asked any more: its budget of queries is spent."""


def decisions(scores: Tensor) -> Tensor:
    """What scores (n, classes) decide for (n,); -1, which is never right, where one of them is NaN."""
    return torch.where(scores.isnan().any(1), -1, scores.argmax(1))


@dataclass(eq=False)
class Classifier:
    """Scores for a batch of inputs, and gradients of them where the model gives any."""

    forward: Callable[[Tensor], Tensor]
    """(n, *shape) float32 within the bounds -> (n, classes) scores; for `labels`, ones at the decisions."""
    classes: int
    low: float | Tensor = 0.0
    high: float | Tensor = 1.0
    """The range that inputs stay in: one for all, or tensors that broadcast to one input."""
    differentiable: bool = True
    """Whether autograd passes through `forward`."""
    outputs: Outputs = "logits"
    counted: bool = False
    """Whether there is a limit to what it may be asked, so that nothing is asked twice."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    name: str = ""
    watch: Callable[[], None] | None = None
    """Called before each pass; what it raises ends what is under way, as a deadline does."""
    asked: int = field(default=0, init=False)
    """Inputs that were passed forward since the start."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Scores (n, classes), with gradients where the model gives any and `inputs` ask for them."""
        if self.watch is not None:
            self.watch()
        self.asked += len(inputs)
        # A model that works in place would alter what attacks go on with, and what it decides would be of other inputs.
        scores = self.forward(inputs.clone())
        if self.differentiable and inputs.requires_grad and torch.is_grad_enabled() and not scores.requires_grad:
            # What autograd loses on its way through the model, behind an argmax or a comparison, is a gradient of zero.
            scores = scores + 0 * inputs.flatten(1).sum(1, keepdim=True)
        return scores

    @torch.no_grad()
    def scores(self, inputs: Tensor) -> Tensor:
        """Scores (n, classes) without gradients."""
        return self(inputs)

    def labels(self, inputs: Tensor) -> Tensor:
        """Decisions (n,), int64; see `decisions`."""
        return decisions(self.scores(inputs))

    def clip(self, inputs: Tensor) -> Tensor:
        """Inputs within the bounds."""
        low, high = (torch.as_tensor(bound, dtype=inputs.dtype).to(inputs.device) for bound in (self.low, self.high))
        return inputs.clamp(low, high)

    def logits(self, scores: Tensor) -> Tensor:
        """Scores (n, classes) of this model as logits. Of probabilities their logarithms: logits up to a constant.

        The smallest normal number stands for probabilities below it, whose logarithm or its slope would not be finite.
        Such a class has no gradient: a model that is sure beyond that hides it, and no loss brings it back.
        """
        if self.outputs == "probabilities":
            return scores.clamp_min(torch.finfo(scores.dtype).tiny).log()
        return scores

    def soft(self, scores: Tensor) -> Tensor:
        """Probabilities (n, classes) of scores of this model."""
        return scores.softmax(1) if self.outputs == "logits" else scores


def of_module(
    module: torch.nn.Module, classes: int, *, low: float = 0.0, high: float = 1.0, name: str = ""
) -> Classifier:
    """A module that gives logits, frozen and in evaluation mode, on the device where its parameters are."""
    module.eval()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    return Classifier(module, classes, low, high, device=device, name=name or type(module).__name__)


def of_function(
    function: Callable[..., object],
    classes: int,
    *,
    outputs: Outputs,
    low: float | Tensor = 0.0,
    high: float | Tensor = 1.0,
    name: str = "",
) -> Classifier:
    """A function from a NumPy array (n, *shape) to scores (n, classes) or decisions (n,), without gradients."""
    import numpy

    def forward(inputs: Tensor) -> Tensor:
        answer = torch.from_numpy(numpy.asarray(function(inputs.detach().cpu().numpy())))
        if outputs == "labels":
            answer = torch.nn.functional.one_hot(answer.long().reshape(len(inputs)), classes)
        return answer.float().reshape(len(inputs), classes).to(inputs.device)

    return Classifier(forward, classes, low, high, differentiable=False, outputs=outputs, name=name)
