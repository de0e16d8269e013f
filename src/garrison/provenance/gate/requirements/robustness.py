"""What was measured of the model keeps the policy's bounds."""

import datetime
import fnmatch
import math
from collections.abc import Iterator, Sequence

from garrison.core.gate_decision import RequirementDecision
from garrison.core.gate_policy import RobustnessRequirement, Threshold
from garrison.provenance.attestations.predicates import Measurement, Robustness
from garrison.provenance.gate.candidates import Candidate
from garrison.provenance.gate.requirements.judging import (
    by,
    counted_days,
    decided,
    eligible,
    newer_is_there,
    newest,
    nobody,
    too_old,
)

KIND = "robustness"
_CLOSE = 0.01
"""How far the attacker's budget may be from the one that is asked for: 8/255 is written in many ways."""


def judge(asked: RobustnessRequirement, candidates: Sequence[Candidate], now: datetime.datetime) -> RequirementDecision:
    """Of each bound the newest cards of each signatory that say something of it count."""
    found = eligible(asked, KIND, candidates)
    found.leave_out(lambda one: too_old(one, asked.max_days, now))
    reasons = [] if found.counted else [nobody(found, "robustness card")]
    used: list[Candidate] = []
    for threshold in asked.thresholds if found.counted else ():
        cards = newest([one for one in found.counted if _fitting(threshold, _card(one))])
        if not cards:
            reasons.append(f"no measurement of {_described(threshold)}")
        reasons += [f"{one.place}: {reason}" for one in cards for reason in _against(threshold, _card(one))]
        used += cards
    found.leave_out(lambda one: "" if one in used else _unused(asked, one))
    return decided(KIND, _wording(asked), found, reasons, lambda one: _says(asked, _card(one)))


def _unused(asked: RobustnessRequirement, one: Candidate) -> str:
    if any(_fitting(threshold, _card(one)) for threshold in asked.thresholds):
        return newer_is_there(one)
    return "it says nothing of what is asked for"


def _card(one: Candidate) -> Robustness:
    assert isinstance(one.predicate, Robustness)
    return one.predicate


def _against(threshold: Threshold, card: Robustness) -> Iterator[str]:
    for one in _fitting(threshold, card):
        if threshold.minimum is not None and one.value < threshold.minimum:
            yield f"{one.name}{_under(one)} is {one.value:g}, below {threshold.minimum:g}"
        if threshold.maximum is not None and one.value > threshold.maximum:
            yield f"{one.name}{_under(one)} is {one.value:g}, above {threshold.maximum:g}"
        if one.samples < threshold.samples:
            yield f"{one.name}{_under(one)} is of {one.samples:,} samples, fewer than {threshold.samples:,}"


def _fitting(threshold: Threshold, card: Robustness) -> list[Measurement]:
    return [one for one in card.measurements if _fits(threshold, one, card)]


def _fits(threshold: Threshold, one: Measurement, card: Robustness) -> bool:
    if one.name != threshold.metric or not fnmatch.fnmatchcase(one.attack, threshold.attack):
        return False
    if threshold.norm and one.norm != threshold.norm:
        return False
    if threshold.epsilon is not None and (
        one.epsilon is None or not math.isclose(one.epsilon, threshold.epsilon, rel_tol=_CLOSE)
    ):
        return False
    if threshold.dataset is None:
        return True
    digests = next(dataset.digest for dataset in card.datasets if dataset.name == one.dataset)
    return threshold.dataset in [f"{algorithm}:{digest}" for algorithm, digest in digests.items()]


def _described(threshold: Threshold) -> str:
    parts = [threshold.metric]
    if threshold.attack:
        parts.append(f"under {threshold.attack}")
    if threshold.epsilon is not None:
        parts.append(f"at {threshold.norm or 'any norm'} {threshold.epsilon:g}")
    elif threshold.norm:
        parts.append(f"at {threshold.norm}")
    if threshold.dataset is not None:
        parts.append(f"on {threshold.dataset[:19]}…")
    return " ".join(parts)


def _under(one: Measurement) -> str:
    budget = "" if one.epsilon is None else f" at {one.norm} {one.epsilon:g}"
    return (f" under {one.attack[:100]}" if one.attack else "") + budget


def _wording(asked: RobustnessRequirement) -> str:
    bounds = []
    for threshold in asked.thresholds:
        limits = [f"at least {threshold.minimum:g}"] if threshold.minimum is not None else []
        limits += [f"at most {threshold.maximum:g}"] if threshold.maximum is not None else []
        bounds.append(f"{_described(threshold)} {' and '.join(limits)}")
    age = f" within {counted_days(asked.max_days)}" if asked.max_days is not None else ""
    return f"measured {by(asked.signed_by)}{age}: {'; '.join(bounds)}"


def _says(asked: RobustnessRequirement, card: Robustness) -> str:
    fitting = [one for one in card.measurements if any(_fits(threshold, one, card) for threshold in asked.thresholds)]
    return "; ".join(f"{one.name}{_under(one)} {one.value:g}" for one in fitting[:5])
