"""Versions of npm's and Cargo's packages.

Source: Semantic Versioning 2.0.0; node-semver's README for the prefixes that npm takes.
"""

import re
from typing import Any

from garrison.dependencies.versions.scheme import InvalidVersion, Scheme

_NUMBER = "(?:0|[1-9][0-9]{0,30})"
_VERSION = re.compile(
    rf"(?P<release>{_NUMBER}(?:\.{_NUMBER}){{0,2}})"
    r"(?:-(?P<pre>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)
_LONGEST = 256
"""As node-semver has it."""


class SemVer(Scheme):
    """Parts that are missing count as 0, since advisories leave them out."""

    prefix = ""
    """Characters that may stand before the version."""

    def _key(self, version: str) -> Any:
        found = self._match(version)
        release = [int(part) for part in found["release"].split(".")]
        release += [0] * (3 - len(release))
        pre = found["pre"]
        if pre is None:
            return (*release, 1, ())
        return (*release, 0, tuple(map(self._identifier, pre.split("."))))

    def is_prerelease(self, version: str) -> bool:
        return self._match(version)["pre"] is not None

    def _match(self, version: str) -> re.Match[str]:
        plain = version.strip().lstrip(self.prefix) if self.prefix else version
        found = _VERSION.fullmatch(plain) if len(version) <= _LONGEST else None
        if found is None:
            raise InvalidVersion(f"{version[:80]!r} is no semantic version")
        return found

    def _identifier(self, text: str) -> tuple[int, int, str]:
        """Numbers come before words."""
        if not text.isdigit():
            return 1, 0, text
        if len(text) > 1 and text[0] == "0":
            raise InvalidVersion(f"a pre-release {text!r} with a leading zero is no semantic version")
        return 0, int(text), ""


class Npm(SemVer):
    prefix = "v= "
