"""Lock files and bills of materials as plain values, read as their own tools read them.

Source: RFC 8259; TOML 1.0.0 as Python's `tomllib` reads it; YAML 1.2.2 with every scalar kept as it is written, since
a version `1.10` is no number.
"""

import re
from typing import TYPE_CHECKING, Any

from garrison.core.errors import LimitExceeded, Malformed
from garrison.core.facts import Anomaly

if TYPE_CHECKING:
    from garrison.sources.source import Context, Source

_EVENTS = 5_000_000
_DUPLICATES = 5
_SLOW = 24 << 20
"""Characters that the general reader of TOML is given; it takes some seconds for that many."""


_WIDE = (b"\xff\xfe", b"\xfe\xff")


def plain_head(source: "Source", size: int) -> bytes:
    """The beginning in UTF-8: what is redirected to a file on Windows is in UTF-16."""
    head = source.reader.pread(0, size)
    return head.decode("utf-16", "ignore").encode() if head.startswith(_WIDE) else head


def text_of(source: "Source", context: "Context") -> str:
    """All of it as text, or `Malformed` where it is none."""
    data = source.reader.whole(context.limits.buffer)
    context.check_time()
    try:
        return data.decode("utf-16" if data.startswith(_WIDE) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise Malformed(f"no text in {error.encoding.upper()}: {error.reason} at {error.start:#x}") from None


def toml(text: str, context: "Context", *keys: str) -> dict[str, Any]:
    """The document, which has one of these keys, or `Malformed`."""
    import tomllib

    from garrison.dependencies import machine_toml

    try:
        document = machine_toml.read(text, context.check_time)
        if document is None:
            if len(text) > _SLOW:
                raise LimitExceeded("buffer", f"TOML of more than {_SLOW} characters that no tool wrote")
            document = tomllib.loads(text)
        return mapping(document, *keys)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not valid TOML: {str(error)[:120]}") from None


def json(text: str, repeated: list[str] | None = None) -> Any:
    """The document, or `Malformed`. Keys that stand twice in one object are added to `repeated`; the last one counts,
    as it does for Node's and Python's readers."""
    import json as library

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        built = dict(pairs)
        if len(built) != len(pairs) and repeated is not None:
            seen: set[str] = set()
            repeated.extend(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        return built

    try:
        return library.loads(text, object_pairs_hook=build)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not valid JSON: {str(error)[:120]}") from None


def duplicates(repeated: list[str]) -> "list[Anomaly]":
    """The fact that keys stand twice, if any does."""
    if not repeated:
        return []
    names = ", ".join(repr(key[:80]) for key in list(dict.fromkeys(repeated))[:_DUPLICATES])
    return [Anomaly(what="duplicate-keys", detail=f"{len(repeated)} keys stand twice in one object, such as {names}")]


def yaml(text: str, context: "Context", repeated: list[str] | None = None) -> Any:
    """The first document, with aliases as the same object again and tags left aside. Raises `Malformed`."""
    import yaml as library

    loader = getattr(library, "CSafeLoader", library.SafeLoader)
    try:
        return _from_events(library, library.parse(text, Loader=loader), context, repeated)
    except library.YAMLError as error:
        raise Malformed(f"not valid YAML: {' '.join(str(error).split())[:120]}") from None


def _from_events(library: Any, events: Any, context: "Context", repeated: list[str] | None) -> Any:
    stack: list[tuple[bool, list[Any], Any]] = []
    anchors: dict[str, Any] = {}
    merged = 0
    for number, event in enumerate(events):
        if number % 4096 == 0:
            context.check_time()
        if number > _EVENTS:
            raise LimitExceeded("facts", f"a YAML document of more than {_EVENTS} parts")
        kind = type(event)
        if kind is library.ScalarEvent:
            value = event.value
        elif kind in (library.MappingStartEvent, library.SequenceStartEvent):
            value = {} if kind is library.MappingStartEvent else []
            stack.append((kind is library.MappingStartEvent, [], value))
            if event.anchor:
                anchors[event.anchor] = value
            continue
        elif kind in (library.MappingEndEvent, library.SequenceEndEvent):
            is_mapping, parts, value = stack.pop()
            if is_mapping:
                merged += _fill(value, parts, repeated)
                if merged > _EVENTS:
                    raise LimitExceeded("facts", f"a YAML document that merges more than {_EVENTS} keys")
            else:
                value.extend(parts)
        elif kind is library.AliasEvent:
            value = anchors.get(event.anchor)
        else:
            continue
        if kind is library.ScalarEvent and event.anchor:
            anchors[event.anchor] = value
        if not stack:
            return value
        stack[-1][1].append(value)
    return None


def _fill(mapping: dict[str, Any], parts: list[Any], repeated: list[str] | None) -> int:
    """Adds keys with their values, after them those of the mappings that `<<` names; returns the number of these."""
    inner: list[dict[str, Any]] = []
    for index in range(0, len(parts) - 1, 2):
        key = parts[index] if isinstance(parts[index], str) else ""
        if key in mapping and repeated is not None:
            repeated.append(key)
        mapping[key] = parts[index + 1]
        if key == "<<":
            inner += tables([parts[index + 1]]) + tables(parts[index + 1])
    for one in inner:
        if one is not mapping:
            for key, value in one.items():
                mapping.setdefault(key, value)
    return sum(len(one) for one in inner)


def header_lines(text: str, header: str) -> list[int]:
    """The numbers of the lines that hold only this table header: `[[package]]`."""
    found: list[int] = []
    line, last = 1, 0
    for match in re.finditer(rf"^{re.escape(header)}[ \t]*(?:#.*)?$", text, re.MULTILINE):
        line += text.count("\n", last, match.start())
        last = match.start()
        found.append(line)
    return found


def mapping(document: object, *keys: str) -> dict[str, Any]:
    """The document, where it is a mapping that has one of these keys; else `Malformed`."""
    if not isinstance(document, dict) or not any(key in document for key in keys):
        raise Malformed(f"has none of the keys of such a file: {', '.join(keys)}")
    return document


def word(value: object) -> str:
    """A text, or nothing where it is none."""
    return value if isinstance(value, str) else ""


def words(value: object) -> tuple[str, ...]:
    """The texts in a list."""
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def table(value: object) -> dict[str, Any]:
    """A mapping, or an empty one where it is none."""
    return value if isinstance(value, dict) else {}


def tables(value: object) -> list[dict[str, Any]]:
    """The mappings in a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
