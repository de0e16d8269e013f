"""Program text that metadata has no honest use for: what it does, and why it is telling."""

import functools
import os
import re

import msgspec


class Pattern(msgspec.Struct, frozen=True):
    id: str
    language: str
    expression: str
    """A regular expression without nested or unbounded repeats, so that any text is searched in linear time."""
    does: str
    reason: str


class _Knowledge(msgspec.Struct, frozen=True):
    patterns: tuple[Pattern, ...]


@functools.cache
def patterns() -> tuple[Pattern, ...]:
    with open(os.path.join(os.path.dirname(__file__), "metadata_text.json"), "rb") as file:
        return msgspec.json.decode(file.read(), type=_Knowledge).patterns


@functools.cache
def expression(text: str) -> re.Pattern[str]:
    return re.compile(text)


def does(identity: str) -> str:
    return next((pattern.does for pattern in patterns() if pattern.id == identity), "")
