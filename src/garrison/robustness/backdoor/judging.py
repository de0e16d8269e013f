"""Triggers of a model, and which of them nobody would find in a clean one."""

from collections.abc import Sequence

import torch
from torch import Tensor

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Trigger
from garrison.robustness.attacks.attack import Progress, generator
from garrison.robustness.backdoor import anomaly, patches
from garrison.robustness.backdoor.inversion import Triggers, invert
from garrison.robustness.classifier import Classifier
from garrison.robustness.pictures import png

HOLDS = 0.75
"""Share of inputs it was not made with that a trigger has to send to its class, to be suspected."""
SMALLER = 0.25
"""Of the median size, what a suspected trigger takes at most. On Fashion-MNIST triggers of planted backdoors took 4 to
12 % of it, and those of one class of clean models (bags) 32 to 61 %, which the test of sizes alone would accuse."""
FEWEST = 10
"""Inputs of other classes, in each half of the data."""


def triggers(
    classifier: Classifier,
    inputs: Tensor,
    labels: Tensor,
    *,
    seed: int,
    classes: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> tuple[Trigger, ...]:
    """The smallest trigger of each class, the most suspicious first.

    `inputs` (n, *shape) are clean, with their true `labels` (n,); two hundred do. Half of them the triggers are made
    with, the other half they are verified on. Of a model without gradients only solid patches are tried, and only those
    that work are returned: that there are none says nothing.

    A trigger is suspected if its mask is too small to come from the same stock as those of the other classes (a test
    at 5 %, `anomaly.too_small`), less than a quarter of their median, and it holds on inputs it was not made with. So a
    model of fewer than five classes, one with backdoors to more than a third of them, and a trigger that covers about
    as much as natural ones do are not told; their anomaly index may still be high. `classes` are the targets to search,
    all unless given.

    Raises `UsageError` for too few inputs, inputs without bounds, and a model that decides alike for everything.
    """
    _check(classifier, inputs, labels)
    targets = list(range(classifier.classes)) if classes is None else list(classes)
    order = torch.randperm(len(inputs), generator=generator(seed, torch.device("cpu"))).to(inputs.device)
    made_with, held_out = order.tensor_split(2)
    for target in targets:
        if min(int((labels[half] != target).sum()) for half in (made_with, held_out)) < FEWEST:
            raise UsageError(f"too few inputs of classes other than {target} to search its trigger: give more data")
    decided = classifier.labels(inputs)
    if bool((decided == decided[0]).all()):
        raise UsageError(f"the model decides {int(decided[0])} for every input; no trigger can be searched")
    if not classifier.differentiable:
        return patches.working(classifier, inputs[made_with], labels[made_with], targets, progress=progress)
    found = invert(classifier, inputs[made_with], labels[made_with], targets, seed=seed, progress=progress)
    sizes = found.sizes.tolist()
    too_small = anomaly.too_small(sizes)
    median = float(found.sizes.median())
    results = []
    for place, (target, size, index) in enumerate(zip(targets, sizes, anomaly.indexes(sizes), strict=True)):
        others = held_out[(labels[held_out] != target) & (decided[held_out] != target)]
        sent = classifier.labels(found.put_on(inputs[others], place)) == target
        success = float(sent.float().mean()) if len(others) else 0.0
        results.append(
            Trigger(
                label=str(target),
                size=size,
                success=success,
                anomaly_index=index,
                suspected=place in too_small and size < SMALLER * median and success >= HOLDS,
                image=_image(classifier, found, place),
            )
        )
    return tuple(sorted(results, key=lambda trigger: -trigger.anomaly_index))


def _check(classifier: Classifier, inputs: Tensor, labels: Tensor) -> None:
    if len(inputs) != len(labels):
        raise UsageError(f"{len(inputs)} inputs have {len(labels)} labels")
    if not bool(torch.isfinite(inputs).all()):
        raise UsageError("inputs hold NaN or infinity")
    bounds = (torch.as_tensor(bound, dtype=torch.float32) for bound in (classifier.low, classifier.high))
    if not all(bool(torch.isfinite(bound).all()) for bound in bounds):
        raise UsageError("triggers are searched within bounds: say in which range the inputs are")


def _image(classifier: Classifier, found: Triggers, place: int) -> str:
    """The trigger on mid-grey, for images."""
    pattern = found.patterns[place]
    if pattern.ndim != 3 or pattern.shape[0] not in (1, 3):
        return ""
    low, high = (
        torch.as_tensor(bound, dtype=pattern.dtype, device=pattern.device)
        for bound in (classifier.low, classifier.high)
    )
    grey = ((low + high) / 2).expand_as(pattern)
    stamped = found.put_on(grey[None], place)[0]
    return png(((stamped - low) / (high - low)).cpu().numpy())
