"""What member names and links of archives can do to those who unpack them."""

import posixpath
import re
from collections.abc import Iterator

from garrison.core.facts import Anomaly

_DRIVE = re.compile(r"^[A-Za-z]:")


def name_anomalies(name: str) -> Iterator[Anomaly]:
    """Names that leave the folder they are unpacked to (CWE-22, "zip slip")."""
    plain = name.replace("\\", "/")
    if plain.startswith("/") or _DRIVE.match(plain):
        yield Anomaly(what="path-traversal", detail=f"{name!r} is an absolute path", place=f"member {name}")
    elif ".." in plain.split("/") and escapes(plain):
        yield Anomaly(
            what="path-traversal", detail=f"{name!r} leaves the folder it is unpacked to", place=f"member {name}"
        )
    elif "\0" in name:
        detail = f"{name!r} has a NUL in its name, where some readers end it"
        yield Anomaly(what="path-traversal", detail=detail, place=f"member {name}")


def link_anomalies(name: str, target: str, *, hard: bool = False) -> Iterator[Anomaly]:
    """Links that lead out of the folder they are unpacked to."""
    plain = target.replace("\\", "/")
    kind = "hard link" if hard else "symbolic link"
    # A hard link's target is named from the archive's top, a symbolic link's from its own folder.
    seen = plain if hard else posixpath.join(posixpath.dirname(name.replace("\\", "/")), plain)
    if plain.startswith("/") or _DRIVE.match(plain) or escapes(seen):
        detail = f"{name!r} is a {kind} to {target!r}, outside the archive"
        yield Anomaly(what="escaping-link", detail=detail, place=f"member {name}")


def escapes(path: str) -> bool:
    """Whether a relative path, normalised, begins above where it starts."""
    return posixpath.normpath(path).split("/", 1)[0] == ".."
