"""Headers of RPM packages, as its databases keep them, whatever stores them.

Source: rpm documentation, "RPM V4 header format" and "RPM tags": a count of entries, the store's length, entries of
16 bytes (tag, type, offset, count, big endian) and the store.
"""

import re
import struct

from garrison.core.errors import Malformed
from garrison.core.facts import Package
from garrison.dependencies.purl import purl

_TAGS = {
    1000: "name",
    1001: "version",
    1002: "release",
    1003: "epoch",
    1011: "vendor",
    1014: "licence",
    1022: "architecture",
    1044: "source",
}
_INTEGER, _STRING, _STRINGS, _TRANSLATED = 4, 6, 8, 9
_MOST_ENTRIES = 1 << 16
_LONGEST = 4096
_PLAIN = re.compile(r"[^\s/\x00-\x1f]+").fullmatch
_SOURCE = re.compile(r"(.+)-([^-]+-[^-]+)\.(?:no)?src\.rpm").fullmatch
_VENDORS = (
    ("fedora", "fedora"),
    ("red hat", "redhat"),
    ("centos", "centos"),
    ("rocky", "rocky"),
    ("almalinux", "almalinux"),
    ("oracle", "oracle"),
    ("amazon", "amazon"),
    ("suse", "suse"),
    ("microsoft", "azurelinux"),
    ("openeuler", "openeuler"),
    ("mageia", "mageia"),
    ("vmware", "photon"),
)
"""What the vendor that a header names begins with or holds, and the namespace that package URLs give it."""


def fields(header: bytes) -> dict[str, str]:
    """The fields that tell about versions. Raises `Malformed` where an entry leaves the header."""
    if len(header) < 8:
        raise Malformed("a package's header breaks off")
    entries, length = struct.unpack_from(">II", header)
    start = 8 + 16 * entries
    if not 0 < entries <= _MOST_ENTRIES or start + length > len(header):
        raise Malformed(f"a package's header claims {entries} entries and {length} bytes in {len(header)}")
    found: dict[str, str] = {}
    for number in range(entries):
        tag, kind, offset, count = struct.unpack_from(">IIII", header, 8 + 16 * number)
        field = _TAGS.get(tag)
        if field is not None and field not in found and count:
            found[field] = _value(header, kind, start + offset, start + length)
    return found


def _value(header: bytes, kind: int, start: int, end: int) -> str:
    if kind == _INTEGER and start + 4 <= end:
        return str(int.from_bytes(header[start : start + 4], "big"))
    if kind in (_STRING, _STRINGS, _TRANSLATED) and start < end:
        stop = header.find(b"\0", start, min(end, start + _LONGEST))
        if stop >= 0:
            return header[start:stop].decode("utf-8", "replace")
    raise Malformed("an entry of a package's header lies outside of it")


def package(found: dict[str, str], place: str, distribution: str = "") -> Package:
    """The package of a header. `distribution` is `rhel:9` or so. Raises `Malformed` where it names none."""
    name, version, release = (found.get(field, "") for field in ("name", "version", "release"))
    if not (_PLAIN(name) and _PLAIN(version) and _PLAIN(release)):
        raise Malformed("a package's header has no name or no version")
    epoch = found.get("epoch", "0")
    prefix = f"{epoch}:" if epoch != "0" else ""
    source = _SOURCE(found.get("source", ""))
    qualifiers = {
        "arch": found.get("architecture", ""),
        "epoch": epoch if prefix else "",
        "distro": distribution.replace(":", "-"),
    }
    return Package(
        purl=purl("rpm", name, f"{version}-{release}", _namespace(found, distribution), qualifiers),
        ecosystem="rpm",
        name=name,
        version=f"{prefix}{version}-{release}",
        state="installed",
        distribution=distribution,
        source_name=source[1] if source and source[1] != name else "",
        source_version=source[2] if source and source[2] != f"{version}-{release}" else "",
        licences=(found["licence"],) if found.get("licence") else (),
        place=place,
    )


def _namespace(found: dict[str, str], distribution: str) -> str:
    vendor = found.get("vendor", "").lower()
    said = next((name for sign, name in _VENDORS if sign in vendor), "")
    return said or distribution.partition(":")[0]


def is_key(found: dict[str, str]) -> bool:
    """Whether it is no package but a key that rpm trusts, which it keeps like one."""
    return found.get("name") == "gpg-pubkey"
