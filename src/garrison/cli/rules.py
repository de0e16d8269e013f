"""List the rules: what garrison looks for, and how bad it is."""

from typing import TYPE_CHECKING

from garrison.cli import exits, terminal

if TYPE_CHECKING:
    import argparse

    from garrison.cli.arguments import Parser
    from garrison.core.findings import Rule


def configure(parser: "Parser") -> None:
    parser.add_argument("--format", choices=tuple(_FORMATS), default="table", help="default: table")


def run(arguments: "argparse.Namespace") -> int:
    from garrison.core.registry import rules

    catalogue = sorted(rules().values(), key=lambda rule: (-rule.severity.rank, rule.id))
    terminal.write(_FORMATS[arguments.format](catalogue), as_is=arguments.format != "table")
    return exits.PASSED


def _table(catalogue: "list[Rule]") -> str:
    width = max(len(rule.id) for rule in catalogue) + 2
    return "".join(f"{rule.severity:<10}{rule.id:<{width}}{rule.title}\n" for rule in catalogue)


def _json(catalogue: "list[Rule]") -> str:
    from garrison.reporting.json_text import json_text

    return json_text(catalogue)


def _markdown(catalogue: "list[Rule]") -> str:
    from garrison.reporting.catalogue import rules_markdown

    return rules_markdown(catalogue)


_FORMATS = {"table": _table, "json": _json, "markdown": _markdown}
