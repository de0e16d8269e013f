"""Model inversion: what a model gives away of how its classes look."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from garrison.core.errors import GarrisonError, UsageError
from garrison.core.robustness_card import Inversion
from garrison.robustness.attacks.attack import Progress, generator
from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data
from garrison.robustness.pictures import png

_DIRECTIONS = 16
"""Random directions in which a model without gradients is asked for a slope."""


def measure(
    classifier: Classifier,
    data: Data,
    *,
    steps: int = 200,
    smoothness: float = 30.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Inversion, ...]:
    """Reconstruct an input of each class from the classifier alone (Fredrikson et al. 2015, section 5).

    The start is the middle of the range. Adam raises the logit of the class, or its log-probability where there are no
    logits, and for images `smoothness` times the mean absolute difference of neighbouring pixels, in shares of the
    range, is taken off. Without gradients, the slope is estimated from 32 questions a step. The data serves the
    comparison, and as the range of features that have none: a class that is not in it is
    left out. Costs `steps` backward passes for each class. Raises `UsageError`.
    """
    if data.kind == "text":
        raise UsageError("inversion takes images or tables")
    if steps < 1:
        raise UsageError(f"{steps} steps: it takes 1 or more")
    inputs = torch.from_numpy(np.asarray(data.inputs, np.float32))
    labels = torch.from_numpy(np.asarray(data.labels, np.int64))
    if not len(inputs) or not inputs.isfinite().all():
        raise UsageError("there are no inputs, or among them is what is no number")
    if labels.min() < 0 or labels.max() >= classifier.classes:
        raise UsageError(f"labels go to {int(labels.max())}, but the model has {classifier.classes} classes")
    classes = torch.from_numpy(np.unique(labels.numpy()))
    found = _reconstructed(classifier, classes, inputs, steps, smoothness, seed, progress)
    soft = classifier.soft(classifier.scores(found.to(classifier.device))).cpu()
    if not soft.isfinite().all():
        raise GarrisonError(f"{classifier.name or 'the model'} answers with what is no number")
    means = torch.stack([inputs[labels == each].mean(0) for each in classes])
    usual = means.mean(0)
    image = inputs.ndim == 4 and inputs.shape[1] in (1, 3)
    low, high = (float(torch.as_tensor(bound).float().mean()) for bound in (classifier.low, classifier.high))
    return tuple(
        Inversion(
            label=data.classes[int(each)] if int(each) < len(data.classes) else str(int(each)),
            confidence=float(soft[row, each]),
            similarity=_correlation(found[row], means[row]),
            baseline=_correlation(usual, means[row]),
            image=png(found[row].numpy(), low=low, high=high) if image else "",
        )
        for row, each in enumerate(classes)
    )


def _reconstructed(
    classifier: Classifier,
    classes: Tensor,
    inputs: Tensor,
    steps: int,
    smoothness: float,
    seed: int,
    progress: Progress | None,
) -> Tensor:
    """(classes, *shape), all at once."""
    device = classifier.device
    low, high = (torch.as_tensor(bound).float().to(device) for bound in (classifier.low, classifier.high))
    if not (low.isfinite().all() and high.isfinite().all()):
        # Tables may have no range: the one that is seen.
        low, high = inputs.amin(0).to(device), inputs.amax(0).to(device)
    # In shares of the range, so that one rate serves all features.
    share = torch.full((len(classes), *inputs.shape[1:]), 0.5, device=device, requires_grad=True)
    optimizer = torch.optim.Adam([share], 0.05)
    random = generator(seed, device)
    targets = classes.to(device)

    def loss(at: Tensor) -> Tensor:
        """One for each of a batch of repeats of the classes."""
        wanted = targets.repeat(len(at) // len(targets))[:, None]
        scores = classifier(low + (high - low) * at)
        soft = scores if classifier.outputs == "logits" else scores.clamp(min=1e-12).log()
        return -soft.gather(1, wanted)[:, 0]

    for step in range(steps):
        optimizer.zero_grad()
        rough = smoothness * _roughness(share).sum()
        if classifier.differentiable:
            (loss(share).sum() + rough).backward()  # type: ignore[no-untyped-call,unused-ignore]
        else:
            rough.backward()  # type: ignore[no-untyped-call,unused-ignore]
            share.grad = _slope(loss, share.detach(), random) + (0 if share.grad is None else share.grad)
        optimizer.step()
        with torch.no_grad():
            share.clamp_(0, 1)
        if progress:
            progress((step + 1) / steps)
    return (low + (high - low) * share.detach()).cpu()


def _slope(loss: Callable[[Tensor], Tensor], at: Tensor, random: torch.Generator) -> Tensor:
    """From differences along random directions, both ways (Spall 1992)."""
    drawn = torch.randn((_DIRECTIONS, *at.shape), generator=random, device=at.device)
    with torch.no_grad():
        ahead, behind = (loss((at + sign * 0.1 * drawn).clamp(0, 1).flatten(0, 1)) for sign in (1, -1))
        difference = (ahead - behind).reshape(_DIRECTIONS, len(at), *[1] * (at.ndim - 1))
        return (difference * drawn).mean(0) / 0.2


def _roughness(share: Tensor) -> Tensor:
    """(n,): mean absolute difference of neighbouring pixels; nothing for tables."""
    if share.ndim != 4:
        return share.flatten(1).sum(1) * 0
    parts = [share.diff(dim=axis).abs() for axis in (2, 3) if share.shape[axis] > 1]
    return torch.stack([part.flatten(1).mean(1) for part in parts]).sum(0) if parts else share.flatten(1).sum(1) * 0


def _correlation(first: Tensor, second: Tensor) -> float:
    """Pearson's; 0 where one of them is constant."""
    one, other = (each.double().flatten() - each.double().mean() for each in (first, second))
    scale = float(one.norm() * other.norm())
    return float(one @ other) / scale if scale > 1e-12 else 0.0
