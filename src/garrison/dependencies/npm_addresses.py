"""Where packages of npm come from, as npm, pnpm and yarn write it into their locks.

Source: npm documentation, "package-lock.json" and "package spec"; the Subresource Integrity recommendation.
"""

import re

from garrison.dependencies.locked import DEFAULT, Origin

_REGISTRY = re.compile(r"https://registry\.(?:npmjs\.org|yarnpkg\.com)(?:/|$)", re.IGNORECASE)
_LAYOUT = re.compile(r"(https?://.*?)/(?:@[^/?#]+/|%40[^/?#]+%2[Ff])?[^/?#@]+/-/")
_GIT = re.compile(r"(?:git(?:\+\w+)?|ssh):|git@|github:|gitlab:|bitbucket:|gist:")
_SHORT = {"github": "github.com", "gitlab": "gitlab.com", "bitbucket": "bitbucket.org", "gist": "gist.github.com"}
_INTEGRITY = re.compile(r"(sha1|sha256|sha384|sha512)-([A-Za-z0-9+/]+={0,2})")
_SHA1 = re.compile(r"[0-9a-f]{40}")


def origin(address: str) -> Origin:
    """Where an address leads, the default registry and its own mirror apart."""
    if not address or _REGISTRY.match(address):
        return DEFAULT
    kind, _, rest = address.partition(":")
    if kind in _SHORT:
        return Origin("vcs", f"git+https://{_SHORT[kind]}/{rest}")
    if _GIT.match(address):
        plain = address if address.startswith(("git+", "git@")) else f"git+{address}"
        return Origin("vcs", plain)
    if address.startswith(("http://", "https://")):
        layout = _LAYOUT.match(address)
        return Origin("index", layout[1]) if layout else Origin("url", address)
    return Origin("path", re.sub(r"^(?:file|link|portal|workspace):", "", address) or ".")


def integrity(text: str) -> list[str]:
    """Digests in hexadecimal, as every other lock has them."""
    from base64 import b64decode

    found: list[str] = []
    for kind, encoded in _INTEGRITY.findall(text):
        try:
            found.append(f"{kind}:{b64decode(encoded, validate=True).hex()}")
        except ValueError:
            continue
    return found


def fragment_hash(address: str) -> list[str]:
    """The SHA-1 that yarn puts behind an address."""
    fragment = address.partition("#")[2]
    return [f"sha1:{fragment}"] if _SHA1.fullmatch(fragment) and address.startswith("http") else []


def alias(specifier: str) -> str:
    """The real name behind `npm:name@range`, if it is one; `npm:latest` and `npm:^1` are ranges of later Yarn."""
    at = specifier.find("@", 5)
    return specifier[4:at] if specifier.startswith("npm:") and at > 0 else ""
