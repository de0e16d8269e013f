"""How the commands read their arguments."""

import argparse
import os
from typing import NoReturn

from garrison.cli import terminal
from garrison.core.errors import UsageError


class Parser(argparse.ArgumentParser):
    """Reports a mistake as a `UsageError`, so that it ends in one line like any other."""

    def __init__(self, prog: str, description: str | None = None) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False, formatter_class=_formatter)
        self.add_argument("--debug", action="store_true", help="show the traceback when garrison itself fails")

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see `{self.prog} --help`")


def _formatter(prog: str) -> argparse.HelpFormatter:
    # Left to itself, argparse imports shutil for the width, even to parse.
    return argparse.HelpFormatter(prog, width=min(terminal.width(), 100) - 2)


def positive(text: str) -> int:
    """The type of an option that takes a number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def below(text: str) -> str:
    """The type of an option that takes a path below the model, as manifests write it: `a/b` for `./a/b/`."""
    path = os.path.normpath(text)
    if not text or path == os.curdir or os.path.isabs(path) or path.split(os.sep)[0] == os.pardir:
        raise argparse.ArgumentTypeError(f"{text!r} is no path below the model")
    return path
