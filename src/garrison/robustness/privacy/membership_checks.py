"""How a measurement of membership inference may deceive.

A shadow that was trained with the target's own training set makes any model look leaky, and a null test does not see
it. Three checks do: the splits are compared, each shadow is asked for the target's members, and pairs of shadows may
not attack better than all of them.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from garrison.core.robustness_card import Check
from garrison.robustness.privacy.game import Array, Flags, Game
from garrison.robustness.privacy.rates import allowed, area, deviation

Score = Callable[[Game], Array]

_SURE = 4.0
"""Standard errors beyond which a check fails: one false alarm in 16,000."""
_SHUFFLES = 20
_TRUST = 10
"""False positives from which a true-positive rate is more than rough."""
_UNLIKE = 0.05
"""Areas of target and shadows that differ by more are not of like models."""


def checks(game: Game, score: Score, rates: Sequence[float], seed: int) -> tuple[Check, ...]:
    """All of them, for one attack."""
    return (
        null(game, score, seed),
        shadow_splits(game),
        shadow_members(game),
        more_shadows(game, score),
        blind(game),
        recipe(game, score),
        few_outsiders(int((~game.members).sum()), rates),
    )


def null(game: Game, score: Score, seed: int) -> Check:
    """Who was a member is shuffled: the attack must do no better than chance."""
    random, scores = np.random.default_rng(seed), score(game)
    found = [_area(scores, random.permutation(game.members)) for _ in range(_SHUFFLES)]
    mean, error = float(np.mean(found)), _error(game.members) / math.sqrt(_SHUFFLES)
    return _check(
        "null-membership",
        abs(mean - 0.5) <= _SURE * error,
        f"AUC {mean:.3f} with shuffled membership (mean of {_SHUFFLES}, ±{error:.3f})",
        "The attack or its evaluation sees membership in the order or the number of the examples: report it.",
    )


def shadow_splits(game: Game) -> Check:
    """No shadow's training set is the target's, nor its complement, nor near either."""
    agreement = (game.inside == game.members).mean(1)
    furthest = float(np.abs(agreement - 0.5).max())
    # The halves of small sets are alike by chance.
    permitted = min(_SURE * 0.5 / math.sqrt(len(game.members)) * 1.5, 0.45)
    worst = int(np.abs(agreement - 0.5).argmax())
    return _check(
        "shadow-splits",
        furthest <= permitted,
        f"shadow {worst} agrees with the target on {agreement[worst]:.1%} of who is in the training set",
        "Draw the shadows' training sets anew, independently of the target's, and with other seeds.",
    )


def shadow_members(game: Game) -> Check:
    """What a shadow says over what the others say must not tell the target's members.

    It catches a recipe that does not train on what it is given too.
    """
    said = game.shadows.mean(1)
    others = (said.sum(0) - said) / (len(said) - 1)
    found = [_area(own - rest, game.members) for own, rest in zip(said, others, strict=True)]
    worst = max(range(len(found)), key=lambda shadow: abs(found[shadow] - 0.5))
    return _check(
        "shadow-members",
        abs(found[worst] - 0.5) <= _SURE * _error(game.members),
        f"shadow {worst} alone tells the target's members with AUC {found[worst]:.3f}",
        "A shadow was trained with the target's training set: check that the recipe trains on what it is given only.",
    )


def more_shadows(game: Game, score: Score) -> Check:
    """Two shadows must not attack better than all: an area that falls as shadows rise comes from a leak in one."""
    name = "area-falls-with-shadows"
    pairs = [(first, first + 1) for first in range(0, len(game.shadows), 2)]
    if len(pairs) < 2:
        return Check(name=name, verdict="unknown", seen="two shadows only", advice="Train four shadows or more.")
    everything = _area(score(game), game.members)
    found = [_area(score(game.among(pair)), game.members) for pair in pairs]
    best = int(np.argmax(found))
    return _check(
        name,
        found[best] - everything <= 3 * _error(game.members),
        f"AUC {everything:.3f} with {len(game.shadows)} shadows, {found[best]:.3f} with shadows {pairs[best][0]} and "
        f"{pairs[best][1]} alone",
        "One of these two was trained with the target's training set: give shadows splits and seeds of their own.",
    )


def blind(game: Game) -> Check:
    """Shadows alone, without the target, must not tell members: else both sides differ in more than membership."""
    found = _area(game.shadows.mean((0, 1)), game.members)
    return _check(
        "blind-baseline",
        abs(found - 0.5) <= _SURE * _error(game.members),
        f"AUC {found:.3f} without asking the target",
        "Members and others are drawn differently (by date, source or class): take both at random from one source.",
    )


def recipe(game: Game, score: Score) -> Check:
    """The attack on shadows, whose training sets are known too, should find about what it finds on the target."""
    name, count = "recipe", len(game.shadows)
    if count < 4:
        return Check(name=name, verdict="unknown", seen="two shadows only", advice="Train four shadows or more.")
    target = _area(score(game), game.members)
    found = []
    for shadow in range(count):
        # Its complement knows its members too well.
        rest = game.among([other for other in range(count) if other // 2 != shadow // 2])
        found.append(
            _area(
                score(Game(game.shadows[shadow], rest.shadows, rest.inside, game.inside[shadow])), game.inside[shadow]
            )
        )
    low, high = min(found), max(found)
    margin = max(_UNLIKE, _SURE * _error(game.members))
    if low - margin <= target <= high + margin:
        return Check(name=name, verdict="passed", seen=f"AUC {target:.3f}, on shadows {low:.3f} to {high:.3f}")
    return Check(
        name=name,
        verdict="unknown",
        seen=f"AUC {target:.3f}, but {low:.3f} to {high:.3f} on shadows: they are not trained as the target was",
        advice="Give the recipe that the model was trained with, and as much data: the attack may be stronger then.",
    )


def few_outsiders(count: int, rates: Sequence[float]) -> Check:
    """How many false positives the true-positive rates rest on."""
    resting = {rate: allowed(rate, count) for rate in rates}
    seen = "; ".join(
        f"{rate:.4g} rests on {flagged} false positives"
        if count * rate >= 1
        else f"nothing can be said at {rate:.4g}: one false positive in {count} is more"
        for rate, flagged in resting.items()
    )
    wanted = math.ceil(_TRUST / min(rates))
    enough = min(resting.values()) >= _TRUST
    return Check(
        name="few-non-members",
        verdict="passed" if enough else "unknown",
        seen=f"{count} non-members: {seen}",
        advice="" if enough else f"Take {wanted} non-members for {_TRUST} false positives at {min(rates):.4g}.",
    )


def _area(scores: Array, members: Flags) -> float:
    return area(scores[members], scores[~members])


def _error(members: Flags) -> float:
    """Standard error of an area of chance."""
    return deviation(0.5, int(members.sum()), int((~members).sum()))


def _check(name: str, passed: bool, seen: str, advice: str) -> Check:
    return Check(name=name, verdict="passed" if passed else "failed", seen=seen, advice="" if passed else advice)
