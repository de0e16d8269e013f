"""Versions of Debian's and Ubuntu's packages.

Source: deb-version(7); dpkg `lib/dpkg/version.c` and `parsehelp.c`.
"""

import re
from typing import Any

from garrison.dependencies.versions.scheme import InvalidVersion, Scheme

_PAIR = re.compile(r"([^0-9]*)([0-9]*)", re.ASCII)
_LONGEST = 4000
"""Digits: what Python turns into a number at once."""


class Dpkg(Scheme):
    def _key(self, version: str) -> Any:
        """Characters that dpkg only warns of are compared as it does."""
        version = version.strip()
        if not version or len(version) > _LONGEST or re.search(r"\s", version):
            raise InvalidVersion(f"{version[:80]!r} is no version as dpkg has them")
        epoch, colon, rest = version.partition(":")
        if not colon:
            epoch, rest = "0", version
        if not re.fullmatch(r"[0-9]{1,9}", epoch, re.ASCII) or not rest:
            raise InvalidVersion(f"{version!r} has no epoch that dpkg takes")
        upstream, dash, revision = rest.rpartition("-")
        if not dash:
            upstream, revision = rest, ""
        elif not revision or not upstream:
            raise InvalidVersion(f"{version!r} has a dash and nothing on one side of it")
        return int(epoch), _part(upstream), _part(revision)


def _part(text: str) -> tuple[Any, ...]:
    """Text and numbers in turn; the last match is empty, and stands for the end."""
    found: list[Any] = []
    for letters, digits in _PAIR.findall(text or "0"):
        # The end of the letters sorts after a tilde, before everything else.
        found += (*map(_order, letters), 0), int(digits or 0)
    return tuple(found)


def _order(letter: str) -> int:
    if letter == "~":
        return -1
    return ord(letter) if letter.isascii() and letter.isalpha() else ord(letter) + 256
