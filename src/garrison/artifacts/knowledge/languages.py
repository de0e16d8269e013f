"""What functions of R, Lua and JavaScript do, for code that artifacts carry.

`languages.json` gives each language its effects, and how bad each is by when the code runs; the names that have an
effect; and the names that are known to have none. A name can be qualified: `pkg::name` in R is looked up whole, then
without its package.
"""

import functools
import os

import msgspec

from garrison.core.findings import Severity


class _Effect(msgspec.Struct, frozen=True):
    does: str
    load: str
    use: str
    carried: str = "none"


class _Names(msgspec.Struct, frozen=True):
    reason: str
    names: str
    effect: str = ""


class _Severities(msgspec.Struct, frozen=True):
    load: str = "none"
    use: str = "none"
    carried: str = "none"


class Language(msgspec.Struct, frozen=True):
    effects: dict[str, _Effect]
    unknown: _Severities
    """How bad it is that the code calls something that is on no list, by when it runs."""
    harmless: _Severities
    """How bad it is that there is code at all, where nothing that it calls reaches anything."""
    dangerous: list[_Names]
    safe: list[_Names]
    higher: _Names = _Names("", "")
    """Functions that are given others."""


@functools.cache
def _languages() -> dict[str, Language]:
    with open(os.path.join(os.path.dirname(__file__), "languages.json"), "rb") as file:
        return msgspec.json.decode(file.read(), type=dict[str, Language])


@functools.cache
def _effects(language: str) -> dict[str, str]:
    known = _languages()[language]
    return {name: group.effect for group in known.dangerous for name in group.names.split()}


@functools.cache
def _safe(language: str) -> frozenset[str]:
    return frozenset(name for group in _languages()[language].safe for name in group.names.split())


@functools.cache
def higher(language: str) -> frozenset[str]:
    """Functions that call, find or keep a function that they are given, as a symbol or by name."""
    return frozenset(_languages()[language].higher.names.split())


def is_known(language: str) -> bool:
    """Whether anything is known of the language."""
    return language in _languages()


def effect(language: str, name: str) -> str:
    """The effect of a function, empty where it has none that is known."""
    effects = _effects(language)
    return effects.get(name) or effects.get(name.rpartition(":")[2], "")


def does(language: str, name: str) -> str:
    return _languages()[language].effects[effect(language, name)].does


def is_safe(language: str, name: str) -> bool:
    """Whether the function is known to reach nothing outside its arguments."""
    return name.rpartition(":")[2] in _safe(language)


def severity(language: str, name: str, trigger: str) -> Severity | None:
    """How bad it is that code which runs at that time calls the function; None where it does not matter."""
    found = effect(language, name)
    return _severity(_languages()[language].effects[found], trigger) if found else None


def severity_without(language: str, trigger: str, *, safe: bool) -> Severity | None:
    """How bad code is that calls nothing dangerous: only what is known to be safe, or things that nobody knows."""
    known = _languages()[language]
    return _severity(known.harmless if safe else known.unknown, trigger)


def _severity(entry: _Effect | _Severities, trigger: str) -> Severity | None:
    value = getattr(entry, trigger)
    return None if value == "none" else Severity(value)
