"""Which servers of models, notebooks and clusters listen on which port by default."""

import functools
import os

import msgspec

from garrison.core.findings import Severity


class Port(msgspec.Struct, frozen=True):
    port: int
    product: str
    alone: bool
    """Whether the number by itself tells which server it is."""
    severity: Severity
    """What it means that everybody reaches it."""
    power: str
    """What whoever reaches it can do."""
    processes: tuple[str, ...]
    """Names of programs that listen on it, as the kernel cuts them."""


class _Known(msgspec.Struct, frozen=True):
    reason: str
    ports: tuple[Port, ...]


@functools.cache
def ports() -> dict[int, Port]:
    """By number."""
    with open(os.path.join(os.path.dirname(__file__), "ports.json"), "rb") as file:
        known = msgspec.json.decode(file.read(), type=_Known)
    return {entry.port: entry for entry in known.ports}
