"""Record what a host says of itself, to be scanned there or elsewhere; nothing is changed on it."""

from typing import TYPE_CHECKING

from garrison.cli import exits
from garrison.core.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from garrison.cli.arguments import Parser


def configure(parser: "Parser") -> None:
    parser.add_argument(
        "action", choices=("record",), metavar="ACTION", help="record: write a recording, which `garrison scan` reads"
    )
    parser.add_argument("file", metavar="FILE", help="the recording to write, a tar")
    parser.add_argument("--root", metavar="DIR", default="/", help="a root file system other than the running one")


def run(arguments: "argparse.Namespace") -> int:
    import os

    from garrison.dependencies.hosts.collecting import record

    try:
        # Only its owner may read it: it tells of weaknesses.
        descriptor = os.open(arguments.file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            record(file, arguments.root)
    except OSError as error:
        raise UsageError(f"{arguments.file}: cannot be written: {error.strerror}") from None
    return exits.PASSED
