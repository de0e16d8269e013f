"""Whether a model and data belong together, before anything is measured of the one with the other."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from garrison.core.errors import GarrisonError, UsageError, first_line
from garrison.core.robustness_card import rate
from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data

_INPUTS = 512
"""Asked about, spread over the data."""
_BATCH = 128
_ENOUGH = 30
"""Inputs from which accuracies are compared."""
_FAR_BETTER = 0.3
"""Accuracy gained by counting labels from another number, from which on they are wrong."""


def check(classifier: Classifier, data: Data) -> tuple[str, ...]:
    """What a user should know before results are believed.

    Raises `UsageError` where results would mean nothing: inputs of the wrong shape or out of bounds, labels that are no
    classes of the model or counted from one, scores that are no numbers or the same for all inputs.
    """
    check_data(classifier, data)
    if not isinstance(data.inputs, np.ndarray):
        return ()
    chosen = np.unique(np.linspace(0, len(data) - 1, min(_INPUTS, len(data))).astype(int))
    labels = torch.from_numpy(data.labels[chosen])
    scores = _scores(classifier, data.inputs[chosen])
    _check_scores(classifier, scores)
    return (*of_decisions(scores.argmax(1), labels, classifier.classes), *_of_scores(classifier, scores))


def check_data(classifier: Classifier, data: Data) -> None:
    """The part of `check` that asks the model nothing. Raises `UsageError`."""
    _check_labels(classifier, data)
    if isinstance(data.inputs, np.ndarray):
        _check_bounds(classifier, data.inputs)


def _check_labels(classifier: Classifier, data: Data) -> None:
    lowest, highest = int(data.labels.min()), int(data.labels.max())
    if highest < classifier.classes and lowest >= 0:
        return
    if lowest >= 1 and highest == classifier.classes:
        raise UsageError(
            f"{data.name}: labels run from {lowest} to {highest}, and the model's {classifier.classes} classes from 0: "
            "subtract one"
        )
    wrong = highest if highest >= classifier.classes else lowest
    raise UsageError(f"{data.name}: a label of {wrong}, and the model has {classifier.classes} classes, from 0")


def _check_bounds(classifier: Classifier, inputs: NDArray[np.float32]) -> None:
    low, high = (torch.as_tensor(bound).cpu().numpy() for bound in (classifier.low, classifier.high))
    if not (low <= high).all():
        raise UsageError(f"the bounds of the attack are {_ends(low, high)}, which nothing lies between")
    allowed = 1e-5 * np.maximum(1, np.abs(high - low))
    if (inputs < low - allowed).any() or (inputs > high + allowed).any():
        raise UsageError(
            f"inputs go from {inputs.min():.6g} to {inputs.max():.6g}, and the bounds of the attack are "
            f"{_ends(low, high)}: set them, or scale the inputs"
        )


def _ends(low: NDArray[np.float32], high: NDArray[np.float32]) -> str:
    return f"{float(np.min(low)):.6g} and {float(np.max(high)):.6g}"


def _scores(classifier: Classifier, inputs: NDArray[np.float32]) -> Tensor:
    answers = []
    for start in range(0, len(inputs), _BATCH):
        batch = torch.from_numpy(inputs[start : start + _BATCH]).to(classifier.device)
        try:
            answers.append(classifier.scores(batch).cpu())
        except GarrisonError:
            raise
        except Exception as error:  # what the framework raises
            shape = "×".join(map(str, inputs.shape[1:]))
            raise UsageError(f"the model does not take inputs of shape {shape}: {first_line(error)}") from None
    return torch.cat(answers)


def _check_scores(classifier: Classifier, scores: Tensor) -> None:
    if scores.dim() != 2 or scores.shape[1] != classifier.classes:
        shape = "×".join(map(str, scores.shape[1:]))
        raise UsageError(f"the model gives {shape} scores for an input, and has {classifier.classes} classes")
    wrong = int((~torch.isfinite(scores)).any(1).sum())
    if wrong:
        raise UsageError(f"the model gives scores that are no finite numbers for {wrong} of {len(scores)} inputs")
    if len(scores) > 1 and classifier.outputs != "labels" and bool((scores == scores[0]).all()):
        raise UsageError(f"the model gives the same scores for all of {len(scores)} inputs")


def of_decisions(decisions: Tensor, labels: Tensor, classes: int) -> list[str]:
    """Raises `UsageError` for labels that are counted from another number."""
    notes = []
    count = len(labels)
    accuracy = float((decisions == labels).float().mean())
    if count >= _ENOUGH:
        for shift in (-1, 1):
            shifted = float((decisions == labels + shift).float().mean())
            if classes > 2 and shifted >= max(0.5, accuracy + _FAR_BETTER):
                raise UsageError(
                    f"the model is right on {accuracy:.0%} of the inputs, and on {shifted:.0%} with labels {shift:+d}: "
                    "the labels are off by one"
                )
        if classes == 2 and accuracy < 0.5 - _FAR_BETTER:
            notes.append(f"the model is right on {accuracy:.0%} of the inputs: the two labels may be swapped")
        elif rate(round(accuracy * count), count).low <= (most := float(labels.bincount().max()) / count):
            notes.append(
                f"the model is right on {accuracy:.0%} of {count} inputs, which is no better than always naming the "
                f"most frequent class ({most:.0%}): inputs may be scaled or ordered otherwise than in training"
            )
    if count > 1 and bool((decisions == decisions[0]).all()):
        notes.append(f"the model decides for class {int(decisions[0])} on all of {count} inputs")
    return notes


def _of_scores(classifier: Classifier, scores: Tensor) -> list[str]:
    distributions = bool((scores >= 0).all()) and torch.allclose(scores.sum(1), torch.ones(len(scores)), atol=1e-3)
    if classifier.outputs == "probabilities":
        if not distributions:
            return ["the model's scores are taken for probabilities, and do not add up to one"]
        certain = float((scores.max(1).values == 1).float().mean())
        if certain > 0.1:
            return [
                f"the model gives a probability of exactly 1 to {certain:.0%} of the inputs: attacks that go by scores "
                "see nothing there; give them the logits"
            ]
    if classifier.outputs == "logits" and distributions:
        return ["the model's scores are taken for logits, and look like probabilities: say --outputs probabilities"]
    return []
