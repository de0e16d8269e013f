"""What a stage is."""

from collections.abc import Callable
from dataclasses import dataclass

from garrison.robustness.evaluation.request import Part
from garrison.robustness.evaluation.working import Working

Partial = Callable[[], None]
"""Hands out the card so far."""


@dataclass(frozen=True)
class Stage:
    """One part of a measurement."""

    name: str
    part: Part
    """With which it is asked for."""
    share: float
    """Of the time that the whole takes, about."""
    applies: Callable[[Working], str]
    """Why it cannot be done; empty where it can. What is not even wanted says `UNASKED`."""
    run: Callable[[Working, Partial], None]
    doubts: bool = False
    """Whether it looks for what is wrong with the results of others, which nothing vouches for without it."""
