"""References to images in registries: `docker://python:3.12`, `oci://registry.example/team/model@sha256:…`.

Source: the distribution project's `reference` grammar; Docker's defaults for what is left out.
"""

import re

import msgspec

from garrison.core.errors import UsageError
from garrison.sources.oci.documents import is_digest

SCHEMES = ("docker://", "oci://")
_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"\w[\w.\-]{0,127}", re.ASCII)
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.\-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::\d{1,5})?")
_HUB = "docker.io"
_HUB_HOST = "registry-1.docker.io"


class Reference(msgspec.Struct, frozen=True):
    registry: str
    """Host, and port if one is given."""
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def host(self) -> str:
        """The host that answers for the registry."""
        return _HUB_HOST if self.registry == _HUB else self.registry

    @property
    def wanted(self) -> str:
        """What the manifest is asked for by; a digest counts more than a tag."""
        return self.digest or self.tag


def parse(text: str) -> Reference:
    """Take a reference apart. Raises `UsageError`."""
    rest = text
    for scheme in SCHEMES:
        rest = rest.removeprefix(scheme)
    rest, _, digest = rest.partition("@")
    if digest and not is_digest(digest):
        raise UsageError(f"{text}: {digest!r} is no digest, which looks like sha256: and 64 hexadecimal digits")
    first, slash, others = rest.partition("/")
    registry = first if slash and ("." in first or ":" in first or first == "localhost") else _HUB
    path = others if registry == first else rest
    path, colon, tag = path.partition(":")
    if registry == _HUB and "/" not in path:
        path = f"library/{path}"
    if not _HOST.fullmatch(registry) or not _REPOSITORY.fullmatch(path) or len(path) > 255:
        raise UsageError(f"{text}: no reference to an image, which looks like docker://registry/repository:tag")
    if colon and not _TAG.fullmatch(tag):
        raise UsageError(f"{text}: {tag!r} is no tag")
    return Reference(registry, path, tag or ("" if digest else "latest"), digest)
