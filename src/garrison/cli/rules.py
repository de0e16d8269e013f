"""List the rules: what garrison looks for, and how bad it is."""

from typing import TYPE_CHECKING

from garrison.cli import exits, terminal

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from garrison.cli.arguments import Parser
    from garrison.core.findings import Rule


def configure(parser: "Parser") -> None:
    parser.add_argument("--format", choices=tuple(_FORMATS), default="table", help="default: table")


def run(arguments: "argparse.Namespace") -> int:
    from garrison.core.registry import rules

    catalogue = sorted(rules().values(), key=lambda rule: (-rule.severity.rank, rule.id))
    terminal.write(_FORMATS[arguments.format](catalogue), as_is=arguments.format != "table")
    return exits.PASSED


def _table(catalogue: "Iterable[Rule]") -> str:
    lines = [f"{rule.severity:<10}{rule.id:<32}{rule.title}\n" for rule in catalogue]
    return "".join(lines)


def _json(catalogue: "Iterable[Rule]") -> str:
    from garrison.reporting.json_text import json_text

    return json_text(list(catalogue))


def _markdown(catalogue: "Iterable[Rule]") -> str:
    from garrison.reporting.catalogue import rules_markdown

    return rules_markdown(catalogue)


_FORMATS = {"table": _table, "json": _json, "markdown": _markdown}
