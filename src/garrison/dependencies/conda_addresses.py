"""Addresses of conda packages: channel, platform, name, version and build are all in them.

Source: conda "Package naming conventions" and the CEPs on explicit environment files; the package URL type `conda`.
"""

import re

import msgspec

from garrison.dependencies.locked import DEFAULT, Origin

_ADDRESS = re.compile(
    r"(?P<channel>[A-Za-z][\w+.\-]*://(?:[^/@]*@)?[^/]*(?:/[^/]+)*?)/(?P<subdir>noarch|[a-z]+-[a-z0-9_]+)/"
    r"(?P<name>[^/]+)-(?P<version>[^-/]+)-(?P<build>[^-/]+)\.(?P<type>conda|tar\.bz2)(?:#(?P<digest>.*))?"
)
_KNOWN = re.compile(
    r"https://(?:conda\.anaconda\.org|repo\.anaconda\.com|(?:repo\.|fast\.)?prefix\.dev|conda\.modular\.com)(?:/|$)"
)
_TOKEN = re.compile(r"/t/[^/]+")


class CondaFile(msgspec.Struct, frozen=True):
    """What an address tells."""

    name: str
    version: str
    origin: Origin
    qualifiers: dict[str, str]
    hashes: tuple[str, ...]


def read(address: str) -> CondaFile | None:
    """The package behind an address, unless it is none of a conda package."""
    found = _ADDRESS.fullmatch(address.strip())
    if found is None:
        return None
    channel = _TOKEN.sub("", found["channel"])
    return CondaFile(
        name=found["name"],
        version=found["version"],
        origin=DEFAULT if _KNOWN.match(channel) else Origin("index", channel),
        qualifiers={
            "build": found["build"],
            "channel": re.sub(r"^https://conda\.anaconda\.org/", "", channel),
            "subdir": found["subdir"],
            "type": found["type"],
        },
        hashes=_digest(found["digest"] or ""),
    )


def _digest(fragment: str) -> tuple[str, ...]:
    """MD5 as conda writes it, or another with its name."""
    if re.fullmatch(r"[0-9a-fA-F]{32}", fragment):
        return (f"md5:{fragment.lower()}",)
    named = re.fullmatch(r"(?:sha256:)?([0-9a-fA-F]{64})", fragment)
    return (f"sha256:{named[1].lower()}",) if named else ()
