"""What the place of a package's own description tells: whether it is installed, packed, or carried inside another.

Source: the packaging user guide, "Recording installed projects", "Binary distribution format" and "Source distribution
format"; npm's "package.json" and `npm pack`.
"""

from typing import Literal

_PREFIXES = frozenset({"site-packages", "dist-packages"})
_VENDORS = frozenset({"_vendor", "_vendored", "vendor", "vendored", "third_party", "_vendored_packages", "externals"})
State = Literal["installed", "archive"]


def folders(subject: str) -> list[str]:
    """The folders above a subject inside its innermost container, outermost first."""
    return subject.rpartition("!/")[2].split("/")[:-1]


def python_package(subject: str) -> tuple[State, str]:
    """How a core metadata file's package is there, and the package that carries it along, if one does.

    At the top of an archive it is a wheel's, beside the top of a source archive an sdist's; else it is installed.
    """
    above = folders(subject)
    container = subject.rpartition("!/")[0]
    carrier = _carrier(above)
    if not _PREFIXES.isdisjoint(above):
        return "installed", carrier
    own = above[-1] if above else ""
    if not own.endswith((".dist-info", "EGG-INFO")):
        return "archive", carrier
    packed = bool(container) and (len(above) == 1 or bool(carrier) or container.endswith((".whl", ".egg")))
    return ("archive" if packed else "installed"), carrier


def _carrier(above: list[str]) -> str:
    """The top folder of the package that a description lies deep inside of; empty where it lies at the top."""
    outside = above[:-1]
    for index in range(len(outside) - 1, -1, -1):
        if outside[index] in _PREFIXES:
            below = outside[index + 1 :]
            return "" if not below or (len(below) == 1 and below[0].endswith(".egg")) else below[0]
    vendor = next((index for index, part in enumerate(outside) if part in _VENDORS), -1)
    return (outside[vendor - 1] if vendor else outside[0]) if vendor >= 0 else ""


def npm_package(subject: str) -> State | None:
    """How a `package.json`'s package is there; `None` for a project's own, which is neither installed nor packed."""
    above = folders(subject)
    scope = len(above) > 2 and above[-2].startswith("@")
    if len(above) > 1 and above[-3 if scope else -2] == "node_modules":
        return "installed"
    return "archive" if "!/" in subject and above == ["package"] else None
