"""How the numbers of a card are said, the same in a terminal and on a page."""

from fractions import Fraction

from garrison.core.robustness_card import Budget, Card, Dataset, Estimate, Model, Rate

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


def budget(one: Budget | None) -> str:
    """`linf 8/255`, as people write it; a budget of no norm is one of constraints."""
    if one is None:
        return "within constraints"
    for below in (255, 256):
        above = Fraction(one.epsilon * below).limit_denominator(1)
        if above and abs(one.epsilon * below - above) < 1e-6 and one.epsilon < 1:
            return f"{one.norm} {above}/{below}"
    return f"{one.norm} {one.epsilon:.4g}"


def model(one: Model) -> str:
    parameters = f", {one.parameters:,} parameters" if one.parameters else ""
    return f"{one.format}, {one.classes} classes{parameters}; {ACCESS[one.access]}"


def data(one: Dataset) -> str:
    shape = " of " + "×".join(map(str, one.shape)) if one.shape else ""
    return f"{one.count:,} {one.kind} inputs{shape}"


def headline(card: Card) -> str:
    """The answer in one sentence."""
    if not card.evasion:
        return f"right on {share(card.clean_accuracy)} of inputs; not attacked"
    worst = card.evasion[0]
    return (
        f"right on {share(card.clean_accuracy)} of inputs, and on at most {share(worst.robust_accuracy)} "
        f"under attack ({budget(worst.budget)})"
    )


def seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 100 else f"{value / 60:.0f} min"
