"""How the numbers of a card are said, the same in a terminal and on a page."""

import re

from garrison.core.robustness_card import Budget, Card, Check, Dataset, Estimate, Model, Rate

_BUDGET = re.compile(r"\b(linf|l2|l1|l0):(\d+(?:\.\d+)?(?:e-?\d+)?)")

ACCESS = {
    "gradients": "attacked through its gradients",
    "scores": "attacked through its scores alone",
    "labels": "attacked through its decisions alone",
}


def share(rate: Rate) -> str:
    """`41.2 %`, or a dash for a share of nothing."""
    return "–" if rate.of == 0 else f"{rate.value:.1%}".replace("%", " %")


def interval(rate: Rate) -> str:
    """`36.9 to 45.6 %`."""
    return f"{100 * rate.low:.1f} to {100 * rate.high:.1f} %"


def estimate(one: Estimate, *, percent: bool = False) -> str:
    """A number with its interval."""
    scale, unit, digits = (100, " %", 2) if percent else (1, "", 3)
    text = f"{one.value * scale:.{digits}f}{unit}"
    if one.low is None or one.high is None:
        return text
    return f"{text} ({one.low * scale:.{digits}f} to {one.high * scale:.{digits}f}{unit})"


def false_positives(rate: str) -> str:
    """`0.1 % false positives`, of a rate such as `0.001`."""
    return f"{100 * float(rate):g} % false positives"


def budget(one: Budget | None, kind: str = "") -> str:
    """`linf 8/255`, as people write it; without a norm, what bounds an attack on this kind of data."""
    if one is None:
        return "by changed words" if kind == "text" else "within constraints"
    return f"{one.norm} {epsilon(one.norm, one.epsilon)}"


def epsilon(norm: str, value: float) -> str:
    """`8/255` for steps of a pixel, as is usual under linf, else a decimal."""
    steps = round(255 * value)
    if norm == "linf" and 0 < steps < 255 and abs(255 * value - steps) < 1e-3:
        return f"{steps}/255"
    return f"{value:.4g}"


def named_budget(text: str) -> str:
    """What stands in a card as `linf:0.0313725`, as `linf 8/255`; other text as it is."""
    return _BUDGET.sub(lambda found: f"{found[1]} {epsilon(found[1], float(found[2]))}", text)


def model(one: Model) -> str:
    parameters = f", {one.parameters:,} parameters" if one.parameters else ""
    return f"{one.format}, {one.classes} classes{parameters}; {ACCESS[one.access]}"


def data(one: Dataset) -> str:
    shape = " of " + "×".join(map(str, one.shape)) if one.shape else ""
    return f"{one.count:,} {one.kind} inputs{shape}"


def inference_doubts(card: Card) -> list[Check]:
    """What is in doubt of attacks on privacy; what is wrong with several of them once."""
    found = (check for one in card.inference for check in one.checks if check.verdict != "passed")
    return list({(check.name, check.seen): check for check in found}.values())


def left_out(card: Card) -> list[tuple[str, str]]:
    """What was not measured, and why; what has the same reason together."""
    reasons: dict[str, list[str]] = {}
    for one in card.omitted:
        reasons.setdefault(one.why, []).append(one.what)
    return [(", ".join(names), why) for why, names in reasons.items()]


def headline(card: Card) -> str:
    """The answer in one sentence."""
    if not card.evasion:
        return f"right on {share(card.clean_accuracy)} of inputs; not attacked"
    worst = card.evasion[0]
    return (
        f"right on {share(card.clean_accuracy)} of inputs, and on at most {share(worst.robust_accuracy)} "
        f"under attack ({budget(worst.budget, card.data.kind)})"
    )


def seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 100 else f"{value / 60:.0f} min"
