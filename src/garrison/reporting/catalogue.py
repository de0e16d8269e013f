"""The rules as a Markdown document."""

from collections.abc import Iterable

from garrison.core.findings import Rule
from garrison.threats import threat


def rules_markdown(rules: Iterable[Rule]) -> str:
    """One section a rule: what it means, what to do, and where it is written about."""
    return "\n".join(line for rule in rules for line in _section(rule))


def _section(rule: Rule) -> Iterable[str]:
    yield f"## {rule.id}"
    yield ""
    yield f"**{rule.title}** (usually {rule.severity})"
    yield ""
    yield rule.description
    yield ""
    yield f"**Fix:** {rule.fix}"
    yield ""
    if rule.threats:
        yield "Threats: " + ", ".join(map(_threat, rule.threats)) + "."
        yield ""
    if rule.references:
        yield "References: " + ", ".join(f"<{reference}>" for reference in rule.references)
        yield ""


def _threat(entry: str) -> str:
    found = threat(entry)
    return f"[{entry}]({found.url}) {found.title}" if found else entry
