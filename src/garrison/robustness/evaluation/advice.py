"""What to do next, from what a card says; the words are in advice.json."""

import functools
from collections.abc import Iterator
from pathlib import Path

import msgspec

from garrison.core.robustness_card import Advice, Card

_LITTLE = 0.5
"""Share of the accuracy that should be left, under attack or damage."""
_WIDE = 0.1
"""Width of an interval from which more inputs are worth their time."""
_CHEAP = 1000
"""Queries by which it is cheap to find an adversarial input."""
_FAITHFUL = 0.9
_APART = 0.2
"""How far a slice may lie below the whole before it is told of."""

_REMEDIES = {"image": "train", "table": "features", "text": "normalise"}
"""Against evasion, by the kind of data."""


class _Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    what: str
    how: str


@functools.cache
def _words() -> dict[str, _Words]:
    return msgspec.json.decode(Path(__file__).with_suffix(".json").read_bytes(), type=dict[str, _Words])


def advice(card: Card) -> tuple[Advice, ...]:
    """The most urgent first."""
    return tuple(
        Advice(what=_words()[name].what, why=why, how=_words()[name].how.replace("{more}", more))
        for name, why, more in _reasons(card)
    )


def _reasons(card: Card) -> Iterator[tuple[str, str, str]]:
    """Names of advice with why, and a number that the advice may speak of."""
    for trigger in card.triggers:
        if trigger.suspected:
            yield "backdoor", f"a small change sends {trigger.success:.0%} of inputs to class {trigger.label}", ""
            break
    failed = [check for check in card.checks if check.verdict == "failed"]
    if failed:
        yield "doubts", f"{failed[0].name}: {failed[0].seen}; {failed[0].advice}", ""
    clean = card.clean_accuracy.value
    first = card.evasion[0].robust_accuracy if card.evasion else None
    if first is not None and first.of and first.value < _LITTLE * clean:
        yield (
            _REMEDIES[card.data.kind],
            f"of {100 * clean:.1f} % accuracy at most {100 * first.value:.1f} % is left under attack",
            "",
        )
        if card.data.kind == "image" and card.model.access == "gradients":
            yield "detector", "until then, inputs that were bent can be told from others, up to a point", ""
    cheap = [row for row in card.costs if row.median_queries is not None and row.median_queries <= _CHEAP]
    if cheap and cheap[0].median_queries is not None:
        why = f"without gradients, half of what was found took at most {cheap[0].median_queries:,.0f} queries"
        yield "limits", why, ""
    else:
        for copy in card.extraction:
            if copy.defence == "none" and copy.fidelity.value >= _FAITHFUL:
                yield (
                    "limits",
                    f"{copy.queries:,} queries buy a copy that agrees on {100 * copy.fidelity.value:.1f} %",
                    "",
                )
                break
    for one in card.inference:
        told = one.true_positives.get("0.001")
        if one.target == "membership" and told is not None and (told.low or 0.0) > 0.01:
            yield "membership", f"{100 * told.value:.1f} % of its members can be named, nearly without error", ""
            break
    if card.corruptions:
        worst = min(card.corruptions, key=lambda one: one.accuracy.value)
        if worst.accuracy.high < _LITTLE * clean:
            yield (
                "corruptions",
                f"{worst.name} (severity {worst.severity}) leaves {100 * worst.accuracy.value:.1f} %",
                "",
            )
    for part in card.slices[:1]:
        whole, seen = (first, part.robust) if first is not None and part.robust else (card.clean_accuracy, part.clean)
        if seen.of and seen.high < whole.value - _APART:
            yield (
                "slices",
                f"{part.name}: {100 * seen.value:.1f} %, where all inputs together have {100 * whole.value:.1f} %",
                "",
            )
    if first is not None and first.high - first.low > _WIDE:
        why = f"the interval of the robust accuracy is {100 * (first.high - first.low):.0f} points wide"
        yield "interval", why, str(max(4 * first.of, 400))
    yield "keep", "what got worse from one version to the next is the question that matters most", ""
