"""What calls in Python source do. Source can't be held to an allowlist: only what is dangerous is named.

`source_calls.json` has groups of names, with `*` for any text; `loading` and `using` are severities by when it runs.
"""

import fnmatch
import functools
import os
from typing import Literal

import msgspec


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    does: str
    loading: Literal["medium", "high", "critical"]
    using: Literal["low", "medium", "high"]
    reason: str
    names: tuple[str, ...]


@functools.cache
def _groups() -> tuple[Group, ...]:
    with open(os.path.join(os.path.dirname(__file__), "source_calls.json"), "rb") as file:
        return tuple(msgspec.json.decode(file.read(), type=list[Group]))


@functools.lru_cache(maxsize=16384)
def dangerous(name: str) -> Group | None:
    """The group of a full dotted name, or `None` where nothing is known against it."""
    name = name.replace("__builtin__.", "builtins.", 1) if name.startswith("__builtin__.") else name
    for group in _groups():
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in group.names):
            return group
    return None
