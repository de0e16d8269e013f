"""Addresses and names from hostile files, as formats of bills of materials take them."""

import re
from collections.abc import Iterable
from urllib.parse import quote

from garrison.reporting.text import printable

_WEB = re.compile(r"(https?)://([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{1,5})?)(/[^?#]*)?(\?[^#]*)?(#.*)?")
_KEPT = "/:@!$&'()*+,;=~%-._"
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DIGEST = re.compile(r"[0-9a-f]+")
_ALGORITHMS = {
    "md5": (32, "MD5", "md5"),
    "sha1": (40, "SHA-1", "sha1"),
    "sha256": (64, "SHA-256", "sha256"),
    "sha384": (96, "SHA-384", "sha384"),
    "sha512": (128, "SHA-512", "sha512"),
    "sha3-256": (64, "SHA3-256", "sha3_256"),
    "sha3-384": (96, "SHA3-384", "sha3_384"),
    "sha3-512": (128, "SHA3-512", "sha3_512"),
    "blake2b-256": (64, "BLAKE2b-256", "blake2b256"),
    "blake2b-384": (96, "BLAKE2b-384", "blake2b384"),
    "blake2b-512": (128, "BLAKE2b-512", "blake2b512"),
    "blake3": (64, "BLAKE3", "blake3"),
}
"""Digits in hexadecimal, and what CycloneDX and SPDX 3 call it."""


def web_address(text: str) -> str:
    """An address of the web with all that RFC 3986 has no room for encoded; empty where it is none."""
    found = _WEB.fullmatch(text.strip())
    if found is None:
        return ""
    scheme, host, path, query, fragment = found.groups(default="")
    rest = "".join(
        mark + _encoded(part[len(mark) :], f"{_KEPT}?" if mark else _KEPT)
        for mark, part in (("", path), ("?", query), ("#", fragment))
        if part
    )
    return f"{scheme}://{host}{rest}"


def path_address(path: str) -> str:
    """A path as a relative reference."""
    return quote(path.encode("utf-8", "backslashreplace"), safe="/!~'()*-._") or "."


def _encoded(text: str, kept: str) -> str:
    return _ESCAPE.sub("%25", quote(text.encode("utf-8", "backslashreplace"), safe=kept))


def digests(hashes: Iterable[str], form: int) -> list[tuple[str, str]]:
    """Algorithms with digests, of `sha256:…`; `form` is 1 for CycloneDX's names and 2 for SPDX's."""
    found: dict[tuple[str, str], None] = {}
    for one in hashes:
        kind, _, digest = one.partition(":")
        known = _ALGORITHMS.get(kind.lower().replace("sha-", "sha"))
        digest = digest.lower()
        if known is not None and len(digest) == known[0] and _DIGEST.fullmatch(digest):
            found[str(known[form]), digest] = None
    return list(found)


class References:
    """Gives each thing a reference of its own, readable and printable, the same for the same bill."""

    def __init__(self) -> None:
        self._given: dict[tuple[str, str], str] = {}
        self._taken: set[str] = set()

    def of(self, kind: str, key: str) -> str:
        """`subject:models/net.pt`; where two keys look the same when printed, the later one has a number."""
        if (kind, key) not in self._given:
            plain = f"{kind}:{printable(key)}"
            text, number = plain, 1
            while text in self._taken:
                number += 1
                text = f"{plain} #{number}"
            self._taken.add(text)
            self._given[kind, key] = text
        return self._given[kind, key]
