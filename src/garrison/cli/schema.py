"""Print the JSON schema of the report that `--format json` writes."""

from typing import TYPE_CHECKING

from garrison.cli import exits, terminal

if TYPE_CHECKING:
    import argparse

    from garrison.cli.arguments import Parser


def configure(parser: "Parser") -> None:
    """No arguments of its own."""


def run(_: "argparse.Namespace") -> int:
    from garrison.reporting.json_report import schema
    from garrison.reporting.json_text import json_text

    terminal.write(json_text(schema()), as_is=True)
    return exits.PASSED
