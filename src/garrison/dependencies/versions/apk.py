"""Versions of Alpine's packages, and of those distributions that took its package manager.

Source: Alpine Linux wiki, "APKBUILD Reference", pkgver; apk-tools `src/version.c`.
"""

import re
from typing import Any

from garrison.dependencies.versions.scheme import InvalidVersion, Scheme

_VERSION = re.compile(
    r"(?P<first>[0-9]+)(?P<rest>(?:\.[0-9]+)*)(?P<letter>[a-z]?)"
    r"(?P<suffixes>(?:_(?:alpha|beta|pre|rc|cvs|svn|git|hg|p)[0-9]*)*)(?P<commit>~[0-9a-fA-F]+)?(?:-r(?P<revision>[0-9]+))?",
    re.ASCII,
)
_SUFFIX = re.compile(r"_([a-z]+)([0-9]*)", re.ASCII)
_SUFFIXES = {name: rank for rank, name in enumerate(("alpha", "beta", "pre", "rc", "cvs", "svn", "git", "hg", "p"))}
_FIRST_AFTER = _SUFFIXES["cvs"]
"""Suffixes from here on come after the version, those before it are pre-releases."""
_PRE, _END, _REVISION, _COMMIT, _NUMBER, _POST, _LETTER, _DIGITS = range(8)
"""Where two versions differ in kind, the kind decides."""
_LONGEST = 4000


class Apk(Scheme):
    def _key(self, version: str) -> Any:
        found = _VERSION.fullmatch(version) if len(version) <= _LONGEST else None
        if found is None:
            raise InvalidVersion(f"{version[:80]!r} is no version as apk has them")
        tokens: list[tuple[Any, ...]] = [(_DIGITS, int(found["first"]))]
        tokens += [_digits(digits) for digits in found["rest"].split(".")[1:]]
        if found["letter"]:
            tokens.append((_LETTER, found["letter"]))
        for name, number in _SUFFIX.findall(found["suffixes"]):
            rank = _SUFFIXES[name]
            tokens.append((_POST if rank >= _FIRST_AFTER else _PRE, rank))
            if number:
                tokens.append((_NUMBER, int(number)))
        if found["commit"]:
            tokens.append((_COMMIT, found["commit"]))
        if found["revision"]:
            tokens.append((_REVISION, int(found["revision"])))
        return (*tokens, (_END,))

    def is_prerelease(self, version: str) -> bool:
        return any(token[0] == _PRE for token in self.key(version))


def _digits(digits: str) -> tuple[Any, ...]:
    """Parts with leading zeros are fractions: compared as text, and before all others."""
    return (_DIGITS, 0, digits) if digits[0] == "0" else (_DIGITS, 1, int(digits))
