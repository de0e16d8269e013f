"""Reads YAML as plain values in which every scalar is a text, as advisories need it.

YAML takes `1.10` for a number, `no` for false and a date for a date; a version is none of them. Nothing is constructed
by tags, and aliases are not followed, since a few lines of them expand to gigabytes.
"""

from typing import Any

from garrison.dependencies.advisories.osv import BrokenEntry

_NULLS = ("", "~", "null", "Null", "NULL")
_DEPTH = 100


def yaml_value(data: bytes) -> Any:
    """The value of the only document in `data`. Raises `BrokenEntry`."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _value(yaml.parse(data, Loader=loader))
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}" if mark else ""
        raise BrokenEntry(f"not valid YAML{place}: {getattr(error, 'problem', None) or error}") from None


def _value(events: Any) -> Any:
    from yaml.events import (
        AliasEvent,
        DocumentStartEvent,
        MappingEndEvent,
        MappingStartEvent,
        ScalarEvent,
        SequenceEndEvent,
        SequenceStartEvent,
    )

    root: list[Any] = []
    stack: list[list[Any]] = [root]
    kinds: list[bool] = [False]
    documents = 0
    for event in events:
        kind = type(event)
        if kind is ScalarEvent:
            text = event.value
            stack[-1].append(None if text in _NULLS and not event.style else text)
        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            if len(stack) > _DEPTH:
                raise BrokenEntry("nested too deeply")
            stack.append([])
            kinds.append(kind is MappingStartEvent)
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            items = stack.pop()
            value = _mapping(items) if kinds.pop() else items
            stack[-1].append(value)
        elif kind is AliasEvent:
            raise BrokenEntry("it uses YAML aliases")
        elif kind is DocumentStartEvent:
            documents += 1
            if documents > 1:
                raise BrokenEntry("it holds more than one YAML document")
    return root[0] if root else None


def _mapping(items: list[Any]) -> dict[str, Any]:
    keys = items[::2]
    if not all(isinstance(key, str) for key in keys):
        raise BrokenEntry("a key is no text")
    found = dict(zip(keys, items[1::2], strict=True))
    if len(found) != len(keys):
        raise BrokenEntry("a key is there twice")
    return found
