"""Texts that are addresses: what a server may fetch when it is given one (server-side request forgery).

A text counts as an address if it begins with what some common client would fetch, whatever is put around it to hide
that: white space and control characters that clients strip, letters that Unicode makes others of, backslashes that they
take for slashes. A text in which an address occurs later on, among other words, is none.
"""

import re
import unicodedata
import urllib.parse

_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u00ad\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]+")
"""Clients strip these, wherever they are."""
_SCHEME = re.compile(r"(?:url:)*([a-z][a-z0-9+.-]{1,30}):")
_OPAQUE = frozenset(
    {"data", "file", "javascript", "jar", "netdoc", "phar", "view-source", "blob", "about", "mailto", "tel"}
    | {"local_file"}
    | {"http", "https", "ftp", "ws", "wss"}
)
"""Schemes that need no slashes."""
_LONGEST = 1 << 16
_HTTPS = "https://"


def address_in(text: bytes) -> str:
    """The address that a text begins with, as a client would read it; empty for texts that are none."""
    if b":" not in text and b"/" not in text and b"\\" not in text and text.isascii():
        return ""
    plain = unicodedata.normalize("NFKC", text[:_LONGEST].decode("utf-8", "replace"))
    packed = _UNSEEN.sub("", plain).strip().replace("\\", "/")
    if packed.startswith("//"):
        return packed if packed[2:3].strip("/ ") else ""
    found = _SCHEME.match(packed.lower())
    if found is None:
        return ""
    rest = packed[found.end() :]
    if rest.startswith("/") or (found[1] in _OPAQUE and rest.strip() and not rest.startswith(" ")):
        return packed
    return ""


def allowed(address: str, hosts: tuple[str, ...]) -> bool:
    """Whether an address is an ordinary one of a host that was named."""
    if not address.startswith(_HTTPS) or not address.isascii():
        return False
    try:
        parts = urllib.parse.urlsplit(address)
        return parts.hostname in hosts and parts.netloc == parts.hostname
    except ValueError:
        return False
