"""Operators of inference engines: which are ordinary, and what the others do beyond arithmetic."""

import functools
import os

import msgspec


class EngineOperator(msgspec.Struct, frozen=True):
    effect: str
    """`read`, `write`, `network`, `python`, `pointer`."""
    does: str
    arguments: tuple[str, ...] = ()
    """Which of its attributes name the file or address."""


class Engine(msgspec.Struct, frozen=True):
    """What is known of one framework's operators."""

    title: str
    needs: str
    """What an operator that is not listed means for whoever loads the model."""
    reason: str
    dangerous: dict[str, EngineOperator] = {}
    ordinary: tuple[str, ...] = ()
    """Blank-separated names, in lines of any length."""


@functools.cache
def engines() -> dict[str, Engine]:
    """By the name that `Operator.framework` has."""
    with open(os.path.join(os.path.dirname(__file__), "engine_operators.json"), "rb") as file:
        return msgspec.json.decode(file.read(), type=dict[str, Engine])


@functools.cache
def operators(framework: str) -> frozenset[str]:
    """Names that need nothing beyond the framework."""
    return frozenset(name for line in engines()[framework].ordinary for name in line.split())
