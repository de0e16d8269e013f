"""Search for the smallest trigger of each class by gradients (Wang et al. 2019, section IV-A)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from garrison.robustness.attacks.attack import Progress, generator
from garrison.robustness.classifier import Classifier

AT_ONCE = 16
"""Classes that are searched side by side."""
GOAL = 0.95
"""Share of a batch that a trigger has to send to its class."""


@dataclass(frozen=True, eq=False)
class Triggers:
    """A trigger for each of K classes: `(1 - mask) * input + mask * pattern`."""

    masks: Tensor
    """(K, 1, height, width) for images, (K, *shape) for others, from 0 to 1."""
    patterns: Tensor
    """(K, *shape), within the bounds of the classifier."""
    reached: Tensor
    """(K,) bool: whether it ever sent enough of a batch to its class."""

    def put_on(self, inputs: Tensor, place: int) -> Tensor:
        """Inputs (n, *shape) with the trigger of the class at `place`."""
        mask = self.masks[place]
        return (1 - mask) * inputs + mask * self.patterns[place]

    @property
    def sizes(self) -> Tensor:
        """L1 norms of the masks (K,)."""
        return self.masks.flatten(1).sum(1)


def invert(
    classifier: Classifier,
    inputs: Tensor,
    labels: Tensor,
    targets: list[int],
    *,
    seed: int,
    steps: int = 300,
    batch: int = 32,
    progress: Progress | None = None,
) -> Triggers:
    """The smallest triggers that send inputs (n, *shape) with other labels to each of `targets`."""
    parts = []
    for start in range(0, len(targets), AT_ONCE):
        chunk = targets[start : start + AT_ONCE]
        told = _share_of(progress, start / len(targets), len(chunk) / len(targets))
        parts.append(_side_by_side(classifier, inputs, labels, chunk, seed + start, steps, batch, told))
    return Triggers(
        torch.cat([part.masks for part in parts]),
        torch.cat([part.patterns for part in parts]),
        torch.cat([part.reached for part in parts]),
    )


def _side_by_side(
    classifier: Classifier,
    inputs: Tensor,
    labels: Tensor,
    targets: list[int],
    seed: int,
    steps: int,
    batch: int,
    progress: Progress | None,
) -> Triggers:
    """Minimise cross-entropy plus a price times the mask's mean, by Adam, each class with a price of its own.

    The price rises while the trigger works and falls while it does not (the dynamic cost of Wang et al.); both are
    averaged over batches, so that no lucky batch counts. The mean in place of the sum makes one starting price do for
    every size of image. A class whose smallest trigger has not shrunk any more for a while is done.
    """
    device = inputs.device
    random = generator(seed, device)
    shape = inputs.shape[1:]
    count = len(targets)
    pools = [torch.nonzero(labels != target).flatten() for target in targets]
    wanted = torch.tensor(targets, device=device)
    low, high = (
        torch.as_tensor(bound, dtype=inputs.dtype, device=device) for bound in (classifier.low, classifier.high)
    )
    raw_masks = 0.1 * torch.randn((count, *_mask_shape(shape)), generator=random, device=device)
    raw_patterns = 2 * torch.rand((count, *shape), generator=random, device=device) - 1
    steppers = [_Adam(raw_masks), _Adam(raw_patterns)]
    prices = torch.ones(count, device=device)
    working = torch.zeros(count, device=device)
    best = torch.full((count,), torch.inf, device=device)
    best_masks, best_patterns = torch.ones_like(raw_masks), _within(raw_patterns, low, high)
    runs, since_better = torch.zeros(count, device=device), torch.zeros(count, device=device)
    active = torch.arange(count, device=device)
    for step in range(steps):
        leaves = [raw_masks[active].requires_grad_(), raw_patterns[active].requires_grad_()]
        masks, patterns = (4 * leaves[0]).sigmoid(), _within(leaves[1], low, high)
        chosen = torch.stack(
            [
                pools[place][torch.randint(len(pools[place]), (batch,), generator=random, device=device)]
                for place in active.tolist()
            ]
        )
        changed = (1 - masks[:, None]) * inputs[chosen] + masks[:, None] * patterns[:, None]
        scores = classifier(changed.flatten(0, 1))
        if classifier.outputs == "probabilities":
            scores = scores.clamp_min(torch.finfo(scores.dtype).tiny).log()
        labels_wanted = wanted[active].repeat_interleave(batch)
        losses = torch.nn.functional.cross_entropy(scores, labels_wanted, reduction="none").view(-1, batch).mean(1)
        sizes = masks.flatten(1).mean(1)
        slopes = torch.autograd.grad((losses + prices[active] * sizes).sum(), leaves)
        with torch.no_grad():
            sent = (scores.argmax(1) == labels_wanted).view(-1, batch).float().mean(1)
            working[active] = 0.7 * working[active] + 0.3 * sent
            works = working[active] >= GOAL
            better = works & (sent >= GOAL) & (sizes < best[active])
            worth_it = better & (sizes < 0.98 * best[active])
            since_better[active] = torch.where(worth_it, 0, since_better[active] + 1)
            kept = active[better]
            best[kept], best_masks[kept], best_patterns[kept] = sizes[better], masks[better], patterns[better]
            same_way = (runs[active] > 0) == works
            runs[active] = torch.where(same_way, runs[active], 0) + torch.where(works, 1, -1)
            turned = runs[active].abs() >= 5
            factor = torch.where(works, 1.5, 1.5**-1.5)
            prices[active] = torch.where(turned, prices[active] * factor, prices[active])
            runs[active[turned]] = 0
            for values, stepper, slope in zip((raw_masks, raw_patterns), steppers, slopes, strict=True):
                stepper.step(values, slope, active)
            active = active[(since_better[active] < 100) | best[active].isinf()]
        if progress:
            progress((step + 1) / steps)
        if not len(active):
            break
    return Triggers(best_masks.detach(), best_patterns.detach(), best.isfinite())


class _Adam:
    """Adam on some rows of a tensor; the others stay."""

    rate, first, second = 0.1, 0.5, 0.9

    def __init__(self, values: Tensor) -> None:
        self._means, self._squares = torch.zeros_like(values), torch.zeros_like(values)
        self._steps = 0

    def step(self, values: Tensor, slopes: Tensor, rows: Tensor) -> None:
        self._steps += 1
        self._means[rows] = self.first * self._means[rows] + (1 - self.first) * slopes
        self._squares[rows] = self.second * self._squares[rows] + (1 - self.second) * slopes**2
        mean = self._means[rows] / (1 - self.first**self._steps)
        square = self._squares[rows] / (1 - self.second**self._steps)
        values[rows] -= self.rate * mean / (square.sqrt() + 1e-8)


def _mask_shape(shape: torch.Size) -> tuple[int, ...]:
    """Of one mask: the channels of an image share it."""
    return (1, *shape[1:]) if len(shape) == 3 else tuple(shape)


def _within(raw: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return low + (high - low) * (4 * raw).sigmoid()


def _share_of(progress: Progress | None, done: float, share: float) -> Progress | None:
    return (lambda part: progress(done + part * share)) if progress else None
