"""Finds and reads the policy: `garrison.toml`, or `[tool.garrison]` in `pyproject.toml`."""

import os
from typing import Any

import msgspec

from garrison.core.errors import UsageError
from garrison.core.files import contents
from garrison.core.policy import Identity, Policy, parse_policy

FILE_NAME = "garrison.toml"
_MOST = 1 << 22
"""How long a policy file may be, in bytes."""


def find_policy(start: str) -> str | None:
    """The nearest policy file at or above the directory `start`; `None` where there is none.

    The search ends at the root of a repository (a directory that holds `.git`) and at the home directory, so that a
    file higher up, which somebody else may write, has no say.
    """
    directory = os.path.realpath(start)
    home = os.path.realpath(os.path.expanduser("~"))
    while True:
        candidate = os.path.join(directory, FILE_NAME)
        if os.path.isfile(candidate):
            return candidate
        candidate = os.path.join(directory, "pyproject.toml")
        if os.path.isfile(candidate) and _table(candidate) is not None:
            return candidate
        parent = os.path.dirname(directory)
        if os.path.exists(os.path.join(directory, ".git")) or directory in (home, parent):
            return None
        directory = parent


def load_policy(path: str | None = None, *, start: str = ".") -> Policy:
    """The policy in `path`, or else in the nearest policy file above `start`, or else the default one.

    Files that its identities name lie where the policy's own file does, whatever directory is the current one.
    Raises `UsageError` for a file that cannot be read or does not parse, with the place of the mistake.
    """
    path = path or find_policy(start)
    if path is None:
        return Policy()
    table = _table(path)
    if table is None:
        raise UsageError(f"{path}: no [tool.garrison] table")
    try:
        policy = parse_policy(table)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    base = os.path.dirname(os.path.realpath(path))
    return msgspec.structs.replace(policy, identities=tuple(_located(one, base) for one in policy.identities))


def _located(identity: Identity, base: str) -> Identity:
    """The identity with absolute paths, of which relative ones began at `base`."""
    named = {name: getattr(identity, name) for name in ("public_key", "authorities", "trusted_root")}
    located = {name: os.path.join(base, path) for name, path in named.items() if path}
    return msgspec.structs.replace(identity, **located)


def _table(path: str) -> dict[str, Any] | None:
    """The policy's table; `None` for a `pyproject.toml` without one."""
    data = contents(path, _MOST)
    pyproject = os.path.basename(path) == "pyproject.toml"
    if pyproject and b"garrison" not in data:
        return None
    import tomllib  # slow to import, and most scans have no policy file

    try:
        document = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from None
    if not pyproject:
        return document
    table = document.get("tool", {}).get("garrison")
    return table if isinstance(table, dict) else None
