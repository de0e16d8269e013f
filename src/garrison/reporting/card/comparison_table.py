"""Two cards side by side, in a terminal."""

from collections.abc import Iterator

from garrison.core.robustness_verdicts import Comparison, Difference
from garrison.reporting.text import printable, shortened, without_commands, wrap

_COLORS = {"better": "32", "worse": "1;31", "no telling": "2"}


def render(comparison: Comparison, *, width: int = 100, color: bool = False) -> str:
    """Each number before and after, with what the intervals say of the change."""
    return "".join(f"{without_commands(line)}\n" for line in _lines(comparison, max(width, 60), color))


def _lines(comparison: Comparison, width: int, color: bool) -> Iterator[str]:
    yield printable(f"{comparison.before} → {comparison.after}")
    longest = max((len(one.name) for one in comparison.differences), default=0)
    for one in comparison.differences:
        verdict = f"{one.verdict:<11}"
        painted = f"\x1b[{_COLORS[one.verdict]}m{verdict}\x1b[0m" if color else verdict
        yield f"  {printable(one.name):<{longest}}  {painted} {_numbers(one)}".rstrip()
    if not comparison.differences:
        yield "  The two cards have no number in common."
    for title, names in (("Only before", comparison.only_before), ("Only after", comparison.only_after)):
        if names:
            yield from wrap(f"{title}: {printable(', '.join(names))}", width)
    for note in comparison.notes:
        yield from wrap(f"Note: {printable(shortened(note, 500))}", width)


def _numbers(one: Difference) -> str:
    text = f"{one.before:.3f} → {one.after:.3f} ({one.change:+.3f}"
    if one.low is not None and one.high is not None:
        text += f", 95 % interval {one.low:+.3f} to {one.high:+.3f}"
    return text + ")"
