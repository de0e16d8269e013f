"""Passphrases, from the environment or the terminal; never from the command line, which every process can read."""

import os
import sys

from garrison.core.errors import UsageError

VARIABLE = "GARRISON_PASSPHRASE"


def passphrase(prompt: str = "Passphrase: ") -> bytes | None:
    """One that exists already; `None` where there is neither a variable nor a terminal to ask at."""
    return _given(VARIABLE, prompt)


def pin() -> str | None:
    """A token's PIN; `None` like `passphrase`."""
    given = _given("GARRISON_PIN", "PIN: ")
    return None if given is None else given.decode(errors="surrogateescape")


def new_passphrase() -> bytes:
    """One to choose, asked for twice. Raises `UsageError` where nobody can be asked, or for an empty one."""
    given = passphrase("New passphrase: ")
    if not given:
        raise UsageError(f"no passphrase: there is no terminal to ask at, and ${VARIABLE} is empty")
    if VARIABLE not in os.environ and _asked("The same again: ") != given:
        raise UsageError("the passphrases differ")
    return given


def _given(variable: str, prompt: str) -> bytes | None:
    given = os.environ.get(variable)
    if given is not None:
        return os.fsencode(given)
    if sys.stdin is None or not sys.stdin.isatty():
        return None
    return _asked(prompt)


def _asked(prompt: str) -> bytes:
    import getpass

    try:
        return os.fsencode(getpass.getpass(prompt))
    except EOFError:
        return b""
