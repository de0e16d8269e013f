"""Versions of Go's modules, and of Go itself.

Source: Go Modules Reference, "Versions" and "Pseudo-versions"; `go/version` for Go's own (`go1.21rc2`).
"""

import re
from typing import Any

from garrison.dependencies.versions.semver import SemVer

_TOOLCHAIN = re.compile(r"(?:go)?([0-9]+\.[0-9]+(?:\.[0-9]+)?)(?:(beta|rc)([0-9]+))?", re.ASCII)


class Go(SemVer):
    """Pseudo-versions are pre-releases, and `+incompatible` is build metadata: semantic versioning orders both."""

    prefix = "v"

    def _key(self, version: str) -> Any:
        return super()._key(_plain(version))

    def is_prerelease(self, version: str) -> bool:
        return super().is_prerelease(_plain(version))


def _plain(version: str) -> str:
    """Go's own versions in the form that its advisories have: `go1.21rc2` is 1.21.0-rc.2."""
    found = _TOOLCHAIN.fullmatch(version)
    if found is None or (not version.startswith("go") and not found[2]):
        return version
    return f"{found[1]}{'.0' if found[1].count('.') == 1 else ''}{f'-{found[2]}.{found[3]}' if found[2] else ''}"
