"""Open a sealed file: nothing of it is left if it was altered or cut off, or if no identity fits."""

import functools
import sys
from typing import TYPE_CHECKING

from garrison.cli import exits
from garrison.core.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from garrison.cli.arguments import Parser
    from garrison.provenance.sealing.stanzas import Identity

_ENDING = ".age"


def configure(parser: "Parser") -> None:
    add = parser.add_argument
    add("path", metavar="FILE", help="a sealed file, or `-` for standard input")
    add("--identity", "-i", action="append", default=[], metavar="FILE", help="a file of identities, again for more")
    add(
        "--passphrase", "-p", action="store_true", help="it opens with a passphrase, from $GARRISON_PASSPHRASE or asked"
    )
    add("--output", "-o", metavar="FILE", help="what is in it, or `-` (default: FILE without .age; `-` for `-`)")
    add("--force", action="store_true", help="replace the output if it is there already")


def run(arguments: "argparse.Namespace") -> int:
    from garrison.cli.sealed_streams import input_from, output_to
    from garrison.provenance.sealing.sealed_file import unseal
    from garrison.provenance.trust import Refused
    from garrison.reporting.text import printable

    identities = _identities(arguments)
    path = arguments.path
    output = arguments.output or _default(path)
    try:
        with input_from(path) as source, output_to(output, force=arguments.force) as target:
            unseal(source, target, identities)
    except Refused as error:
        rest = "; what was written before is only its beginning" if output == "-" else ""
        print(f"garrison: {printable(path)} is refused: {printable(str(error))}{rest}", file=sys.stderr)
        return exits.DENIED
    return exits.PASSED


def _default(path: str) -> str:
    if path == "-":
        return "-"
    name = path.removesuffix(_ENDING)
    if name == path or name.endswith("/"):
        raise UsageError(f"{path}: does not end in {_ENDING}, so name the output with -o")
    return name


def _identities(arguments: "argparse.Namespace") -> "list[Identity]":
    from garrison.cli.passphrases import passphrase
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
    if not found:
        raise UsageError("nothing to open it with: name an identity file with -i, or use --passphrase")
    return found
