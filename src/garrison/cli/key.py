"""Make keys: the private half for its owner alone, the public half beside it with `.pub` at the end.

Or export the public half of a key that lies in a token.
"""

import contextlib
import os
from typing import TYPE_CHECKING

from garrison.cli import exits, terminal
from garrison.core.errors import UsageError
from garrison.provenance.key_kinds import kinds

if TYPE_CHECKING:
    import argparse

    from garrison.cli.arguments import Parser

_ACTIONS = ("generate", "export")


def configure(parser: "Parser") -> None:
    add = parser.add_argument
    add("action", choices=_ACTIONS, metavar="ACTION", help="generate, or export")
    every = "; ".join(f"{name} {kind.title}" for name, kind in kinds().items())
    add("--kind", choices=tuple(kinds()), default="p256", help=f"{every} (default: p256)")
    add(
        "--output",
        "-o",
        required=True,
        metavar="FILE",
        help="the private key, or the public one that is exported; nothing that is there is overwritten",
    )
    add(
        "--pkcs11",
        metavar="URI",
        help="export: the key in a token, by a URI of RFC 7512 with module-path; its PIN comes from its pin-source, "
        "$GARRISON_PIN or a prompt",
    )
    add(
        "--passphrase",
        action="store_true",
        help="encrypt the private key with a passphrase, from $GARRISON_PASSPHRASE or asked for",
    )


def run(arguments: "argparse.Namespace") -> int:
    return _export(arguments) if arguments.action == "export" else _generate(arguments)


def _export(arguments: "argparse.Namespace") -> int:
    from garrison.cli.passphrases import pin
    from garrison.provenance.keys import pem
    from garrison.provenance.tokens import opened_token, public_half

    if not arguments.pkcs11:
        raise UsageError("which key to export: name it with --pkcs11")
    with opened_token(arguments.pkcs11, pin) as token:
        public = public_half(token)
    _create(arguments.output, pem(public), 0o644)
    terminal.say(f"written: {arguments.output}")
    return exits.PASSED


def _generate(arguments: "argparse.Namespace") -> int:
    from garrison.cli.passphrases import new_passphrase

    if arguments.pkcs11:
        raise UsageError("keys in tokens are made by the token's own tools, such as pkcs11-tool")
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
    terminal.say(f"written: {arguments.output} and {beside}")
    return exits.PASSED


def _create(path: str, data: bytes, mode: int) -> None:
    """Write a file that must not be there yet, whole or not at all, and follow no link."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(path)
            raise
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
