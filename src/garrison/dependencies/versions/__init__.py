"""The order of versions, exactly as each ecosystem's own tool has it."""

import functools
import importlib

from garrison.dependencies.versions.scheme import InvalidVersion, Scheme, UnknownEcosystem

__all__ = ["InvalidVersion", "Scheme", "UnknownEcosystem", "scheme"]

_SCHEMES = {
    "PyPI": "pep440:Pep440",
    "npm": "semver:Npm",
    "crates.io": "semver:SemVer",
    "Go": "go:Go",
    "Debian": "dpkg:Dpkg",
    "Ubuntu": "dpkg:Dpkg",
    "Echo": "dpkg:Dpkg",
    "Alpine": "apk:Apk",
    "Wolfi": "apk:Apk",
    "MinimOS": "apk:Apk",
    "Chainguard": "apk:Apk",
    "Alpaquita": "apk:Apk",
    "AlmaLinux": "rpm:Rpm",
    "Amazon Linux": "rpm:Rpm",
    "Azure Linux": "rpm:Rpm",
    "Fedora": "rpm:Rpm",
    "Mageia": "rpm:Rpm",
    "openEuler": "rpm:Rpm",
    "openSUSE": "rpm:Rpm",
    "Oracle Linux": "rpm:Rpm",
    "Photon OS": "rpm:Rpm",
    "Red Hat": "rpm:Rpm",
    "Rocky Linux": "rpm:Rpm",
    "SUSE": "rpm:Rpm",
}


def scheme(ecosystem: str) -> Scheme:
    """The scheme of an ecosystem as OSV names it, with or without a release: `PyPI`, `Debian:12`.

    Raises `UnknownEcosystem` for one whose order of versions is not known here.
    """
    found = _SCHEMES.get(ecosystem.partition(":")[0])
    if found is None:
        raise UnknownEcosystem(f"no order of versions is known for {ecosystem!r}")
    return _load(found)


@functools.cache
def _load(name: str) -> Scheme:
    module, _, attribute = name.partition(":")
    made: Scheme = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)()
    return made
