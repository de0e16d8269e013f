"""Package indexes that everybody knows, and which of them anybody can publish to."""

import functools
import os
import re
from collections.abc import Sequence

import msgspec

_ADDRESS = re.compile(r"^[A-Za-z][A-Za-z0-9.+\-]*://(?:[^/@]*@)?(\[[^\]]*\]|[^/:?#]*)(?::\d+)?([^?#]*)")


class Indexes(msgspec.Struct, frozen=True):
    reason: str
    indexes: tuple[str, ...]
    public: tuple[str, ...]
    forges: tuple[str, ...]
    channels: frozenset[str]


@functools.cache
def known() -> Indexes:
    with open(os.path.join(os.path.dirname(__file__), "package_indexes.json"), "rb") as file:
        return msgspec.json.decode(file.read(), type=Indexes)


def among(host: str, path: str, entries: Sequence[str]) -> bool:
    """Whether an address is one of the entries or lies below it; a host's subdomains belong to it."""
    return any(f"{host}{path}/".startswith(f"{one}/") or host.endswith(f".{one}") for one in entries)


def is_public(address: str) -> bool:
    """Whether anybody can publish a package under any free name there."""
    found = _ADDRESS.match(address)
    return bool(found and among(found[1].lower(), found[2], known().public))
