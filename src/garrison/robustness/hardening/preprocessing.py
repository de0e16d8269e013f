"""Defences that change inputs before the model sees them, and what is left of them under an attack that knows."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Budget
from garrison.robustness.attacks.adaptive import behind, expectation
from garrison.robustness.attacks.attack import Attack
from garrison.robustness.classifier import of_module
from garrison.robustness.hardening.hardened import Hardened, attacks_for, checked, frozen_copy, measured, transferred

Preprocessing = Callable[[Tensor], Tensor]
"""Inputs (n, channels, height, width) to inputs of the same shape."""


@dataclass(frozen=True)
class Quantise:
    """Round to a few levels (feature squeezing, Xu et al. 2018)."""

    levels: int = 8
    low: float = 0.0
    high: float = 1.0

    def __call__(self, inputs: Tensor) -> Tensor:
        steps = max(1, self.levels - 1)
        share = (inputs - self.low) / (self.high - self.low)
        return self.low + (share * steps).round() / steps * (self.high - self.low)


@dataclass(frozen=True)
class Median:
    """The median of a window around each pixel (Xu et al. 2018)."""

    size: int = 3

    def __call__(self, inputs: Tensor) -> Tensor:
        before, after = (self.size - 1) // 2, self.size // 2
        padded = nn.functional.pad(inputs, (before, after, before, after), mode="replicate")
        windows = padded.unfold(2, self.size, 1).unfold(3, self.size, 1)
        return windows.flatten(4).median(4).values


@dataclass(frozen=True)
class Jpeg:
    """Compression and back (Dziugaite et al. 2016). Greyscale or RGB from 0 to 1."""

    quality: int = 75

    def __call__(self, inputs: Tensor) -> Tensor:
        try:
            import numpy as np
            from PIL import Image
        except ImportError:
            raise UsageError("JPEG needs Pillow: pip install garrison[robustness]") from None
        if inputs.shape[1] not in (1, 3):
            raise UsageError(f"JPEG has one or three channels, not {inputs.shape[1]}")
        compressed = []
        for image in (inputs.detach().clamp(0, 1) * 255).round().byte().cpu().permute(0, 2, 3, 1).numpy():
            file = io.BytesIO()
            Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(file, "JPEG", quality=self.quality)
            compressed.append(torch.from_numpy(np.array(Image.open(file))).view(image.shape))
        return torch.stack(compressed).permute(0, 3, 1, 2).to(inputs) / 255


@dataclass(frozen=True)
class TotalVariation:
    """The image that is close and smooth: total variation minimised by steps along its gradient (Guo et al. 2018)."""

    weight: float = 0.1
    steps: int = 20

    def __call__(self, inputs: Tensor) -> Tensor:
        """Minimises half the squared distance plus the weighted, slightly rounded total variation."""
        smooth = inputs.clone()
        rounding = 1e-2
        step = 1 / (1 + 8 * self.weight / rounding**0.5)
        for _ in range(self.steps):
            down = nn.functional.pad(smooth[:, :, 1:] - smooth[:, :, :-1], (0, 0, 0, 1))
            right = nn.functional.pad(smooth[..., 1:] - smooth[..., :-1], (0, 1))
            lengths = (down**2 + right**2 + rounding).sqrt()
            down, right = down / lengths, right / lengths
            divergence = down - nn.functional.pad(down, (0, 0, 1, 0))[:, :, :-1]
            divergence = divergence + right - nn.functional.pad(right, (1, 0))[..., :-1]
            smooth = smooth - step * (smooth - inputs - self.weight * divergence)
        return smooth


@dataclass(frozen=True)
class RandomResize:
    """Shrink by a random factor and pad at random, to the same size (after Xie et al. 2018)."""

    smallest: float = 0.85
    random: bool = field(default=True, init=False)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Draws from torch's global state; `expectation` seeds it."""
        height, width = inputs.shape[2:]
        factor = self.smallest + (1 - self.smallest) * float(torch.rand(()))
        small = nn.functional.interpolate(
            inputs, (max(1, round(height * factor)), max(1, round(width * factor))), mode="bilinear", antialias=True
        )
        top, left = (int(torch.randint(room + 1, ())) for room in (height - small.shape[2], width - small.shape[3]))
        padding = (left, width - small.shape[3] - left, top, height - small.shape[2] - top)
        return nn.functional.pad(small, padding)


class Preprocessed(nn.Module):
    """A model behind preprocessing."""

    def __init__(self, model: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.model, self.preprocessing = model, preprocessing

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = self.model(self.preprocessing(inputs))
        return scores


def preprocess(
    model: nn.Module,
    preprocessing: Preprocessing,
    *,
    budget: Budget,
    classes: int,
    test: tuple[Tensor, Tensor],
    seed: int,
    draws: int = 8,
    low: float = 0.0,
    high: float = 1.0,
    attacks: Sequence[Attack] | None = None,
) -> Hardened:
    """Put preprocessing before a model, and measure it twice.

    `naive` is what is left under an attack on the bare model, whose results are then preprocessed: how published
    defences of this kind were measured. `after` is what is left under an attack that knows: forward the real thing,
    backward the identity (BPDA), averaged over `draws` where it is random (EOT; Athalye et al. 2018). Only `after`
    says how well it protects.
    """
    checked(*test, classes, low, high, "test data")
    chosen = attacks_for(budget, attacks)
    original = frozen_copy(model)
    bare = of_module(original, classes, low=low, high=high)
    defended = behind(bare, preprocessing)
    if getattr(preprocessing, "random", False):
        defended = expectation(defended, draws, seed=seed)
    inputs, labels = test[0].to(bare.device), test[1].to(bare.device)
    naive, _, _ = transferred(defended, bare, inputs, labels, budget, attacks=chosen, seed=seed)
    return Hardened(
        Preprocessed(original, preprocessing).eval(),
        original,
        classes,
        low,
        high,
        measured(bare, inputs, labels, budget, attacks=chosen, seed=seed),
        measured(defended, inputs, labels, budget, attacks=chosen, seed=seed),
        naive=naive,
    )
