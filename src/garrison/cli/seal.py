"""Encrypt a file in the age format, for recipients by their keys or for whoever knows a passphrase."""

import sys
from typing import TYPE_CHECKING

from garrison.cli import exits
from garrison.core.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from garrison.cli.arguments import Parser
    from garrison.provenance.sealing.stanzas import Recipient


def configure(parser: "Parser") -> None:
    add = parser.add_argument
    add("path", metavar="PATH", help="a file, or `-` for standard input")
    add("--recipient", "-r", action="append", default=[], metavar="KEY", help="who may open it: age1…, again for more")
    add("--recipients", "-R", action="append", default=[], metavar="FILE", help="a file of recipients, one a line")
    add("--passphrase", "-p", action="store_true", help="a passphrase opens it, from $GARRISON_PASSPHRASE or asked for")
    add("--output", "-o", metavar="FILE", help="the sealed file, or `-` (default: PATH.age; `-` for standard input)")
    add("--armor", "-a", action="store_true", help="write text instead of bytes")
    add("--force", action="store_true", help="replace the output if it is there already")


def run(arguments: "argparse.Namespace") -> int:
    from garrison.cli.sealed_streams import input_from, output_to
    from garrison.provenance.sealing.header import check
    from garrison.provenance.sealing.sealed_file import seal

    recipients = _recipients(arguments)
    check(recipients)
    path = arguments.path
    output = arguments.output or ("-" if path == "-" else f"{path}.age")
    with input_from(path) as source, output_to(output, force=arguments.force, text=arguments.armor) as target:
        seal(source, target, recipients, armored=arguments.armor)
    if output != "-":
        _say(output, "a passphrase" if arguments.passphrase else _count(len(recipients)))
    return exits.PASSED


def _recipients(arguments: "argparse.Namespace") -> "list[Recipient]":
    from garrison.provenance.sealing.identities import recipient, recipients_file

    found = [recipient(text) for text in arguments.recipient]
    for path in arguments.recipients:
        found += recipients_file(path)
    if arguments.passphrase:
        from garrison.cli.passphrases import new_passphrase
        from garrison.provenance.sealing.passphrase import Passphrase

        found.append(Passphrase(new_passphrase()))
    if not found:
        raise UsageError("nobody could open it: name recipients with -r or -R, or use --passphrase")
    return found


def _count(number: int) -> str:
    return f"{number} recipient{'' if number == 1 else 's'}"


def _say(output: str, whom: str) -> None:
    from garrison.reporting.text import printable

    print(f"{printable(output)}: sealed for {whom}", file=sys.stderr)
