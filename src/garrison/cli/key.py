"""Make keys: the private half for its owner alone, the public half beside it with `.pub` at the end."""

import contextlib
import os
from typing import TYPE_CHECKING

from garrison.cli import exits, terminal
from garrison.core.errors import UsageError
from garrison.provenance.key_kinds import kinds

if TYPE_CHECKING:
    import argparse

    from garrison.cli.arguments import Parser

_ACTIONS = ("generate",)


def configure(parser: "Parser") -> None:
    add = parser.add_argument
    add("action", choices=_ACTIONS, metavar="ACTION", help="generate")
    every = "; ".join(f"{name} {kind.title}" for name, kind in kinds().items())
    add("--kind", choices=tuple(kinds()), default="p256", help=f"{every} (default: p256)")
    add("--output", "-o", required=True, metavar="FILE", help="the private key; nothing that is there is overwritten")
    add(
        "--passphrase",
        action="store_true",
        help="encrypt the private key with a passphrase, from $GARRISON_PASSPHRASE or asked for",
    )


def run(arguments: "argparse.Namespace") -> int:
    from garrison.cli.passphrases import new_passphrase
    from garrison.reporting.text import printable

    passphrase = new_passphrase() if arguments.passphrase else None
    private, public = kinds()[arguments.kind].generate(passphrase)
    beside = f"{arguments.output}.pub"
    _create(beside, public, 0o644)
    try:
        _create(arguments.output, private, 0o600)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
    terminal.write(f"written: {printable(arguments.output)} and {printable(beside)}\n")
    return exits.PASSED


def _create(path: str, data: bytes, mode: int) -> None:
    """Write a file that must not be there yet, and follow no link."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
