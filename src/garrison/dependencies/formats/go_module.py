"""Go's modules: `go.mod` with what it requires, replaces and excludes, and the checksums of `go.sum`.

From Go 1.17 on, `go.mod` names every module that takes part in the build, with the version that is taken; before that,
only what the project asks for itself. `go.sum` also holds versions that were looked at and not taken, so that it tells
no package.

Source: the Go Modules Reference, "go.mod files" and "go.sum files".
"""

import re
from collections.abc import Iterator

from garrison.core.errors import Malformed
from garrison.core.facts import Artifact
from garrison.dependencies.locked import DEFAULT, Locked, Origin
from garrison.dependencies.plain_documents import text_of
from garrison.sources.source import Context, Extracted, Source

_NAMES = ("go.mod", "go.work.sum", "go.sum")
_DIRECTIVES = frozenset(
    {"module", "go", "toolchain", "godebug", "require", "exclude", "replace", "retract", "tool", "ignore"}
)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`|//.*|[^\s()]+|[()]')
_SUM = re.compile(r"(\S+) (v\S+?)(/go\.mod)? (h1:[A-Za-z0-9+/]{43}=)")

Line = tuple[int, str, list[str], str]


def sniff(source: Source) -> bool:
    """Its name, by which Go goes."""
    return source.name.lower() in _NAMES


def extract(source: Source, context: Context) -> Extracted:
    """The modules that take part in the build."""
    text = text_of(source, context)
    if source.name.lower().endswith(".sum"):
        yield from _sums(text, context)
        return
    found = Locked("go-module")
    lines = list(_lines(text, context))
    if not any(directive == "module" for _, directive, _, _ in lines):
        raise Malformed("names no module")
    replaced = _replacements(lines)
    excluded = {tuple(words[:2]) for _, directive, words, _ in lines if directive == "exclude"}
    for number, directive, words, remark in lines:
        if directive in ("go", "toolchain", "module") and words:
            found.details[directive] = words[0][:200]
        elif directive == "require":
            if len(words) < 2:
                found.incomplete(f"line {number}")
            elif (words[0], words[1]) not in excluded:
                _add(found, words[0], words[1], replaced, f"line {number}", direct="indirect" not in remark)
    yield from found.facts()


def _add(
    found: Locked, path: str, version: str, replaced: dict[tuple[str, str], list[str]], place: str, *, direct: bool
) -> None:
    """A replacement is a module of another path and version, or a directory."""
    origin = DEFAULT
    target = replaced.get((path, version)) or replaced.get((path, ""))
    if target is not None:
        if len(target) == 1:
            origin, version = Origin("path", target[0]), ""
        else:
            origin, path, version = DEFAULT, target[0], target[1]
    found.add("golang", path, version, place=place, origin=origin, hashable=False, direct=direct)


def _replacements(lines: list[Line]) -> dict[tuple[str, str], list[str]]:
    replaced: dict[tuple[str, str], list[str]] = {}
    for _, directive, words, _ in lines:
        if directive == "replace" and "=>" in words:
            arrow = words.index("=>")
            old, new = words[:arrow], words[arrow + 1 :]
            if old and new:
                replaced[old[0], old[1] if len(old) > 1 else ""] = new[:2]
    return replaced


def _lines(text: str, context: Context) -> Iterator[Line]:
    """Number, directive, words and remark of each line, blocks taken apart. Raises `Malformed`."""
    block = ""
    for number, line in enumerate(text.splitlines(), 1):
        if number % 4096 == 0:
            context.check_time()
        tokens = _TOKEN.findall(line)
        remark = tokens.pop() if tokens and tokens[-1].startswith("//") else ""
        if not tokens:
            continue
        if block and tokens[0] == ")":
            block = ""
            continue
        directive = block or tokens.pop(0)
        if directive not in _DIRECTIVES:
            raise Malformed(f"line {number} has no directive of go.mod: {directive[:40]!r}")
        if not block and tokens == ["("]:
            block = directive
            continue
        yield number, directive, [token.strip('"`') for token in tokens], remark


def _sums(text: str, context: Context) -> Extracted:
    modules: set[str] = set()
    odd: list[int] = []
    for number, line in enumerate(text.splitlines(), 1):
        if number % 4096 == 0:
            context.check_time()
        found = _SUM.fullmatch(line.strip())
        if found:
            modules.add(found[1])
        elif line.strip():
            odd.append(number)
    yield Artifact(format="go-checksums", details={"modules": len(modules)})
    if odd:
        more = f" and in {len(odd) - 1} more" if len(odd) > 1 else ""
        raise Malformed(f"no checksum of a module in line {odd[0]}{more}")
