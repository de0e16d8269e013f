"""Open a sealed file: nothing of it is left if it was altered or cut off, or if no identity fits.

Exit codes: 0 opened; 1 it does not open, or not to its end; 2 wrong usage.
"""

import contextlib
import functools
import os
import sys
from typing import TYPE_CHECKING

from garrison.cli import exits
from garrison.core.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from typing import BinaryIO

    from garrison.cli.arguments import Parser
    from garrison.provenance.sealing.stanzas import Identity

_ENDING = ".age"
_ARCHIVE = ".tar.age"


def configure(parser: "Parser") -> None:
    add = parser.add_argument
    add("path", metavar="FILE", help="a sealed file, or `-` for standard input")
    add(
        "--identity",
        "-i",
        action="append",
        default=[],
        metavar="FILE",
        help="a file of identities, may be given several times",
    )
    add(
        "--passphrase", "-p", action="store_true", help="it opens with a passphrase, from $GARRISON_PASSPHRASE or asked"
    )
    add(
        "--pkcs11",
        metavar="URI",
        help="a key on P-256 in a token, by a URI of RFC 7512 with module-path; its PIN comes from its pin-source, "
        "$GARRISON_PIN or a prompt",
    )
    add(
        "--output",
        "-o",
        metavar="FILE",
        help="what is in it, or `-` (default: FILE without .age or .tar.age; `-` for `-`)",
    )
    add("--unpack", action="store_true", help="make a directory of the archive that a sealed directory is")
    add("--force", action="store_true", help="replace the output if it is there already")


def run(arguments: "argparse.Namespace") -> int:
    from garrison.cli.sealed_streams import input_from
    from garrison.provenance.sealing.sealed_file import unseal
    from garrison.provenance.trust import Refused
    from garrison.reporting.text import printable

    path = arguments.path
    output = arguments.output or _default(path, _ARCHIVE if arguments.unpack else _ENDING)
    try:
        with (
            contextlib.ExitStack() as sessions,
            input_from(path) as source,
            _output(output, arguments) as target,
        ):
            unseal(source, target, _identities(arguments, sessions))
    except Refused as error:
        rest = "; if anything was written before, it is only its beginning" if output == "-" else ""
        print(f"refused: {printable(path)}: {printable(str(error))}{rest}", file=sys.stderr)
        return exits.DENIED
    return exits.PASSED


def _output(path: str, arguments: "argparse.Namespace") -> "contextlib.AbstractContextManager[BinaryIO]":
    if not arguments.unpack:
        from garrison.cli.sealed_streams import output_to

        return output_to(path, force=arguments.force)
    from garrison.provenance.sealing.archives import unpacking

    if path == "-":
        raise UsageError("an archive is unpacked to a directory: name it with -o")
    if arguments.force:
        raise UsageError("--force replaces files, and no directory that is there already")
    return unpacking(path)


def _default(path: str, ending: str) -> str:
    if path == "-":
        return "-"
    name = path.removesuffix(ending)
    if name == path or not os.path.basename(name):
        raise UsageError(f"{path}: does not end in {ending}, so name the output with -o")
    return name


def _identities(arguments: "argparse.Namespace", sessions: contextlib.ExitStack) -> "list[Identity]":
    """What the options name; `sessions` keeps a token open. Raises `UsageError`."""
    from garrison.cli.passphrases import passphrase, pin
    from garrison.provenance.sealing.identities import identity_file

    found: list[Identity] = []
    for path in arguments.identity:
        found += identity_file(path, functools.partial(passphrase, f"Passphrase of {path}: "))
    if arguments.passphrase:
        from garrison.provenance.sealing.passphrase import Passphrase

        given = passphrase()
        if given is None:
            raise UsageError("no passphrase: there is no terminal to ask at, and $GARRISON_PASSPHRASE is not set")
        found.append(Passphrase(given))
    if arguments.pkcs11:
        from garrison.provenance.sealing.tagged import TaggedIdentity
        from garrison.provenance.tokens import TokenAgreement, opened_token

        token = sessions.enter_context(opened_token(arguments.pkcs11, pin))
        try:
            found.append(TaggedIdentity(TokenAgreement(token)))
        except ValueError as error:
            raise UsageError(f"the token has {error}") from None
    if not found:
        raise UsageError("nothing to open it with: name an identity file with -i, or use --passphrase or --pkcs11")
    return found
