"""The decision for a person in a terminal."""

from collections.abc import Iterator, Sequence

from garrison.core.gate_decision import GateDecision, PassedOver, RequirementDecision
from garrison.reporting.gate import wording
from garrison.reporting.text import printable, shortened, without_commands, wrap

_SHOWN = 20
"""Pieces of evidence of one kind that are shown before the rest is counted."""
_REASON = 500
"""Characters of one reason."""
_STATE = 9
_INDENT = 11


def render(decision: GateDecision, *, width: int = 100, color: bool = False) -> str:
    """Each requirement with what it rests on, then what is of no use, then the verdict."""
    return "".join(f"{without_commands(line)}\n" for line in _Table(max(width, 40), color).lines(decision))


class _Table:
    def __init__(self, width: int, color: bool) -> None:
        self._width = width
        self._color = color

    def lines(self, decision: GateDecision) -> Iterator[str]:
        yield self._paint(printable(decision.model), "1")
        yield ""
        for one in decision.requirements:
            yield from self._requirement(one, decision)
            yield ""
        if decision.unused:
            yield "Evidence that is of no use"
            yield from self._passed_over("", decision.unused)
            yield ""
        title, reason = wording.verdict(decision)
        head = f"{title.upper()}:"
        lines = wrap(printable(f"{head} {reason}"), self._width)
        yield self._paint(head, "1;32" if decision.allowed else "1;31") + lines[0].removeprefix(head)
        yield from lines[1:]

    def _requirement(self, one: RequirementDecision, decision: GateDecision) -> Iterator[str]:
        state = self._paint(f"{'met' if one.met else 'NOT MET':<{_STATE}}", "32" if one.met else "1;31")
        first, *rest = wrap(printable(f"{one.name}: {one.asked}"), self._width - _INDENT)
        yield f"  {state}{first}"
        yield from (" " * _INDENT + line for line in rest)
        for reason in one.reasons[:_SHOWN]:
            yield from self._wrapped("why: ", reason)
        yield from self._more(len(one.reasons))
        for counted in one.evidence[:_SHOWN]:
            yield from self._wrapped("evidence: ", f"{counted.place} {wording.counted(counted, decision.decided)}")
        yield from self._more(len(one.evidence))
        yield from self._passed_over("does not count: ", one.others)

    def _passed_over(self, head: str, others: Sequence[PassedOver]) -> Iterator[str]:
        for one in others[:_SHOWN]:
            yield from self._wrapped(head, f"{one.place}: {one.reason}")
        yield from self._more(len(others))

    def _more(self, count: int) -> Iterator[str]:
        if count > _SHOWN:
            yield " " * _INDENT + f"… and {count - _SHOWN} more; --format json lists them all"

    def _wrapped(self, head: str, text: str) -> Iterator[str]:
        for number, line in enumerate(wrap(printable(head + shortened(text, _REASON)), self._width - _INDENT - 2)):
            yield " " * (_INDENT + (2 if number else 0)) + line

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._color else text


def one_line(decision: GateDecision) -> str:
    """The verdict in one line, for when the decision itself went into a file."""
    title, reason = wording.verdict(decision)
    return printable(f"{title.upper()}: {reason}.")
