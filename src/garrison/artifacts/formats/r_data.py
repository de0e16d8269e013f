"""R's serialised objects (`saveRDS`) and workspaces (`save`).

Source: R's `src/main/serialize.c`, `src/main/saveload.c` (`R_LoadSavedData`) and `src/main/altclasses.c`; for
promises CVE-2024-27322. Compression around them is read as any other.
"""

import re
from collections.abc import Iterator

from garrison.artifacts.knowledge import languages
from garrison.artifacts.r_language import called_names, deparse
from garrison.artifacts.wire.rdata import Node, Parser
from garrison.core.errors import ExaminationError
from garrison.core.facts import Anomaly, AnyFact, Artifact, EmbeddedCode, Reference, Requirement
from garrison.sources.reader import BytesReader
from garrison.sources.source import Context, Extracted, Source

_TEXT_HEADER = re.compile(rb"A\r?\n[23]\r?\n\d{5,7}\r?\n\d{5,7}\r?\n").match
_HOOKS = frozenset({".First", ".First.sys", ".Last", ".Last.sys"})
"""Functions that R calls by itself when it starts with the workspace, or ends."""
_BASE = frozenset(
    {"base", "stats", "utils", "methods", "graphics", "grDevices", "datasets", "tools", "parallel", "compiler"}
    | {"grid", "splines", "stats4", "tcltk"}
)
"""Packages that R itself brings."""
_CLOSURES = 500
_NODES = 2_000_000
_RAWS = 32
_NESTED = (
    b"X\n\0\0\0",
    b"B\n",
    b"A\n",
    b"RDX",
    b"RDA",
    b"RDB",
    b"\x1f\x8b\x08",
    b"PK\3\4",
    b"\x89HDF",
    b"\x80",
    b"\x7fELF",
)


def sniff(source: Source) -> bool:
    """An encoding, a version of serialisation and versions of R that can be."""
    return _is_serialised(source.reader.pread(0, 64))


def sniff_workspace(source: Source) -> bool:
    """The magic of `save`, and serialisation behind it."""
    return _is_serialised(source.reader.pread(5, 64))


def _is_serialised(head: bytes) -> bool:
    if head[:1] == b"A":
        return _TEXT_HEADER(head) is not None
    order = "little" if head[:2] == b"B\n" and head[2:3] != b"\0" else "big"
    versions = [int.from_bytes(head[at : at + 4], order) for at in (2, 6, 10)]  # type: ignore[arg-type]
    return (
        len(head) >= 14
        and head[:2] in (b"X\n", b"B\n")
        and versions[0] in (2, 3)
        and all(0x010000 <= version < 0x100000 for version in versions[1:])
    )


def extract(source: Source, context: Context) -> Extracted:
    """One object."""
    yield from _extract(source, context, 0, "rds")


def extract_workspace(source: Source, context: Context) -> Extracted:
    """A pairlist of variables."""
    yield from _extract(source, context, 5, "rdata")


def _extract(source: Source, context: Context, start: int, form: str) -> Extracted:
    parser = Parser(source.reader, start, context)
    root: Node | None = None
    broken: ExaminationError | None = None
    try:
        root = parser.parse()
    except ExaminationError as error:
        broken = error
    yield Artifact(format=form, details=_details(parser, root, workspace=bool(start)))
    yield from _promises(parser)
    yield from _functions(parser, _hooks(root) if start else {})
    if root is not None:
        yield from _calls(root, context)
    yield from _outside(parser)
    for place, content in parser.raws[:_RAWS]:
        reader = BytesReader(content) if isinstance(content, bytes) else content
        if reader.pread(0, 5).startswith(_NESTED):
            yield source.member(f"raw@{place:#x}", reader)
    if broken is not None:
        raise broken
    yield from _trailing(source, parser)


def _details(parser: Parser, root: Node | None, *, workspace: bool) -> dict[str, str | int | float | bool]:
    details: dict[str, str | int | float | bool] = {
        "encoding": parser.encoding,
        "version": parser.version,
        "written by R": parser.writer,
        "objects": parser.items,
    }
    if root is None:
        return details
    if workspace:
        details["variables"] = ", ".join(root.tags[:20])[:300]
        root = root.items[0] if len(root.items) == 1 else Node("", 0)
    attributes = root.attributes
    if attributes is not None and "class" in attributes.tags:
        classes = attributes.items[attributes.tags.index("class")]
        details["class"] = ", ".join(item.text for item in classes.items[:4])[:200]
    return details


def _promises(parser: Parser) -> Iterator[AnyFact]:
    for node in parser.promises:
        _, value, code = node.items
        if value.text != "unbound" or value.kind != "special":
            continue  # its value is known: the expression is not evaluated again
        yield EmbeddedCode(
            language="r",
            form="promise of a variable in an environment" if node.bound else "promise",
            trigger="use" if node.bound else "load",
            names=_telling(called_names([code])),
            excerpt=deparse(code),
            place=f"@ {node.place:#x}",
        )


def _hooks(root: Node | None) -> dict[int, str]:
    """The functions that R calls by itself, by identity, with their names."""
    if root is None:
        return {}
    return {id(item): tag for tag, item in zip(root.tags, root.items, strict=False) if tag in _HOOKS}


def _functions(parser: Parser, hooks: dict[int, str]) -> Iterator[AnyFact]:
    """Closures by what they call: a model holds dozens, and most call the same."""
    seen: set[tuple[str, ...]] = set()
    actives = {id(node) for node in parser.actives}
    inside = {id(item) for node in parser.closures for item in node.items[1:]}
    loose = [node for node in parser.bytecode if id(node) not in inside]
    for node in parser.closures + loose:
        names = _telling(called_names([node]))
        hook = hooks.get(id(node), "")
        if len(seen) >= _CLOSURES or (names in seen and not hook):
            continue
        seen.add(names)
        form = "active binding" if id(node) in actives else "function" if node.kind == "closure" else "bytecode"
        yield EmbeddedCode(
            language="r",
            form=f"{form} {hook}".strip(),
            trigger="load" if hook else "use",
            names=names,
            excerpt=deparse(node),
            place=f"@ {node.place:#x}",
        )


def _calls(root: Node, context: Context) -> Iterator[AnyFact]:
    """Calls that lie about as data: formulas and the call that made a model, which `update` and `predict` evaluate."""
    pending = [root]
    seen: set[int] = set()
    found: list[Node] = []
    while pending and len(seen) < _NODES:
        node = pending.pop()
        if id(node) in seen or node.kind in ("closure", "promise", "bytecode"):
            continue
        seen.add(id(node))
        if len(seen) % 4096 == 0:
            context.check_time()
        if node.attributes is not None:
            pending.append(node.attributes)
        if node.kind == "call":
            found.append(node)
        else:
            pending += node.items
    names = _telling(called_names(found))
    if names:
        first = next((node for node in found if names[0] in called_names([node])), found[0])
        yield EmbeddedCode(
            language="r", form="call", trigger="use", names=names, excerpt=deparse(first), place=f"@ {first.place:#x}"
        )


def _telling(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of which something is known first."""
    return tuple(sorted(names, key=lambda name: not languages.effect("r", name)))


def _outside(parser: Parser) -> Iterator[AnyFact]:
    """Files that loading maps, and packages that it loads."""
    for node in parser.altreps:
        if node.text.startswith("mmap_"):
            state = node.items[1].items
            name = next((item.items[0].text for item in state if item.kind == "characters" and item.items), "")
            if name:
                yield Reference(
                    target=name, role="file-read", detail="R maps it as a vector", place=f"@ {node.place:#x}"
                )
    names = [(node.text, node.tags[1:2]) for node in parser.packages if node.kind == "namespace"]
    names += [(node.tags[0], []) for node in parser.altreps if node.tags]
    for package in dict.fromkeys(name for name, _ in names if name not in _BASE):
        versions = next((version for name, version in names if name == package), [])
        yield Requirement(ecosystem="cran", name=package, specifier="".join(versions))


def _trailing(source: Source, parser: Parser) -> Extracted:
    end = parser.input.rest()
    if end < 0:
        return
    window = source.reader.window(end, source.reader.size - end)
    head = window.pread(0, 4096)
    if not head.strip(b"\0\r\n"):
        return
    if not _is_serialised(head[:64]):
        yield Anomaly(what="trailing-data", detail=f"{window.size} bytes follow the object", place=f"@ {end:#x}")
    yield source.member("(trailing data)", window)
