"""Inputs before and after an attack, for a person to judge."""

import torch
from torch import Tensor

from garrison.core.robustness_card import Budget, Picture
from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data
from garrison.robustness.evaluation.evasion import Evaded
from garrison.robustness.evaluation.slices import class_name
from garrison.robustness.pictures import png


def pictures(
    classifier: Classifier, data: Data, inputs: Tensor, labels: Tensor, evaded: Evaded, count: int
) -> tuple[Picture, ...]:
    """Up to `count` images that were found under the first budget, of as many classes and attacks as there are."""
    found = (evaded.broken_by[0] >= 0).nonzero().flatten()
    chosen: dict[tuple[int, int], int] = {}
    for place in found.tolist():
        chosen.setdefault((int(labels[evaded.done[place]]), int(evaded.broken_by[0, place])), place)
    places = sorted(chosen.values())[:count]
    budget = Budget(norm=evaded.norm, epsilon=evaded.epsilons[0])
    return tuple(_picture(classifier, data, inputs, labels, evaded, place, str(budget)) for place in places)


def _picture(
    classifier: Classifier, data: Data, inputs: Tensor, labels: Tensor, evaded: Evaded, place: int, budget: str
) -> Picture:
    index = int(evaded.done[place])
    original, adversarial = inputs[index].cpu(), evaded.adversarial[0, place]
    both = torch.stack([original, adversarial]).to(inputs.device)
    before, after = classifier.soft(classifier.scores(both)).cpu()
    return Picture(
        attack=evaded.attacks[int(evaded.broken_by[0, place])],
        budget=budget,
        label=class_name(data, int(labels[index])),
        before=_prediction(data, before),
        after=_prediction(data, after),
        original=png(original.numpy()),
        perturbation=png((adversarial - original).numpy(), diverging=True),
        adversarial=png(adversarial.numpy()),
        media="image/png",
    )


def _prediction(data: Data, scores: Tensor) -> str:
    best = int(scores.argmax())
    return f"{class_name(data, best)} ({float(scores[best]):.0%})"
