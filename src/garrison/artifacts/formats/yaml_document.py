"""YAML documents: configurations, and objects that unsafe loaders would build.

Read as events, so that aliases are never expanded and tags never constructed.

Source: YAML 1.2.2; PyYAML's `constructor.py` for the `python/` tags.
"""

import re
from typing import Any

from garrison.artifacts.documents import walk
from garrison.core.errors import LimitExceeded, Malformed
from garrison.core.facts import AnyFact, Artifact, Import
from garrison.sources.source import Context, Extracted, Source

_EVENTS = 2_000_000
_KEY = re.compile(rb"^[ \t]*(?:- +)?[\"']?[A-Za-z_][\w.\-/ ]{0,60}[\"']?\s*:(?:\s|$)")
_MARK = re.compile(rb"^(?:%YAML|---(?:\s|$))")
_TAG = "tag:yaml.org,2002:python/"
_USAGES: dict[str, Any] = {
    "object/apply": "call",
    "object/new": "call",
    "object": "call",
    "name": "reference",
    "module": "reference",
}


def sniff(source: Source) -> bool:
    """Mostly keys and list items, line by line; prose is not. What is named so is YAML to its loader."""
    head = source.reader.pread(0, 1 << 16)
    lines = [line for line in head.splitlines() if line.strip() and not line.lstrip().startswith(b"#")]
    if len(head) == 1 << 16 and lines:
        lines.pop()
    lines = lines[:60] if len(head) < 1 << 16 else lines
    named = source.name.lower().endswith((".yaml", ".yml")) or source.name == "MLmodel"
    if named or b"!!python/" in head or b"tag:yaml.org,2002:python/" in head:
        return True
    marked = bool(lines and _MARK.match(lines[0]))
    if marked:
        lines.pop(0)
    if not lines or lines[0].lstrip()[:1] in b"{<" or not _KEY.match(lines[0]):
        return False
    keys = sum(bool(_KEY.match(line)) for line in lines)
    items = sum(line.lstrip().startswith(b"- ") for line in lines)
    if keys + items < len(lines) * (0.3 if marked else 0.7):
        return False
    return len(head) == 1 << 16 or _parses(head)


def _parses(data: bytes) -> bool:
    """Headers of mails and packages look like YAML line by line; as a whole they seldom are."""
    import yaml

    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    try:
        return all(True for _ in yaml.parse(data, Loader=loader))
    except (yaml.YAMLError, RecursionError):
        return False


def extract(source: Source, context: Context) -> Extracted:
    """What loaders of this document act on."""
    import yaml

    data = source.reader.whole(context.limits.buffer)
    yield Artifact(format="yaml")
    facts: list[AnyFact] = []
    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    try:
        documents = Builder(facts, context).documents(yaml.parse(data, Loader=loader))
    except yaml.YAMLError as error:
        yield from facts
        raise Malformed(f"not valid YAML: {' '.join(str(error).split())[:120]}") from None
    yield from facts
    for document in documents:
        yield from walk(source, document, context)


class Builder:
    """Plain values from events: an alias is the same object again, a tag a fact."""

    def __init__(self, facts: list[AnyFact], context: Context) -> None:
        self._facts = facts
        self._context = context

    def documents(self, events: Any) -> list[object]:
        import yaml

        documents: list[object] = []
        stack: list[tuple[Any, list[object]]] = []
        anchors: dict[str, object] = {}
        for number, event in enumerate(events):
            if number % 4096 == 0:
                self._context.check_time()
            if number > _EVENTS:
                raise LimitExceeded("facts", f"a YAML document of more than {_EVENTS} parts")
            value: object
            if isinstance(event, yaml.ScalarEvent):
                value = event.value
                self._tag(event, [event.value])
            elif isinstance(event, yaml.AliasEvent):
                value = anchors.get(event.anchor or "")
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                container: object = {} if isinstance(event, yaml.MappingStartEvent) else []
                if event.anchor:
                    anchors[event.anchor] = container
                stack.append((event, [container]))
                continue
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                start, parts = stack.pop()
                value = parts[0]
                if isinstance(value, dict):
                    for index in range(1, len(parts) - 1, 2):
                        key = parts[index]
                        value[key if isinstance(key, str) else repr(type(key))] = parts[index + 1]
                else:
                    value.extend(parts[1:])  # type: ignore[attr-defined]
                self._tag(start, parts[1:])
            else:
                continue
            if isinstance(event, yaml.ScalarEvent) and event.anchor:
                anchors[event.anchor] = value
            if stack:
                stack[-1][1].append(value)
            else:
                documents.append(value)
        return documents

    def _tag(self, event: Any, parts: list[object]) -> None:
        tag = event.tag or ""
        if not tag.startswith(_TAG):
            return
        kind, _, target = tag[len(_TAG) :].partition(":")
        if kind in _USAGES and target:
            module, _, name = target.rpartition(".")
            if kind == "module":
                module, name = target, ""
            arguments = tuple(repr(part)[:200] for part in parts[:8] if isinstance(part, str))
            place = f"line {event.start_mark.line + 1}"
            self._facts.append(
                Import(module=module, name=name, origin="yaml", usage=_USAGES[kind], arguments=arguments, place=place)
            )
