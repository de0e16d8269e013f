"""The membership game: what a model and its shadows say of examples that they were and were not trained with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from garrison.core.errors import GarrisonError
from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Kind

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

_BATCH = 512
_FLOOR = 1e-12
"""The least probability that float64 can still tell from its complement well enough."""


@dataclass(frozen=True, eq=False)
class Game:
    """S shadows, A views of n examples. Confidences are log-odds of the true label."""

    target: Array
    """(A, n)"""
    shadows: Array
    """(S, A, n)"""
    inside: Flags
    """(S, n): whether the shadow was trained with the example."""
    members: Flags
    """(n,): whether the target was."""

    def among(self, shadows: Sequence[int]) -> "Game":
        """The same with some of the shadows."""
        return Game(self.target, self.shadows[list(shadows)], self.inside[list(shadows)], self.members)


def splits(shadows: int, count: int, random: np.random.Generator) -> Flags:
    """(shadows, count): halves at random, each second one the complement of the one before.

    So each example is inside of exactly half of the shadows.
    """
    halves = np.zeros((shadows // 2, count), bool)
    for half in halves:
        half[random.permutation(count)[: count // 2]] = True
    return np.stack([halves, ~halves], 1).reshape(-1, count)


def views(kind: Kind, count: int) -> list[Callable[[Tensor], Tensor]]:
    """The ways in which each example is asked for: as it is, and for images mirrored and moved by a pixel."""
    if kind != "image":
        return [_same]
    return [_same, _mirrored, _moved(1, 0), _moved(-1, 0), _moved(0, 1), _moved(0, -1)][:count]


def confidences(
    classifier: Classifier, inputs: Tensor, labels: Tensor, seen: Sequence[Callable[[Tensor], Tensor]]
) -> Array:
    """(views, n): log p/(1-p) of the true label (Carlini et al. 2022, section IV-C).

    Of logits it is exact; probabilities are clipped at 1e-12. Raises `GarrisonError` if the model gives no number.
    """
    found = []
    for view in seen:
        for start in range(0, len(inputs), _BATCH):
            batch, truth = inputs[start : start + _BATCH], labels[start : start + _BATCH, None].cpu()
            scores = classifier.scores(view(batch).to(classifier.device)).double().cpu()
            if classifier.outputs == "logits":
                others = scores.scatter(1, truth, -torch.inf).logsumexp(1)
                odds = scores.gather(1, truth)[:, 0] - others
            else:
                true = scores.gather(1, truth)[:, 0].clamp(_FLOOR, 1 - _FLOOR)
                odds = true.log() - (1 - true).log()
            found.append(odds.numpy())
    confidence = np.concatenate(found).reshape(len(seen), len(inputs))
    if not np.isfinite(confidence).all():
        raise GarrisonError(f"{classifier.name or 'the model'} answers with what is no number")
    return confidence


def _same(inputs: Tensor) -> Tensor:
    return inputs


def _mirrored(inputs: Tensor) -> Tensor:
    return inputs.flip(-1)


def _moved(down: int, right: int) -> Callable[[Tensor], Tensor]:
    """Moved by so many pixels, the edge repeated."""

    def move(inputs: Tensor) -> Tensor:
        padded = torch.nn.functional.pad(inputs, (1, 1, 1, 1), "replicate")
        height, width = inputs.shape[-2:]
        return padded[..., 1 - down : 1 - down + height, 1 - right : 1 - right + width]

    return move
