"""Membership inference: can an attacker tell who was in the training set?

The auditor knows who was. Shadow models are trained, like the target, on halves of the same examples, and each attack
compares what the target says of an example with what shadows say that were trained with it and without it.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from scipy.special import expit, log_expit  # type: ignore[import-untyped,unused-ignore]
from torch import Tensor

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Check, Inference
from garrison.robustness.attacks.attack import Progress
from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data
from garrison.robustness.privacy import rates, recipes
from garrison.robustness.privacy.game import Array, Flags, Game, confidences, splits, views
from garrison.robustness.privacy.membership_checks import checks, few_outsiders

FALSE_POSITIVE_RATES = (0.001, 0.01)
_SMOOTHING = 0.02
"""Added to p and 1-p of models that give probabilities. Log-odds explode where a vote of a hundred trees says 0 or 1,
and a few such examples then hide all others."""
_PRIOR = 8
"""How many shadows the variance over all examples counts for, beside an example's own."""

Score = Callable[[Game], Array]
"""(n,): the higher, the more like a member."""


def loss_threshold(game: Game) -> Array:
    """The confidence itself (Yeom et al. 2018, section 3.2): no shadows."""
    return np.asarray(game.target.mean(0))


def lira_offline(game: Game) -> Array:
    """How far the target's confidence lies above that of shadows that never saw the example (Carlini et al. 2022).

    Algorithm 1 with section VI-C's global variance for few shadows, towards each example's own for many.
    """
    mean, variance = _gaussian(game.shadows, ~game.inside)
    return np.asarray(((game.target - mean) / np.sqrt(variance)).sum(0))


def lira_online(game: Game) -> Array:
    """The likelihood ratio of shadows with and without the example (Carlini et al. 2022, algorithm 1)."""
    ratio = np.zeros_like(game.target)
    for inside, sign in ((game.inside, 1), (~game.inside, -1)):
        mean, variance = _gaussian(game.shadows, inside)
        ratio -= sign * ((game.target - mean) ** 2 / variance + np.log(variance)) / 2
    return np.asarray(ratio.sum(0))


def rmia(game: Game) -> Array:
    """The target's probability over the shadows' mean one (Zarifzadeh et al. 2024, equation 8).

    Their share of a population with a smaller ratio ranks examples as the ratio itself does, so it is not taken.
    """
    usual = np.logaddexp.reduce(log_expit(game.shadows), 0) - np.log(len(game.shadows))
    return np.asarray((log_expit(game.target) - usual).mean(0))


ATTACKS: dict[str, Score] = {"LiRA offline": lira_offline, "LiRA online": lira_online, "RMIA": rmia}


def measure(
    classifier: Classifier,
    members: Data,
    outsiders: Data,
    *,
    model: object = None,
    train: recipes.Train | None = None,
    shadows: int = 8,
    samples: int = 1200,
    augmentations: int = 2,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Inference, ...]:
    """Attack a classifier with what it was trained on (`members`) and with what it was not (`outsiders`).

    `train` is the owner's recipe; without it, one `like(model)` stands in. At most `samples` of each side are taken,
    at random, and shadows are trained with half of both together: more of both cost proportionally more, and the
    training of the shadows is nearly all of it. Images are asked for in `augmentations` views of six at most. The
    same seed gives the same result if the recipe does. Results come by attack: LiRA offline and online, RMIA, and the
    loss threshold, which needs no shadows. Raises `UsageError`.
    """
    if shadows < 2 or shadows % 2:
        raise UsageError(f"{shadows} shadow models: it takes an even number from 2 on, each second one a complement")
    started = time.monotonic()
    random = np.random.default_rng(seed)
    inputs, labels, inside = _pool(classifier, members, outsiders, samples, random)
    seen = views(members.kind, augmentations)
    target = confidences(classifier, inputs, labels, seen)
    asking = time.monotonic() - started
    recipe = recipes.Recipe(train, "the owner's recipe") if train else None
    if recipe is None:
        accuracy = float((_decisions(classifier, inputs[inside]) == labels[inside]).float().mean())
        recipe = recipes.like(model, members.kind, classifier.classes, tuple(inputs.shape[1:]), until=accuracy)
    chosen = splits(shadows, len(labels), random)
    said = []
    for shadow, with_it in enumerate(chosen):
        trained = torch.from_numpy(np.flatnonzero(with_it))
        twin = recipe.train(inputs[trained], labels[trained], int(random.integers(2**31)))
        said.append(confidences(twin, inputs, labels, seen))
        if progress:
            progress((shadow + 1) / shadows)
    game = Game(target, np.stack(said), chosen, inside)
    if classifier.outputs != "logits":
        game = Game(_smooth(game.target), _smooth(game.shadows), chosen, inside)
    seconds = time.monotonic() - started
    found = [
        _inference(
            f"{name}, {shadows} shadows ({recipe.description})",
            score(game),
            inside,
            checks=checks(game, score, FALSE_POSITIVE_RATES, seed),
            shadows=shadows,
            seconds=seconds,
        )
        for name, score in ATTACKS.items()
    ]
    few = few_outsiders(int((~inside).sum()), FALSE_POSITIVE_RATES)
    return (*found, _inference("loss threshold", loss_threshold(game), inside, checks=(few,), seconds=asking))


def _pool(
    classifier: Classifier, members: Data, outsiders: Data, samples: int, random: np.random.Generator
) -> tuple[Tensor, Tensor, Flags]:
    """Inputs, labels and who is a member, as many of each side as there are of the smaller one."""
    if members.kind == "text" or outsiders.kind != members.kind:
        raise UsageError("membership inference takes images or tables, members and others alike")
    each = min(len(members), len(outsiders), samples)
    if each < 10:
        raise UsageError(f"{each} members and {each} others are too few; give ten of each or more")
    drawn = [(data, random.permutation(len(data))[:each]) for data in (members, outsiders)]
    sides = [np.asarray(data.inputs, np.float32)[chosen] for data, chosen in drawn]
    if sides[0].shape != sides[1].shape:
        raise UsageError(f"members have the shape {sides[0].shape[1:]}, others {sides[1].shape[1:]}")
    inputs, labels = np.concatenate(sides), np.concatenate([data.labels[chosen] for data, chosen in drawn])
    if not np.isfinite(inputs).all():
        raise UsageError("among the inputs is what is no number")
    if labels.min() < 0 or labels.max() >= classifier.classes:
        raise UsageError(
            f"labels go from {labels.min()} to {labels.max()}, but the model has {classifier.classes} classes"
        )
    return torch.from_numpy(inputs), torch.from_numpy(labels.astype(np.int64)), np.repeat([True, False], each)


def _inference(
    attack: str, scores: Array, inside: Flags, *, checks: tuple[Check, ...], seconds: float, shadows: int = 0
) -> Inference:
    members, others = scores[inside], scores[~inside]
    return Inference(
        attack=attack,
        target="membership",
        auc=rates.auc(members, others),
        true_positives={
            f"{rate:g}": rates.true_positives(members, others, rate)
            for rate in FALSE_POSITIVE_RATES
            if len(others) * rate >= 1
        },
        baseline=0.5,
        samples=len(scores),
        shadows=shadows,
        seconds=seconds,
        checks=checks,
    )


def _gaussian(shadows: Array, chosen: Flags) -> tuple[Array, Array]:
    """Mean and variance (A, n) of each example over the shadows that are chosen for it."""
    weight = chosen[:, None, :].astype(np.float64)
    count = weight.sum(0)
    mean = (shadows * weight).sum(0) / count
    squares = ((shadows - mean) ** 2 * weight).sum(0)
    overall = squares.sum(1, keepdims=True) / np.maximum(count - 1, 0).sum(1, keepdims=True).clip(1)
    # Identical shadows, such as constant models, have no variance.
    return mean, (squares + _PRIOR * overall) / (count + _PRIOR) + 1e-9


def _smooth(confidence: Array) -> Array:
    true = expit(confidence)
    return np.asarray(np.log(true + _SMOOTHING) - np.log(1 - true + _SMOOTHING))


def _decisions(classifier: Classifier, inputs: Tensor) -> Tensor:
    return torch.cat([classifier.labels(batch.to(classifier.device)).cpu() for batch in torch.split(inputs, 512)])
