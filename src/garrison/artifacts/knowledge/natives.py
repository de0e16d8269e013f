"""Where machine code is ordinary, and under which names it never is."""

import functools
import os

import msgspec


class _Group(msgspec.Struct, forbid_unknown_fields=True):
    reason: str
    names: tuple[str, ...]


@functools.cache
def names(group: str) -> tuple[str, ...]:
    """The names of one group of `natives.json`."""
    with open(os.path.join(os.path.dirname(__file__), "natives.json"), "rb") as file:
        groups = msgspec.json.decode(file.read(), type=dict[str, _Group])
    return groups[group].names
