"""What may stand before the answers, so that they teach less: wrappers that take a classifier and give one.

None of them changes what the model decides, but `noise` may. What each costs the user is in `cost`.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Rate, rate
from garrison.robustness.attacks.attack import generator
from garrison.robustness.classifier import Classifier

_BINS = 15
_TINY = 1e-6


@dataclass(frozen=True, eq=False)
class Defence:
    """A way to answer less."""

    name: str
    wrap: Callable[[Classifier], Classifier]
    random: bool = False
    """Whether the same question gets different answers, so that an attacker may average."""


@dataclass(frozen=True, eq=False)
class Cost:
    """What users of a model see of a defence."""

    accuracy: Rate
    calibration_error: float
    """Expected difference of confidence and accuracy in 15 bins (Guo et al. 2017)."""


NONE = Defence("none", lambda classifier: classifier)


def rounding(digits: int) -> Defence:
    """Probabilities rounded to so many decimal digits (Tramèr et al. 2016, section 7)."""
    if digits < 0:
        raise UsageError(f"rounding to {digits} digits: it takes 0 or more")

    def answer(soft: Tensor) -> Tensor:
        # A nudge keeps the decision where rounding makes a tie.
        return _keep_decision(soft, (soft * 10**digits).round() / 10**digits)

    return Defence(f"rounding {digits} digit{'' if digits == 1 else 's'}", _answering(answer))


def top(count: int) -> Defence:
    """The probabilities of the most likely classes only, the rest shared evenly by the others."""
    if count < 1:
        raise UsageError(f"the top {count} classes: it takes 1 or more")

    def answer(soft: Tensor) -> Tensor:
        kept = soft.topk(min(count, soft.shape[1]), 1)
        others = soft.shape[1] - kept.values.shape[1]
        rest = (1 - kept.values.sum(1, keepdim=True)).clamp(min=0) / max(others, 1)
        # Evenly shared, but never more than what was shown.
        rest = torch.minimum(rest, kept.values[:, -1:]) if others else rest
        return rest.expand_as(soft).clone().scatter(1, kept.indices, kept.values)

    return Defence(f"top {count}", _answering(answer))


def labels_only() -> Defence:
    """Nothing but the decision."""

    def wrap(classifier: Classifier) -> Classifier:
        def forward(inputs: Tensor) -> Tensor:
            scores = classifier.scores(inputs)
            return torch.nn.functional.one_hot(scores.argmax(1), classifier.classes).to(scores.dtype)

        return _wrapped(classifier, forward, labels=True)

    return Defence("labels only", wrap)


def noise(scale: float, *, seed: int = 0) -> Defence:
    """Gaussian noise of `scale` on the log-probabilities, drawn anew for each question."""
    if not scale > 0:
        raise UsageError(f"noise of {scale}: it takes more than 0")

    def wrap(classifier: Classifier) -> Classifier:
        random = generator(seed, classifier.device)

        def answer(soft: Tensor) -> Tensor:
            drawn = torch.randn(soft.shape, generator=random, device=soft.device, dtype=soft.dtype)
            return (soft.clamp(min=_TINY).log() + scale * drawn).softmax(1)

        return _answering(answer)(classifier)

    return Defence(f"noise {scale:g}", wrap, random=True)


def reverse_sigmoid(beta: float = 0.7, gamma: float = 0.2) -> Defence:
    """Probabilities that go down where they should go up, with the decision kept (Lee et al. 2019, equation 5)."""

    def answer(soft: Tensor) -> Tensor:
        clipped = soft.clamp(_TINY, 1 - _TINY)
        moved = (soft - beta * ((gamma * (clipped / (1 - clipped)).log()).sigmoid() - 0.5)).clamp(min=_TINY)
        return _keep_decision(soft, moved / moved.sum(1, keepdim=True))

    return Defence(f"reverse sigmoid {beta:g}, {gamma:g}", _answering(answer))


def cost(classifier: Classifier, inputs: Tensor, labels: Tensor) -> Cost:
    """Accuracy and calibration on inputs (n, *shape) with their true labels (n,)."""
    soft = torch.cat([classifier.soft(classifier.scores(batch)) for batch in torch.split(inputs, 512)]).cpu()
    confidence, decision = soft.max(1)
    right = decision == labels.cpu()
    bins = (confidence * _BINS).long().clamp(0, _BINS - 1)
    gap = torch.zeros(_BINS, dtype=torch.float64).index_add(0, bins, right.double() - confidence.double())
    return Cost(rate(int(right.sum()), len(right)), float(gap.abs().sum()) / max(len(right), 1))


def _answering(answer: Callable[[Tensor], Tensor]) -> Callable[[Classifier], Classifier]:
    def wrap(classifier: Classifier) -> Classifier:
        return _wrapped(classifier, lambda inputs: answer(classifier.soft(classifier.scores(inputs))), labels=False)

    return wrap


def _wrapped(classifier: Classifier, forward: Callable[[Tensor], Tensor], *, labels: bool) -> Classifier:
    return dataclasses.replace(
        classifier, forward=forward, differentiable=False, outputs="labels" if labels else "probabilities"
    )


def _keep_decision(soft: Tensor, answer: Tensor) -> Tensor:
    decision = soft.argmax(1, keepdim=True)
    highest = answer.max(1, keepdim=True).values
    lost = answer.argmax(1, keepdim=True) != decision
    return answer.scatter(1, decision, torch.where(lost, highest + _TINY, answer.gather(1, decision)))
