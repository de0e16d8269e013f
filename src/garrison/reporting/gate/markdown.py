"""Markdown, for the summary of a job or a comment (GitHub's dialect); what evidence says stands in code spans."""

from collections.abc import Iterator

from garrison.core.gate_decision import GateDecision, RequirementDecision
from garrison.reporting.gate import wording
from garrison.reporting.markdown import code, prose
from garrison.reporting.text import shortened

_SHOWN = 20
_REASON = 500


def render(decision: GateDecision) -> str:
    """The verdict, each requirement with what it rests on, and what is of no use."""
    return "\n".join(_lines(decision)) + "\n"


def _lines(decision: GateDecision) -> Iterator[str]:
    title, reason = wording.verdict(decision)
    yield f"## {'✅' if decision.allowed else '❌'} garrison gate: {title.lower()}"
    yield ""
    yield f"{code(decision.model)}: {prose(reason)}"
    yield ""
    for one in decision.requirements:
        yield from _requirement(one, decision)
    if decision.unused:
        yield "- Evidence that is of no use"
        yield from _shown([f"{code(one.place)}: {_code(one.reason)}" for one in decision.unused])


def _requirement(one: RequirementDecision, decision: GateDecision) -> Iterator[str]:
    yield f"- {'✅' if one.met else '❌'} **{one.name}** {prose(shortened(one.asked, _REASON))}"
    yield from _shown([_code(reason) for reason in one.reasons])
    yield from _shown([f"{code(c.place)} {_code(wording.counted(c, decision.decided))}" for c in one.evidence])
    yield from _shown([f"does not count: {code(other.place)}: {_code(other.reason)}" for other in one.others])


def _shown(items: list[str]) -> Iterator[str]:
    yield from (f"  - {item}" for item in items[:_SHOWN])
    if len(items) > _SHOWN:
        yield f"  - … and {len(items) - _SHOWN} more"


def _code(text: str) -> str:
    return code(shortened(text, _REASON))
