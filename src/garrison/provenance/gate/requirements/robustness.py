"""What was measured of the model keeps the policy's bounds."""

import datetime
import fnmatch
import math
from collections.abc import Iterator, Sequence

from garrison.core.gate_decision import RequirementDecision
from garrison.core.gate_policy import RobustnessRequirement, Threshold
from garrison.provenance.attestations.predicates import Measurement, Robustness
from garrison.provenance.gate.candidates import Candidate
from garrison.provenance.gate.requirements.judging import by, counted_days, decided, eligible, nobody, too_old

KIND = "robustness"
_CLOSE = 0.01
"""How far the attacker's budget may be from the one that is asked for: 8/255 is written in many ways."""


def judge(asked: RobustnessRequirement, candidates: Sequence[Candidate], now: datetime.datetime) -> RequirementDecision:
    found = eligible(asked, KIND, candidates)
    found.leave_out(lambda one: too_old(one, asked.max_days, now))
    found.keep_newest()
    reasons = [f"{one.place}: {reason}" for one in found.counted for reason in _against(asked, _card(one))]
    if not found.counted:
        reasons = [nobody(found, "robustness card")]
    return decided(KIND, _wording(asked), found, reasons, lambda one: _says(asked, _card(one)))


def _card(one: Candidate) -> Robustness:
    assert isinstance(one.predicate, Robustness)
    return one.predicate


def _against(asked: RobustnessRequirement, card: Robustness) -> Iterator[str]:
    for threshold in asked.thresholds:
        fitting = [one for one in card.measurements if _fits(threshold, one, card)]
        if not fitting:
            yield f"no measurement of {_described(threshold)}"
        for one in fitting:
            if threshold.minimum is not None and one.value < threshold.minimum:
                yield f"{one.name}{_under(one)} is {one.value:g}, below {threshold.minimum:g}"
            if threshold.maximum is not None and one.value > threshold.maximum:
                yield f"{one.name}{_under(one)} is {one.value:g}, above {threshold.maximum:g}"
            if one.samples < threshold.samples:
                yield f"{one.name}{_under(one)} is of {one.samples:,} samples, fewer than {threshold.samples:,}"


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
    return "; ".join(f"{one.name}{_under(one)} {one.value:g}" for one in fitting[:5]) or "nothing that is asked for"
