"""Ways in which an evaluation deceives itself, and how they show.

A defence that hides gradients makes attacks fail that would succeed with better ones. After the checks of AutoAttack
(F. Croce, M. Hein, 2020), the symptoms in A. Athalye, N. Carlini, D. Wagner, Obfuscated gradients give a false sense
of security, 2018, section 3.1, and N. Carlini et al., On evaluating adversarial robustness, 2019, section 5.

`before` needs nothing but the model and some inputs. The other functions are pure: they look at what attacks found.
"""

import math

import torch
from torch import Tensor

from garrison.core.robustness_card import Check, Norm, Rate
from garrison.robustness.attacks.attack import Outcome, generator
from garrison.robustness.attacks.losses import margin, slope
from garrison.robustness.classifier import Classifier

NOTABLE = 0.01
"""The share of inputs from which on a symptom counts: fewer happen to sound models."""


ENOUGH = 20
"""Inputs from which on the absence of a symptom says something."""


def before(classifier: Classifier, inputs: Tensor, labels: Tensor, seed: int) -> tuple[Check, ...]:
    """All checks that need only the model. Some hundred inputs (n, *shape) are enough; they are passed ten times."""
    if not len(labels):
        return ()
    return (
        check_finite(classifier, inputs),
        check_constant(classifier, inputs),
        check_labels(classifier, inputs, labels),
        check_logits(classifier, inputs),
        check_randomness(classifier, inputs),
        check_zero_gradients(classifier, inputs, labels),
        check_loss_increases(classifier, inputs, labels, seed),
    )


def check_finite(classifier: Classifier, inputs: Tensor) -> Check:
    """Whether all scores are numbers: nothing can be compared with NaN, and an attack fails on it."""
    broken = int((~classifier.scores(inputs).isfinite()).any(1).sum())
    return _judged(
        "finite-scores",
        broken == 0,
        f"{broken} of {len(inputs)} inputs have a score that is infinite or no number",
        "find out where the model overflows or divides by zero; what attacks say of these inputs means nothing",
    )


def check_constant(classifier: Classifier, inputs: Tensor) -> Check:
    """Whether the scores depend on the input."""
    scores = classifier.scores(inputs)
    if len(inputs) < 2:
        return Check(name="constant-outputs", verdict="unknown", seen="one input only", advice="give more inputs")
    same = bool((scores == scores[:1]).all())
    decisions = len(set(scores.argmax(1).tolist()))
    return _judged(
        "constant-outputs",
        not same and (decisions > 1 or len(inputs) < 20),
        f"{'the same scores' if same else f'{decisions} different decisions'} for {len(inputs)} inputs",
        "such a model cannot be attacked, nor does it classify: look at how it was loaded and how inputs are scaled",
    )


def check_labels(classifier: Classifier, inputs: Tensor, labels: Tensor) -> Check:
    """Whether the labels count classes as the model does: from 0, in the same order."""
    decisions, classes = classifier.labels(inputs), classifier.classes
    outside = int(((labels < 0) | (labels >= classes)).sum())
    right = _share(decisions == labels)
    shifted = {shift: _share(decisions == labels + shift) for shift in (-1, 1)}
    shift = max(shifted, key=lambda key: shifted[key])
    off = shifted[shift] > 0.5 and shifted[shift] > 2 * right
    seen = f"{right:.1%} of {len(labels)} inputs are classified as labelled"
    if outside:
        seen += f"; {outside} labels are none of 0 to {classes - 1}"
    if off:
        seen += f"; {shifted[shift]:.1%} would be with {shift:+d} added to every label"
    known = off or outside or len(labels) >= 20
    sound = not outside and not off and right > 1 / classes
    return _judged(
        "labels",
        sound if known else None,
        seen,
        "look at how labels are numbered and whether inputs are scaled as in training: "
        "the accuracy under attack of a model that is wrong anyway means nothing",
    )


def check_logits(classifier: Classifier, inputs: Tensor) -> Check:
    """Whether scores are logits. Gradients of probabilities vanish where the model is sure: float32 rounds to 1."""
    scores = classifier.scores(inputs)
    probable = bool((scores >= 0).all()) and bool((scores.sum(1) - 1).abs().max() < 1e-4)
    if classifier.outputs == "labels" or not classifier.differentiable:
        return _judged("logits", True, "the model gives no gradients that could vanish", "")
    saturated = _share(scores.amax(1) >= 1) if probable else 0.0
    if classifier.outputs == "logits":
        return _judged(
            "logits",
            not probable,
            "every row of scores is positive and sums to 1: probabilities that are taken for logits"
            if probable
            else "the scores are no probabilities",
            "attack the model without its last softmax, or say that its outputs are probabilities",
        )
    return _judged(
        "logits",
        saturated < NOTABLE,
        f"{saturated:.1%} of probabilities are rounded to exactly 1, where gradients vanish",
        "attack the model without its last softmax",
    )


def check_randomness(classifier: Classifier, inputs: Tensor) -> Check:
    """Whether two passes of the same inputs agree."""
    first, second = classifier.scores(inputs), classifier.scores(inputs)
    apart = (first - second).abs().amax(1)
    size = first.abs().amax().clamp_min(1e-12)
    differ = _share(~(apart <= 1e-4 * size))
    turned = _share(first.argmax(1) != second.argmax(1))
    return _judged(
        "randomness",
        differ == 0,
        f"two passes differ in the scores of {differ:.1%} and the decisions of {turned:.1%} of {len(inputs)} inputs",
        "attack the expectation over draws (garrison.robustness.attacks.adaptive.expectation), "
        "and leave dropout and augmentation off",
    )


def check_zero_gradients(classifier: Classifier, inputs: Tensor, labels: Tensor) -> Check:
    """For how many inputs the gradient of the margin is zero or no number, among those that are classified correctly.

    The cross-entropy's is rounded to zero where a model is very sure; losses of the margin see through that.
    """
    if not classifier.differentiable:
        return _no_gradients("zero-gradients")
    free = inputs.detach().clone().requires_grad_()
    scores = classifier.logits(classifier(free))
    right = scores.argmax(1) == labels
    if not right.any():
        return _nothing_right("zero-gradients")
    losses = torch.nn.functional.cross_entropy(scores, labels, reduction="none")
    useless = _useless(losses, free)[right]
    blind = _useless(margin(scores, labels), free)[right]
    share, blind_share = _share(useless), _share(blind)
    return _judged(
        "zero-gradients",
        _told(blind_share < NOTABLE, int(right.sum())),
        f"{blind_share:.1%} of {int(right.sum())} inputs have no gradient of the margin, "
        f"{share:.1%} none of the cross-entropy",
        "the model itself gives no gradient: attack with a substitute for what has none "
        "(garrison.robustness.attacks.adaptive.behind), and with black-box attacks",
    )


def check_loss_increases(classifier: Classifier, inputs: Tensor, labels: Tensor, seed: int) -> Check:
    """Whether small steps along the gradient do what the gradient promises: the margin shrinks, and more than by
    steps of the same size in random directions."""
    if not classifier.differentiable:
        return _no_gradients("loss-increases")
    free = inputs.detach().clone().requires_grad_()
    scores = classifier.logits(classifier(free))
    gain = margin(scores, labels)
    up = slope(gain, free)
    usable = (scores.argmax(1) == labels) & up.isfinite().flatten(1).all(1) & (up != 0).flatten(1).any(1)
    if not usable.any():
        return _nothing_right("loss-increases")
    start, gain = inputs[usable], gain.detach()[usable]
    span = torch.as_tensor(classifier.high).to(inputs) - torch.as_tensor(classifier.low).to(inputs)
    step = torch.where(span.isfinite(), span, 1.0) * _SMALL_STEP
    noise = torch.randn(start.shape, generator=generator(seed, inputs.device), device=inputs.device)
    along, aside = (
        margin(classifier.logits(classifier.scores(classifier.clip(start + step * way.sign()))), labels[usable]) - gain
        for way in (up[usable], noise)
    )
    rises = _share(along > 0)
    # Of few features, the random step is often the very same.
    better = _share(along >= aside)
    return _judged(
        "loss-increases",
        _told(rises >= 0.8 and better >= 0.8, len(gain)),
        f"a step of {_SMALL_STEP:g} of the range along the gradient raises the loss of {rises:.1%} of {len(gain)}, "
        f"and no less than a random one for {better:.1%}",
        "the gradient points nowhere (shattered): attack with a substitute for what shatters it "
        "(garrison.robustness.attacks.adaptive), over draws if the model is random, and with black-box attacks",
    )


_SMALL_STEP = 1e-3


def check_distinct(inputs: Tensor, *, images: bool) -> Check:
    """Whether inputs (n, ...) are different ones: of an input that is there twice, an interval learns once only.

    Rows of a table may be alike by nature: only `images` that repeat fail at once, of rows half must.
    """
    distinct = len(torch.unique(inputs.flatten(1), dim=0)) if len(inputs) else 0
    share = 1 - distinct / max(1, len(inputs))
    alike = share >= NOTABLE
    return _judged(
        "distinct-inputs",
        None if alike and not images and share < _MOSTLY else not alike,
        f"{distinct} distinct of {len(inputs)} inputs",
        "remove repeated inputs: intervals are narrower than what was seen allows",
    )


_MOSTLY = 0.5


def check_single_step(single: Outcome, iterated: Outcome) -> Check:
    """Whether one step finds what many do not, budget by budget, on the same inputs."""
    worst, seen = 0.0, "no budget in common"
    for epsilon, one, many in _paired(single, iterated):
        only, other = int((one & ~many).sum()), int((many & ~one).sum())
        excess = (only - other) / max(1, len(one))
        if seen == "no budget in common" or excess > worst:
            worst = max(worst, excess)
            seen = f"at {epsilon:g}, {only} of {len(one)} inputs fall to the single step only, {other} to many only"
    return _judged(
        "single-step-stronger",
        None if seen == "no budget in common" else _told(worst < NOTABLE, single.success.shape[1]),
        seen,
        "the iterations get lost: take more and smaller steps, restarts, another loss, and look for masked gradients",
    )


def check_black_box(black: Outcome, white: Outcome) -> Check:
    """Whether attacks without gradients find what those with gradients do not, on the same inputs."""
    worst, seen = 0.0, "no budget in common"
    for epsilon, without, with_ in _paired(black, white):
        only = int((without & ~with_).sum())
        share = only / max(1, len(without))
        if seen == "no budget in common" or share > worst:
            worst = max(worst, share)
            seen = f"at {epsilon:g}, {only} of {len(without)} inputs fall to attacks without gradients only"
    return _judged(
        "black-box-stronger",
        None if seen == "no budget in common" else _told(worst < NOTABLE, black.success.shape[1]),
        seen,
        "the gradients mislead: attack with a substitute for what masks them (garrison.robustness.attacks.adaptive)",
    )


def unbounded(classifier: Classifier, norm: Norm, shape: tuple[int, ...]) -> float:
    """The budget under which any input of `shape` can be turned into any other; infinite without bounds."""
    span = torch.as_tensor(classifier.high) - torch.as_tensor(classifier.low)
    each = torch.broadcast_to(span, shape).double()
    if norm == "l0":
        return float(math.prod(shape[1:] if len(shape) == 3 else shape))
    return float(torch.linalg.vector_norm(each.flatten(), {"linf": torch.inf, "l2": 2, "l1": 1}[norm]))


def check_unbounded(outcome: Outcome, enough: float) -> Check:
    """Whether nothing withstands a budget that allows everything, which is `enough` (see `unbounded`)."""
    allowed = [which for which, epsilon in enumerate(outcome.epsilons) if epsilon >= enough]
    if not allowed or not outcome.success.shape[1]:
        return Check(
            name="unbounded-budget",
            verdict="unknown",
            seen=f"no attack was tried with a budget of {enough:g}",
            advice=f"attack with a budget of {enough:g} too: a sound attack leaves nothing there",
        )
    left = ~outcome.success[allowed[-1]]
    return _judged(
        "unbounded-budget",
        _told(_share(left) < NOTABLE, len(left)),
        f"{int(left.sum())} of {len(left)} inputs withstand a budget of {outcome.epsilons[allowed[-1]]:g}, "
        "which allows any change",
        "the attack does not work on this model: look for masked gradients and for how inputs are scaled",
    )


def check_enough_queries(outcome: Outcome) -> Check:
    """Whether an attack was still finding when it ended: then more queries would have found more."""
    spent = int(outcome.queries.max()) if len(outcome.queries) else 0
    found = outcome.found_after[outcome.found_after > 1]
    if not len(found):
        withstood = bool(outcome.success.numel()) and not bool(outcome.success.all())
        return Check(
            name="few-queries",
            verdict="unknown" if withstood else "passed",
            seen=f"nothing was found in {spent} queries" if withstood else "all inputs were found at once",
            advice="raise the number of steps or queries" if withstood else "",
        )
    late = _share(found > 0.75 * spent)
    return _judged(
        "few-queries",
        bool(outcome.success.all()) or _told(late < 0.1, len(found)),
        f"{late:.1%} of what was found was found in the last quarter of {spent} queries",
        "raise the number of steps or queries until that share is small",
    )


def check_enough_inputs(robust: Rate, width: float = 0.1) -> Check:
    """Whether the interval of the robust accuracy is narrower than `width`."""
    seen = robust.high - robust.low
    # The half width of the normal interval at the bound of Wilson's that is nearest to one half.
    share = min(max(0.5, robust.low), robust.high)
    needed = math.ceil(4 * 1.96**2 * share * (1 - share) / width**2)
    return _judged(
        "few-inputs",
        seen <= width,
        f"with {robust.of} inputs the robust accuracy is between {robust.low:.3f} and {robust.high:.3f}",
        f"use about {max(needed, robust.of + 1)} inputs to know it to ±{width / 2:g}",
    )


def _paired(one: Outcome, other: Outcome) -> list[tuple[float, Tensor, Tensor]]:
    """Budgets that both were tried under, with what succeeded (n,) of each."""
    where = {epsilon: which for which, epsilon in enumerate(other.epsilons)}
    return [
        (epsilon, one.success[which], other.success[where[epsilon]])
        for which, epsilon in enumerate(one.epsilons)
        if epsilon in where
    ]


def _useless(values: Tensor, free: Tensor) -> Tensor:
    """Where (n,) the gradient of values (n,) is zero everywhere or holds something that is no number."""
    found = slope(values, free).flatten(1)
    return (found == 0).all(1) | ~found.isfinite().all(1)


def _share(which: Tensor) -> float:
    return float(which.double().mean()) if which.numel() else 0.0


def _told(sound: bool, count: int) -> bool | None:
    """A symptom counts however few inputs show it; that none do says nothing of a few."""
    return None if sound and count < ENOUGH else sound


def _judged(name: str, sound: bool | None, seen: str, advice: str) -> Check:
    verdict = "unknown" if sound is None else "passed" if sound else "failed"
    return Check(name=name, verdict=verdict, seen=seen, advice="" if sound else advice)  # type: ignore[arg-type]


def _no_gradients(name: str) -> Check:
    return Check(
        name=name,
        verdict="unknown",
        seen="the model gives no gradients",
        advice="only black-box attacks apply; attack the model in a format with gradients if there is one",
    )


def _nothing_right(name: str) -> Check:
    return Check(
        name=name,
        verdict="unknown",
        seen="no input is classified correctly and has a gradient",
        advice="see the checks of labels and of zero gradients",
    )
