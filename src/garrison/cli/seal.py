"""Encrypt a file or a directory in the age format, for recipients by their keys or for whoever knows a passphrase."""

import os
import sys
from typing import TYPE_CHECKING, BinaryIO, cast

from garrison.cli import exits
from garrison.core.errors import UsageError

if TYPE_CHECKING:
    import argparse
    import contextlib

    from garrison.cli.arguments import Parser
    from garrison.provenance.sealing.stanzas import Recipient


def configure(parser: "Parser") -> None:
    add = parser.add_argument
    add("path", metavar="PATH", help="a file, a directory (it becomes a tar archive), or `-` for standard input")
    add(
        "--recipient",
        "-r",
        action="append",
        default=[],
        metavar="KEY",
        help="who may open it: age1…, may be given several times",
    )
    add(
        "--recipients",
        "-R",
        action="append",
        default=[],
        metavar="FILE",
        help="a file of recipients, one a line; may be given several times",
    )
    add("--passphrase", "-p", action="store_true", help="a passphrase opens it, from $GARRISON_PASSPHRASE or asked for")
    add(
        "--output",
        "-o",
        metavar="FILE",
        help="the sealed file, or `-` (default: PATH.age or PATH.tar.age, and `-` for `-`)",
    )
    add("--armor", "-a", action="store_true", help="write text instead of bytes")
    add("--force", action="store_true", help="replace the output if it is there already")


def run(arguments: "argparse.Namespace") -> int:
    from garrison.cli.sealed_streams import output_to
    from garrison.provenance.sealing.header import check
    from garrison.provenance.sealing.sealed_file import seal

    recipients = _recipients(arguments)
    check(recipients)
    path = arguments.path
    output = arguments.output or _default(path)
    with _input(path) as source, output_to(output, force=arguments.force, text=arguments.armor) as target:
        seal(source, target, recipients, armored=arguments.armor)
    if output != "-":
        _say(output, "a passphrase" if arguments.passphrase else _count(len(recipients)))
    return exits.PASSED


def _input(path: str) -> "contextlib.AbstractContextManager[BinaryIO]":
    """A file; of a directory, the archive."""
    if path != "-" and os.path.isdir(path):
        import io

        from garrison.provenance.sealing.archives import Packed

        return cast("BinaryIO", io.BufferedReader(Packed(path)))
    from garrison.cli.sealed_streams import input_from

    return input_from(path)


def _default(path: str) -> str:
    if path == "-":
        return "-"
    if os.path.basename(path.rstrip(os.sep)) in ("", os.curdir, os.pardir):
        raise UsageError(f"{path}: has no name of its own, so name the output with -o")
    return f"{path.rstrip(os.sep) or path}.tar.age" if os.path.isdir(path) else f"{path}.age"


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
