"""Feature squeezing: how far the prediction moves when detail is taken from the input (Xu, Evans and Qi 2018, NDSS).

Inputs are squeezed to fewer levels, and images by a 2×2 median too; the score is the largest L1 distance between the
probabilities before and after (section 5.1 of the paper).
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data
from garrison.robustness.detection.detector import BATCH, Detector, Progress, benign, fitted, sample
from garrison.robustness.detection.features import Logits

_AGREEMENT = 0.95
"""Of the decisions on benign inputs, so many stay under the levels that are chosen."""
_DEPTHS = range(1, 8)
_TRIED = 1000


@dataclass(frozen=True)
class Squeezing:
    """Squeezes to `bits` of depth; 0 chooses the fewest that leave 95 % of benign decisions as they are."""

    kind: ClassVar[str] = "squeezing"
    bits: int = 0

    def fit(self, classifier: Classifier, data: Data, *, seed: int = 0, progress: Progress | None = None) -> Detector:
        """Choose the depth; nothing else is learnt."""
        inputs, labels = benign(classifier, data)
        logits = Logits(classifier)
        low, high = (
            torch.as_tensor(one, dtype=torch.float32, device=inputs.device) for one in (classifier.low, classifier.high)
        )
        tried, _ = sample(inputs, labels, _TRIED, seed)
        bits = self.bits or next(
            (one for one in _DEPTHS if _agreement(logits, Levels(one, low, high), tried) >= _AGREEMENT), 8
        )
        squeezers: list[nn.Module] = [Levels(bits, low, high)]
        if data.kind == "image":
            squeezers.append(Median())
        return fitted(self, Moved(logits, squeezers), inputs, bits=bits)


class Moved(nn.Module):
    """The largest L1 distance between the probabilities of an input and of its squeezed forms."""

    def __init__(self, logits: Logits, squeezers: list[nn.Module]) -> None:
        super().__init__()
        self.logits = logits
        self.squeezers = nn.ModuleList(squeezers)

    def forward(self, inputs: Tensor) -> Tensor:
        before = self.logits(inputs).softmax(1)
        moved = [(self.logits(squeeze(inputs)).softmax(1) - before).abs().sum(1) for squeeze in self.squeezers]
        return torch.stack(moved).amax(0)


class Levels(nn.Module):
    """Inputs in 2^bits levels of their range; the gradient passes straight through (Athalye et al. 2018, BPDA)."""

    low: Tensor
    span: Tensor

    def __init__(self, bits: int, low: Tensor, high: Tensor) -> None:
        super().__init__()
        self.steps = float(2**bits - 1)
        self.register_buffer("low", low)
        self.register_buffer("span", high - low)

    def forward(self, inputs: Tensor) -> Tensor:
        squeezed = ((inputs - self.low) / self.span * self.steps).round() / self.steps * self.span + self.low
        return inputs + (squeezed - inputs).detach()


class Median(nn.Module):
    """Images (n, channels, height, width) under a median of 2×2, the lower middle one, reflected at the edges."""

    def forward(self, inputs: Tensor) -> Tensor:
        padded = nn.functional.pad(inputs, (0, 1, 0, 1), mode="reflect")
        height, width = inputs.shape[2], inputs.shape[3]
        places = [padded[:, :, i : i + height, j : j + width] for i in (0, 1) for j in (0, 1)]
        pairs = torch.minimum(places[0], places[1]), torch.maximum(places[0], places[1])
        others = torch.minimum(places[2], places[3]), torch.maximum(places[2], places[3])
        # The second smallest of four, without a sort: the larger of the minima, or the smaller of the maxima.
        return torch.minimum(torch.maximum(pairs[0], others[0]), torch.minimum(pairs[1], others[1]))


@torch.no_grad()
def _agreement(logits: Logits, squeeze: nn.Module, inputs: Tensor) -> float:
    same = [logits(batch).argmax(1) == logits(squeeze(batch)).argmax(1) for batch in torch.split(inputs, BATCH)]
    return torch.cat(same).float().mean().item()
