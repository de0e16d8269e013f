"""What code that runs at installation may do, and what the texts in it tell; `install_code.json` says why."""

import fnmatch
import functools
import os
import re

import msgspec

_FILE = os.path.join(os.path.dirname(__file__), "install_code.json")


class _Calls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    does: str
    names: tuple[str, ...]


class _Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    does: str
    pattern: str


class _Commands(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str
    programs: frozenset[str]


class _Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    calls: dict[str, _Calls]
    texts: dict[str, _Text]
    harmless_commands: _Commands


@functools.cache
def _known() -> _Known:
    with open(_FILE, "rb") as file:
        return msgspec.json.decode(file.read(), type=_Known)


@functools.cache
def _patterns() -> dict[str, re.Pattern[str]]:
    return {kind: re.compile(text.pattern, re.IGNORECASE) for kind, text in _known().texts.items()}


@functools.lru_cache(maxsize=4096)
def call_kind(name: str) -> str:
    """What a call of this full name does: `command`, `network`, ...; empty where nothing is known against it."""
    for kind, calls in _known().calls.items():
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in calls.names):
            return kind
    return ""


def text_kinds(text: str) -> list[str]:
    """What a text tells: `drop-point`, `credential-file`, ..."""
    return [kind for kind, pattern in _patterns().items() if pattern.search(text)]


def does(kind: str) -> str:
    """What calls or texts of this kind do, in words."""
    known = _known()
    return known.calls[kind].does if kind in known.calls else known.texts[kind].does


def is_harmless_program(name: str) -> bool:
    """Whether builds usually run this program."""
    last = name.replace("\\", "/").rpartition("/")[2].lower().removesuffix(".exe").removesuffix(".cmd")
    programs = _known().harmless_commands.programs
    return last in programs or re.sub(r"-?\d+(?:\.\d+)*$", "", last) in programs
