"""What packages and models say of their licence, as SPDX expressions, and whether a policy allows that.

Source: SPDX specification 2.3, annex D "SPDX license expressions"; PEP 639; the trove classifiers of PyPI.
"""

import fnmatch
import functools
import os
import re
from collections.abc import Iterable, Sequence

import msgspec

_FILE = os.path.join(os.path.dirname(__file__), "knowledge", "licences.json")
_CLASSIFIER = "License :: "
_NOISE = re.compile(r"\b(?:the|licen[cs]es?|licen[cs]ed|under)\b|[,;\"']", re.IGNORECASE)
_TOKEN = re.compile(r"\(|\)|[^\s()]+")
_CHOICES = 256
_LONGEST = 400


class _Models(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str
    names: tuple[str, ...]


class _Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    classifiers: dict[str, str]
    texts: dict[str, str]
    models: _Models


@functools.cache
def _known() -> _Known:
    with open(_FILE, "rb") as file:
        return msgspec.json.decode(file.read(), type=_Known)


@functools.cache
def _models() -> dict[str, str]:
    return {name.lower(): f"LicenseRef-{re.sub(r'[^A-Za-z0-9.-]', '-', name)}" for name in _known().models.names}


@functools.lru_cache(maxsize=4096)
def expression(text: str) -> str:
    """The SPDX expression that a statement stands for; empty where it is not known to stand for one."""
    text = " ".join(text.split())[:_LONGEST]
    if text.startswith(_CLASSIFIER):
        last = text.rpartition(" :: ")[2]
        return _known().classifiers.get(last, "")
    if text.lower() in _models():
        return _models()[text.lower()]
    said = _known().texts.get(text.lower())
    if said is None:
        plain = " ".join(_NOISE.sub(" ", text).lower().split())
        said = _known().texts.get(plain)
    return said if said is not None else _canonical(text)


def _canonical(text: str) -> str:
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        return canonicalize_license_expression(text)
    except (InvalidLicenseExpression, RecursionError, ValueError):
        return ""


def stated(statements: Iterable[str]) -> tuple[str, ...]:
    """The expressions that a package states, any of which may be meant: the first text that is one, or its classifiers.

    Several classifiers are alternatives, as packages under two licences have one for each.
    """
    classifiers: dict[str, None] = {}
    for one in statements:
        found = expression(one)
        if found and not one.startswith(_CLASSIFIER):
            return (found,)
        if found:
            classifiers[found] = None
    return tuple(classifiers)


@functools.lru_cache(maxsize=4096)
def choices(text: str) -> tuple[frozenset[str], ...]:
    """The ways in which a canonical expression can be met, each as the licences that count then.

    An exception is a licence of its own name beside the one that it belongs to: `GPL-2.0-only WITH Classpath-…`.
    """
    tokens = _TOKEN.findall(text)
    found, rest = _any(tokens, 0)
    return tuple(found) if rest == len(tokens) else ()


def _any(tokens: Sequence[str], at: int) -> tuple[list[frozenset[str]], int]:
    found, at = _all(tokens, at)
    while at < len(tokens) and tokens[at].upper() == "OR":
        more, at = _all(tokens, at + 1)
        found = (found + more)[:_CHOICES]
    return found, at


def _all(tokens: Sequence[str], at: int) -> tuple[list[frozenset[str]], int]:
    found, at = _one(tokens, at)
    while at < len(tokens) and tokens[at].upper() == "AND":
        more, at = _one(tokens, at + 1)
        found = [left | right for left in found for right in more][:_CHOICES]
    return found, at


def _one(tokens: Sequence[str], at: int) -> tuple[list[frozenset[str]], int]:
    if at >= len(tokens):
        return [], at
    if tokens[at] == "(":
        found, at = _any(tokens, at + 1)
        return found, at + 1
    name = tokens[at]
    if at + 2 < len(tokens) and tokens[at + 1].upper() == "WITH":
        return [frozenset({f"{name} WITH {tokens[at + 2]}"})], at + 3
    return [frozenset({name})], at + 1


def matches(licence: str, patterns: Iterable[str]) -> bool:
    """Whether a policy means this licence: by its identifier, with or without `-only` and `-or-later`."""
    base = licence.partition(" WITH ")[0].lower()
    names = {licence.lower(), base, base.removeprefix("licenseref-")}
    names |= {name.removesuffix("+").removesuffix("-only").removesuffix("-or-later") for name in [base]}
    return any(fnmatch.fnmatchcase(name, pattern.lower()) for pattern in patterns for name in names)


def allowed(text: str, allowed_licences: Sequence[str], denied_licences: Sequence[str]) -> bool:
    """Whether some way to meet a canonical expression has no denied licence, and only allowed ones if any are named."""
    return any(
        not any(matches(one, denied_licences) for one in choice)
        and (not allowed_licences or all(matches(one, allowed_licences) for one in choice))
        for choice in choices(text)
    )
