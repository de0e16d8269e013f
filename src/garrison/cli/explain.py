"""Say what a rule means, what an attacker does and how to fix it."""

from typing import TYPE_CHECKING

from garrison.cli import exits, terminal
from garrison.core.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from garrison.cli.arguments import Parser
    from garrison.core.findings import Rule


def configure(parser: "Parser") -> None:
    parser.add_argument("rule", metavar="RULE", help="the id of a rule; `garrison rules` lists them")


def run(arguments: "argparse.Namespace") -> int:
    from garrison.core.registry import rules

    rule = rules().get(arguments.rule)
    if rule is None:
        import difflib

        close = difflib.get_close_matches(arguments.rule, rules(), 1)
        hint = f", did you mean {close[0]!r}?" if close else "; `garrison rules` lists them"
        raise UsageError(f"no rule named {arguments.rule!r}{hint}")
    terminal.write("\n".join(_lines(rule, min(terminal.width(), 100))) + "\n")
    return exits.PASSED


def _lines(rule: "Rule", width: int) -> "Iterator[str]":
    from garrison.reporting.text import wrap
    from garrison.threats import threat

    yield f"{rule.id} ({rule.severity})"
    yield from wrap(rule.title, width)
    yield ""
    yield from wrap(rule.description, width)
    yield ""
    yield from wrap(f"Fix: {rule.fix}", width)
    if rule.threats:
        yield ""
        yield "Threats"
        for entry in rule.threats:
            found = threat(entry)
            yield f"  {entry:<16}{found.title if found else ''}".rstrip()
            if found:
                yield f"  {'':<16}{found.url}"
    if rule.references:
        yield ""
        yield "References"
        for reference in rule.references:
            yield f"  {reference}"
