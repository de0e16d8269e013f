"""Versions of RPM packages.

Source: rpm-version(7); rpm `rpmio/rpmvercmp.c` and `lib/rpmver.c`.
"""

import re
from typing import Any

from garrison.dependencies.versions.scheme import InvalidVersion, Scheme

_TOKEN = re.compile(r"[0-9]+|[A-Za-z]+|~|\^", re.ASCII)
_TILDE, _END, _CARET, _LETTERS, _DIGITS = range(5)
"""Where two versions differ in kind, the kind decides."""
_LONGEST = 4000


class Rpm(Scheme):
    def _key(self, version: str) -> Any:
        version = version.strip()
        if not version or len(version) > _LONGEST or re.search(r"\s", version):
            raise InvalidVersion(f"{version[:80]!r} is no version as RPM has them")
        epoch, colon, rest = version.partition(":")
        if not colon or not re.fullmatch(r"[0-9]*", epoch, re.ASCII):
            epoch, rest = "0", version
        number, dash, release = rest.rpartition("-")
        if not dash:
            number, release = rest, ""
        if not number:
            raise InvalidVersion(f"{version!r} has no version before its release")
        return int(epoch or 0), _part(number), _part(release) if dash else ()


def _part(text: str) -> tuple[Any, ...]:
    return (*map(_token, _TOKEN.findall(text)), (_END,))


def _token(token: str) -> tuple[Any, ...]:
    if token == "~":
        return (_TILDE,)
    if token == "^":
        return (_CARET,)
    return (_DIGITS, int(token)) if token.isdigit() else (_LETTERS, token)
