"""One requirement of a Python package, as manifests and requirements files write it.

Source: PEP 508 and the "Dependency specifiers" specification; pip's `req/constructors.py` for paths and addresses.
"""

import re

import msgspec

from garrison.core.facts import Requirement

LONGEST = 1 << 14
"""Characters of one requirement; the longest real ones have a few hundred."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\b")
"""As the library `packaging` has it, which lets a name end in `_`."""
_NAME = re.compile(rf"\s*({NAME.pattern})\s*(?:\[([^\[\]]*)\])?\s*")
_VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")
_LOCATION = re.compile(r"^(?:(?:git|hg|svn|bzr)\+)?[A-Za-z][A-Za-z0-9+.\-]{0,30}://|^git@|^file:", re.IGNORECASE)
_DRIVE = re.compile(r"^[A-Za-z]:[\\/]")
_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tbz", ".tar.xz", ".txz", ".tlz", ".tar.lzma")
_EGG = re.compile(r"[#&]egg=([^&]*)")
_EGG_NAME = re.compile(rf"({NAME.pattern})(?:\[([^\[\]]*)\])?")
_WHEEL = re.compile(r"^([A-Za-z0-9._]+)-([A-Za-z0-9.!+_]+)(?:-\d[^-]*)?-[^-]+-[^-]+-[^-]+\.whl$")
_SDIST = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)-(v?\d[A-Za-z0-9.!+_]*)")
_RUN = re.compile(r"[-_.]+")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*@")


class InvalidRequirement(ValueError):
    """What Python's installers refuse to read."""


class Parsed(msgspec.Struct, frozen=True):
    """The parts as written."""

    name: str
    extras: tuple[str, ...] = ()
    specifier: str = ""
    source: str = ""
    marker: str = ""


def normalised(name: str) -> str:
    """Names that PyPI takes for the same: PEP 503."""
    return _RUN.sub("-", name).lower()


def public(address: str) -> str:
    """The address without the password that it may hold: reports are read by more people than manifests."""
    return _CREDENTIALS.sub("***@", address)


def parse(text: str) -> Parsed:
    """The parts of `name[extra] >=1,<2 ; marker` or `name @ url ; marker`. Raises `InvalidRequirement`.

    An environment variable, which pip puts in when it reads a file, may stand for any part of a version.
    """
    from packaging import requirements

    if len(text) > LONGEST:
        raise InvalidRequirement(f"longer than {LONGEST} characters")
    try:
        whole = requirements.Requirement(_VARIABLE.sub("0", text))
    except (requirements.InvalidRequirement, RecursionError) as error:
        raise InvalidRequirement(str(error).splitlines()[0]) from None
    named = _NAME.match(text)
    if named is None:
        raise InvalidRequirement("its name comes from an environment variable")
    rest = text[named.end() :]
    if whole.url is not None:
        source, marker = _address(rest[1:])
        return Parsed(named[1], tuple(sorted(whole.extras)), file_pin(source, named[1]), source, marker)
    specifier, _, marker = rest.partition(";")
    specifier = specifier.strip()
    if specifier.startswith("("):
        specifier = specifier[1:].rstrip().removesuffix(")").strip()
    return Parsed(named[1], tuple(sorted(whole.extras)), specifier, "", marker.strip())


def _address(text: str) -> tuple[str, str]:
    """An address ends at the first blank; a marker may follow."""
    parts = text.strip().split(maxsplit=1)
    return parts[0], parts[1].lstrip("; ").strip() if len(parts) > 1 else ""


def is_location(text: str) -> bool:
    """Whether pip takes it for an address or a path and not for a name."""
    if _LOCATION.match(text) or text.startswith((".", "/", "~/", "\\")) or _DRIVE.match(text):
        return True
    plain = text.split("[")[0].rstrip().lower()
    return plain.endswith(_ARCHIVES) and "@" not in plain


def located(text: str) -> Parsed:
    """A package by its address or path alone: `./numpy-1.9.2-cp34-none-win32.whl`, `git+https://…#egg=name`."""
    location, _, marker = text.partition("; ") if _LOCATION.match(text) else text.partition(";")
    location = location.strip()
    extras: tuple[str, ...] = ()
    if location.endswith("]") and "[" in location and not _LOCATION.match(location):
        location, _, inside = location[:-1].rpartition("[")
        extras = _extras(inside)
    file = named_by_file(location)
    name = file[0] if file else location
    egg = _EGG.search(location)
    if egg:
        named = _EGG_NAME.fullmatch(egg[1])
        if named is None:
            raise InvalidRequirement(f"its address names no package: {egg[1][:80]!r}")
        name, extras = named[1], _extras(named[2] or "")
    return Parsed(name, extras, file_pin(location, name), location, _valid(marker.strip()))


def _extras(text: str) -> tuple[str, ...]:
    return tuple(sorted(part.strip() for part in text.split(",") if part.strip()))


def _valid(marker: str) -> str:
    """The marker, where it is one."""
    from packaging.markers import InvalidMarker, Marker

    try:
        if marker:
            Marker(marker)
    except (InvalidMarker, RecursionError) as error:
        raise InvalidRequirement(str(error).splitlines()[0]) from None
    return marker


def file_pin(location: str, name: str) -> str:
    """The exact version that a file's name states, as a specifier; empty where it states none."""
    named = named_by_file(location)
    if named and (normalised(named[0]) == normalised(name) or _file_name(location).endswith(".whl")):
        return f"=={named[1]}"
    return ""


def named_by_file(location: str) -> tuple[str, str] | None:
    """The package and the version that the name of a wheel or an sdist states."""
    file = _file_name(location)
    found = _WHEEL.match(file)
    if found is None:
        ending = next((one for one in _ARCHIVES if file.lower().endswith(one)), "")
        found = _SDIST.fullmatch(file[: -len(ending)]) if ending else None
    return (found[1], found[2].replace("_", "-")) if found else None


def _file_name(location: str) -> str:
    from urllib.parse import unquote

    if location.startswith(("git+", "hg+", "svn+", "bzr+")):
        return ""
    return unquote(location.partition("#")[0].partition("?")[0].replace("\\", "/").rpartition("/")[2])[:300]


def fact(
    text: str, place: str, *, group: str = "", hashes: tuple[str, ...] = (), constraint: bool = False
) -> Requirement:
    """What a line asks for. Raises `InvalidRequirement`."""
    parsed = located(text) if is_location(text) else parse(text)
    return Requirement(
        ecosystem="pypi",
        name=public(parsed.name),
        specifier=parsed.specifier,
        source=public(parsed.source),
        extras=parsed.extras,
        marker=parsed.marker,
        group=group,
        hashes=hashes,
        constraint=constraint,
        place=place,
    )


def salvaged(text: str, place: str, *, group: str = "", constraint: bool = False) -> Requirement | None:
    """What a refused line seems to mean, so that its name is judged all the same."""
    named = _NAME.match(text[:300])
    if named is None or len(named[1]) > 100:
        return None
    rest, _, marker = text[named.end() :].partition(";")
    rest = rest.strip()
    if rest and rest[0] not in "=<>!~@^(":
        return None
    return Requirement(
        ecosystem="pypi",
        name=named[1],
        specifier=rest[:200],
        marker=marker.strip()[:200],
        group=group,
        constraint=constraint,
        place=place,
    )
