"""What is known of processors' weaknesses and of drivers' fixed versions."""

import functools
import os

import msgspec

from garrison.core.findings import Severity

_FOLDER = os.path.dirname(__file__)


class Weakness(msgspec.Struct, frozen=True):
    title: str
    severity: Severity


class _Weaknesses(msgspec.Struct, frozen=True):
    reason: str
    weaknesses: dict[str, Weakness]


class Branch(msgspec.Struct, frozen=True):
    fixed: str = ""
    """The first version without a known hole; empty where none is known."""
    geforce: str = ""
    """The same for GeForce cards, where it is another."""
    ended: bool = False
    """Whether the branch gets no more fixes."""


class Drivers(msgspec.Struct, frozen=True):
    reason: str
    until: str
    """The day of the newest bulletin that is known."""
    bulletin: str
    branches: dict[str, Branch]


@functools.cache
def weaknesses() -> dict[str, Weakness]:
    """By the name of the kernel's file."""
    with open(os.path.join(_FOLDER, "processor_weaknesses.json"), "rb") as file:
        return msgspec.json.decode(file.read(), type=_Weaknesses).weaknesses


@functools.cache
def drivers() -> Drivers:
    """NVIDIA's bulletins."""
    with open(os.path.join(_FOLDER, "nvidia_drivers.json"), "rb") as file:
        return msgspec.json.decode(file.read(), type=Drivers)
