"""The card as one self-contained page, which loads nothing and runs nothing."""

from collections.abc import Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from garrison.core.robustness_card import Card, Corruption
from garrison.core.robustness_verdicts import Judged
from garrison.reporting.card import wording
from garrison.reporting.card.plot import plot
from garrison.reporting.html import content_hash, shown

_TEMPLATES = Path(__file__).parents[1] / "templates"
_ROWS = 500


def render(card: Card, judged: Sequence[Judged] = ()) -> str:
    """A page for people: the answer, what it rests on, curves, pictures, doubts, and what to do next."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=shown,
    )
    style = (_TEMPLATES / "report.css").read_text() + (_TEMPLATES / "card.css").read_text()
    policy = (
        f"default-src 'none'; style-src '{content_hash(style)}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    return (
        environment.get_template("card.html.jinja").render(
            card=card,
            judged=judged,
            wording=wording,
            plot=plot,
            corruptions=_by_kind(card.corruptions),
            rows=_ROWS,
            tone=_tone(card, judged),
            style=Markup(style),
            policy=Markup(policy),
        )
        + "\n"
    )


def _tone(card: Card, judged: Sequence[Judged]) -> str:
    """Good, bad or doubtful, as the bounds say; without any, the doubts."""
    answers = {one.answer for one in judged}
    if "broken" in answers:
        return "denied"
    if "inconclusive" in answers or not card.complete or any(check.verdict == "failed" for check in card.checks):
        return "incomplete"
    return "accepted" if judged else "plain"


def _by_kind(corruptions: Sequence[Corruption]) -> dict[str, list[Corruption]]:
    found: dict[str, list[Corruption]] = {}
    for one in corruptions:
        found.setdefault(one.name, []).append(one)
    return {name: sorted(ones, key=lambda one: one.severity) for name, ones in found.items()}
