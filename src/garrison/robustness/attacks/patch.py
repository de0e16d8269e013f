"""One square patch that works on all images, wherever it is put."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Access, Norm
from garrison.robustness.attacks.attack import Progress, generator
from garrison.robustness.attacks.losses import log_odds, slope
from garrison.robustness.attacks.minimum_norm import Search, SearchAttack
from garrison.robustness.attacks.universal import ENOUGH, drawn, halves


@dataclass(frozen=True)
class Patch(SearchAttack):
    """T. Brown et al., Adversarial patch, 2017: learnt over random places, and tried at random places.

    A budget is a number of pixels; the patch is the largest square of no more, and may hold any values within the
    bounds. As with `Universal`, what is learnt on one half of the images is tried on the other.
    """

    name: ClassVar[str] = "patch"
    access: ClassVar[Access] = "gradients"
    norms: ClassVar[tuple[Norm, ...]] = ("l0",)
    norm: ClassVar[Norm] = "l0"

    steps: int = 200
    """For each half and budget."""
    batch: int = 50
    rate: float = 0.1
    """The first step, as a share of the range of inputs; it falls linearly to nothing."""
    trials: int = 1
    """Places that are tried on each image."""

    def _search(self, search: Search, seed: int, progress: Progress) -> None:
        """Raises `UsageError` for what are no images (n, channels, height, width), or without bounds."""
        classifier, inputs = search.classifier, search.inputs
        if inputs.dim() != 4:
            raise UsageError(f"a patch is put on images (n, channels, height, width), not on {tuple(inputs.shape)}")
        low, high = float(torch.as_tensor(classifier.low).min()), float(torch.as_tensor(classifier.high).max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise UsageError("a patch needs inputs with bounds; give the classifier a finite low and high")
        noise = generator(seed, inputs.device)
        parts = halves(len(search.labels), noise)
        for place, epsilon in enumerate(search.epsilons):
            side = min(math.isqrt(int(epsilon)), *inputs.shape[2:])
            for number, (teachers, judged) in enumerate(zip(parts, reversed(parts), strict=True)):
                if side and len(teachers):
                    patch = self._learnt(search, teachers, side, low, high, noise)
                    self._try(search, judged, patch, noise)
                progress((place * len(parts) + number + 1) / (len(search.epsilons) * len(parts)))

    def _learnt(
        self, search: Search, teachers: Tensor, side: int, low: float, high: float, noise: torch.Generator
    ) -> Tensor:
        """A patch (channels, side, side), learnt on the images of the rows `teachers` (k,)."""
        images = search.inputs
        shape = (images.shape[1], side, side)
        patch = low + (high - low) * torch.rand(shape, generator=noise, device=images.device)
        for step in range(self.steps):
            rows = drawn(teachers, self.batch, noise)
            free = patch.detach().requires_grad_()
            scores = search.classifier(search.classifier.clip(_patched(images[rows], free, noise)))
            search.queries[rows] += 1
            search.gradients[rows] += 1
            loss = log_odds(search.classifier.logits(scores), search.labels[rows]).clamp_max(ENOUGH)
            length = self.rate * (high - low) * (1 - step / self.steps)
            patch = (patch + length * slope(loss, free).nan_to_num(0.0).sign()).clamp(low, high)
        return patch

    def _try(self, search: Search, judged: Tensor, patch: Tensor, noise: torch.Generator) -> None:
        for _ in range(self.trials):
            rows = judged[search.distance[judged].isinf()]
            if len(rows):
                with torch.no_grad():
                    search.ask(rows, search.classifier.clip(_patched(search.inputs[rows], patch, noise)))


def _patched(images: Tensor, patch: Tensor, noise: torch.Generator) -> Tensor:
    """`images` (n, channels, height, width), each with the `patch` (channels, side, side) at a place of its own."""
    count, channels, height, width = images.shape
    side = patch.shape[-1]
    square = torch.arange(side, device=images.device)
    down, right = (
        torch.randint(length - side + 1, (count, 1), generator=noise, device=images.device) + square
        for length in (height, width)
    )
    image = torch.arange(count, device=images.device).view(-1, 1, 1, 1)
    channel = torch.arange(channels, device=images.device).view(1, -1, 1, 1)
    where = (image, channel, down.view(count, 1, side, 1), right.view(count, 1, 1, side))
    return images.index_put(where, patch.expand(count, *patch.shape))
