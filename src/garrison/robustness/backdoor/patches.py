"""Solid patches as triggers, for models that give no gradients."""

import torch
from torch import Tensor

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Trigger
from garrison.robustness.attacks.attack import Progress
from garrison.robustness.classifier import Classifier
from garrison.robustness.pictures import png

ENOUGH = 0.75
"""Share of inputs that a patch has to send to its class."""
LARGEST = 16
"""A patch covers at most one part in so many of the image: what a larger one hides, no backdoor is needed to miss."""
INPUTS = 24
"""On which every patch is tried; those that work are verified on all."""


def working(
    classifier: Classifier, inputs: Tensor, labels: Tensor, targets: list[int], *, progress: Progress | None = None
) -> tuple[Trigger, ...]:
    """The smallest patch for each class that has one, of the darkest and the lightest value, squares on a grid.

    Takes a few thousand queries. Of what it does not find nothing follows: patterns, places between the grid's, and
    triggers that are no patch are not tried. Nor are there sizes of other classes to compare with, so the anomaly
    index is 0 and a patch counts by itself: it is small, and most inputs follow it.

    Raises `UsageError` for what is no image.
    """
    if inputs.ndim != 4:
        raise UsageError("without gradients only images can be searched for triggers")
    height, width = inputs.shape[2:]
    largest = max(2, int((height * width / LARGEST) ** 0.5))
    ranks = torch.zeros(len(labels), dtype=torch.int64)
    for one in sorted(set(labels.tolist())):  # every class in turn, so that the few are as even as can be
        ranks[(labels == one).cpu()] = torch.arange(int((labels == one).sum()))
    few = ranks.argsort(stable=True)[:INPUTS].to(inputs.device)
    sides = sorted({side for side in (2, 3, 4, 6, 8, 12, 16, 24, 32) if side <= largest})
    found: dict[int, Trigger] = {}
    for turn, side in enumerate(sides):
        for top, left in _places(height, width, side):
            for shade in (classifier.low, classifier.high):
                decided = classifier.labels(_patched(inputs[few], top, left, side, shade))
                target = int(decided.mode().values)
                if target in found or target not in targets:
                    continue
                if _success(decided, labels[few], target) < ENOUGH:
                    continue
                success = _success(classifier.labels(_patched(inputs, top, left, side, shade)), labels, target)
                if success >= ENOUGH:
                    found[target] = Trigger(
                        label=str(target),
                        size=float(side * side),
                        success=success,
                        anomaly_index=0.0,
                        suspected=True,
                        image=_image(classifier, inputs, top, left, side, shade),
                    )
        if progress:
            progress((turn + 1) / len(sides))
    return tuple(sorted(found.values(), key=lambda trigger: (trigger.size, trigger.label)))


def _places(height: int, width: int, side: int) -> list[tuple[int, int]]:
    """Upper left corners, so close that a trigger of that side is covered for the most part, edges included."""
    stride = max(1, side // 2)
    rows, columns = (sorted({*range(0, end - side + 1, stride), end - side}) for end in (height, width))
    return [(row, column) for row in rows for column in columns]


def _patched(inputs: Tensor, top: int, left: int, side: int, shade: float | Tensor) -> Tensor:
    changed = inputs.clone()
    values = torch.as_tensor(shade, dtype=inputs.dtype, device=inputs.device).expand(inputs.shape[1:])
    changed[..., top : top + side, left : left + side] = values[..., top : top + side, left : left + side]
    return changed


def _success(decided: Tensor, labels: Tensor, target: int) -> float:
    others = labels != target
    return float((decided[others] == target).float().mean()) if bool(others.any()) else 0.0


def _image(classifier: Classifier, inputs: Tensor, top: int, left: int, side: int, shade: float | Tensor) -> str:
    if inputs.shape[1] not in (1, 3):
        return ""
    low, high = (
        torch.as_tensor(bound, dtype=inputs.dtype, device=inputs.device) for bound in (classifier.low, classifier.high)
    )
    grey = ((low + high) / 2).expand(inputs.shape[1:])
    return png(((_patched(grey[None], top, left, side, shade)[0] - low) / (high - low)).cpu().numpy())
