"""What is known of images: programs that are setuid everywhere, steps and commands to mind."""

import functools
import os
import re

import msgspec


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that a command does."""

    pattern: str
    severity: str
    does: str
    reason: str


class _Names(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str
    names: frozenset[str]


class _Pattern(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str
    pattern: str


class Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    privileged: _Names
    variables: _Pattern
    build_steps: tuple[Step, ...]
    commands: tuple[Step, ...]


@functools.cache
def known() -> Known:
    with open(os.path.join(os.path.dirname(__file__), "images.json"), "rb") as file:
        return msgspec.json.decode(file.read(), type=Known)


@functools.cache
def compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def matching(command: str, steps: tuple[Step, ...]) -> list[Step]:
    """What a command does of these, each thing once."""
    found = {step.does: step for step in steps if compiled(step.pattern).search(command)}
    return list(found.values())
