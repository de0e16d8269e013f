"""Lines of pip's requirements files, wherever they stand: in files of their own, in conda environments, in manifests.

Source: pip's "Requirements File Format" and `pip/_internal/req/req_file.py`; PEP 508.
"""

import re
from collections.abc import Iterable

from garrison.core.facts import Reference, Requirement
from garrison.sources.source import Extracted

_NAME = re.compile(r"^([A-Za-z0-9](?:[\w.\-]*[A-Za-z0-9])?)\s*(\[[\w.,\s\-]*\])?\s*(.*)$", re.DOTALL)
_SPECIFIER = re.compile(
    r"^\(?\s*(?:===?|~=|!=|<=|>=|<|>)\s*[\w.*+!\-]+\s*(?:,\s*(?:===?|~=|!=|<=|>=|<|>)\s*[\w.*+!\-]+\s*)*,?\)?$"
)
_OPTION = re.compile(r"^(--?[A-Za-z][\w\-]*)(?:\s*=\s*|\s+)?(.*)$", re.DOTALL)
_LOCATION = re.compile(r"^(?:(?:git|hg|svn|bzr)\+)?[A-Za-z][A-Za-z0-9+.\-]*://|^git@|^file:")
_PAGE = re.compile(r"^https?://\S+$")
_PACKAGE = re.compile(r"\.(?:whl|zip|egg|git|tar|tgz|tar\.\w+)(?=$|[#?@&/])|[#&]egg=", re.IGNORECASE)
_INDEXES = {
    "-i": "--index-url",
    "--index-url": "--index-url",
    "--pypi-url": "--index-url",
    "--extra-index-url": "--extra-index-url",
    "-f": "--find-links",
    "--find-links": "--find-links",
    "--trusted-host": "--trusted-host",
}
_FILES = frozenset({"-r", "--requirement", "-c", "--constraint"})
_EDITABLE = ("-e", "--editable")
_KNOWN = frozenset({*_INDEXES, *_FILES, *_EDITABLE, "--no-index", "--pre", "--prefer-binary", "--require-hashes"}) | {
    "--no-binary",
    "--only-binary",
    "--use-feature",
    "--hash",
    "--global-option",
    "--config-settings",
    "--no-deps",
}
_SHORT = re.compile(r"^(-[ifrce])(?=[^\s=-])(.*)$")


def logical_lines(text: str) -> list[tuple[int, str]]:
    """Lines with their numbers, joined where they end in a backslash, without comments."""
    found: list[tuple[int, str]] = []
    pending, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        start = start or number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            pending += line[:-1]
            continue
        whole = re.sub(r"(?:^|\s)#.*$", "", pending + line).strip()
        if whole:
            found.append((start, whole))
        pending, start = "", 0
    if pending.strip():
        found.append((start, pending.strip()))
    return found


def is_requirement(line: str) -> bool:
    """Whether pip would take the line for a requirement that names more than a word, or for an option."""
    option = _OPTION.match(_spaced(line))
    if option and line.startswith("-"):
        return option[1] in _KNOWN
    if _LOCATION.match(line):
        return True
    plain = line.split(";")[0].split(" --")[0].strip()
    named = _NAME.match(plain)
    if not named:
        return False
    rest = named[3].strip()
    return not rest or rest.startswith("@") or bool(_SPECIFIER.match(rest))


def is_bare_word(line: str) -> bool:
    """Whether the line is a name and nothing else, which any list of words could hold."""
    named = _NAME.match(line)
    return bool(named and not named[2] and not named[3].strip())


def is_bare_address(line: str) -> bool:
    """Whether the line is the address of a page, as any list of links has: none of a package or a repository."""
    return bool(_PAGE.match(line)) and not _PACKAGE.search(line)


def _spaced(line: str) -> str:
    short = _SHORT.match(line)
    return f"{short[1]} {short[2]}" if short else line


def facts(lines: Iterable[tuple[int, str]], where: str = "line") -> Extracted:
    """What the lines ask for."""
    for number, line in lines:
        place = f"{where} {number}"
        line = _spaced(line)
        if line.startswith("-"):
            yield from _option(line, place)
        elif _LOCATION.match(line) or line.startswith((".", "/", "~")) or re.match(r"^[A-Za-z]:[\\/]", line):
            location = line.split(" --")[0].split(" ;")[0].strip()
            name = re.search(r"[#&]egg=([\w.\-]+)", location)
            yield Requirement(ecosystem="pypi", name=name[1] if name else location, source=location, place=place)
        else:
            yield from _named(line, place)


def _option(line: str, place: str) -> Extracted:
    option = _OPTION.match(line)
    if option is None:
        return
    name, value = option[1], option[2].strip().strip("\"'")
    if name in _INDEXES and value:
        kind = _INDEXES[name]
        # pip reads several options of one line.
        value, _, rest = value.partition(" ")
        yield Reference(target=value, role="package-index", detail=kind, place=place)
        if rest.strip().startswith("-"):
            yield from _option(rest.strip(), place)
    elif name in _FILES and value:
        yield Reference(target=value, role="requirement-file", detail=name, place=place)
    elif name in _EDITABLE and value:
        found = re.search(r"[#&]egg=([\w.\-]+)", value)
        yield Requirement(ecosystem="pypi", name=found[1] if found else value, source=value, place=place)


def _named(line: str, place: str) -> Extracted:
    plain = line.split(";")[0]
    plain, _, options = plain.partition(" --")
    named = _NAME.match(plain.strip())
    if named is None:
        return
    rest = named[3].strip()
    source = rest[1:].strip() if rest.startswith("@") else ""
    hashed = " (hash)" if "hash=" in options else ""
    yield Requirement(
        ecosystem="pypi", name=named[1], specifier="" if source else rest[:200] + hashed, source=source, place=place
    )
    if "index-url" in options or "find-links" in options:
        yield from _option(f"--{options}", place)
