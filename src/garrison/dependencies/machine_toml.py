"""Reads TOML as tools write it, line by line, several times as fast as the general reader.

What it returns is what `tomllib` returns. Whatever is not of the few shapes that lock files have makes it give up, so
that the general reader decides.

Source: TOML 1.0.0.
"""

import re
import tomllib
from collections.abc import Callable
from typing import Any

_CHARACTERS = r"[^\"\\\x00-\x1f\x7f]*"
_BARE = r"[A-Za-z0-9_-]+"
_TEXT = rf'"({_CHARACTERS})"'
_NAME = rf'(?:{_BARE}|"{_CHARACTERS}")'
_PAIR = rf'{_BARE} = (?:"{_CHARACTERS}"|0|[1-9]\d*|true|false)'
_KEY = re.compile(rf"(?:({_BARE})|{_TEXT})[ \t]*=[ \t]*(.+)")
_PLAIN = re.compile(_TEXT)
_ITEM = re.compile(_TEXT + "(,?)")
_INLINE = re.compile(rf"\{{ ?(?:{_PAIR}, )*{_PAIR} ?\}}(,?)")
_PAIRS = re.compile(rf"({_BARE}) = (?:{_TEXT}|(\d+)|(true|false))")
_STRINGS = re.compile(
    rf"\{{ ?({_BARE}) = {_TEXT}, ({_BARE}) = {_TEXT}(?:, ({_BARE}) = (\d+), ({_BARE}) = {_TEXT})? ?\}}(,?)"
)
"""What most lines are: a file with its hash, in some locks with its size and date."""
_HEADER = re.compile(rf"(\[\[?)[ \t]*({_NAME}(?:\.{_NAME})*)[ \t]*(\]\]?)")
_PART = re.compile(rf'({_BARE})|"({_CHARACTERS})"')
_COMMENT = re.compile(r"#[^\x00-\x08\x0a-\x1f\x7f]*")


class _GiveUp(Exception):
    """The general reader has to look."""


def read(text: str, tick: Callable[[], None]) -> dict[str, Any] | None:
    """The document, or `None` where only the general reader can tell. `tick` is called now and then."""
    try:
        return _Reader().read(text.replace("\r\n", "\n").split("\n"), tick)
    except (_GiveUp, tomllib.TOMLDecodeError, RecursionError, ValueError):
        return None


class _Reader:
    def __init__(self) -> None:
        self._root: dict[str, Any] = {}
        self._opened: dict[int, Any] = {id(self._root): self._root}
        """Tables and lists of tables that headers made; no other may be added to by a header."""

    def read(self, lines: list[str], tick: Callable[[], None]) -> dict[str, Any]:
        current = self._root
        items: list[Any] | None = None
        closed = False
        for number, line in enumerate(lines):
            if number % 8192 == 0:
                tick()
            line = line.strip(" \t")
            if not line:
                continue
            if items is not None:
                if line == "]":
                    items = None
                elif closed:
                    raise _GiveUp
                else:
                    closed = self._item(line, items)
            elif line[0] == "#":
                if not _COMMENT.fullmatch(line):
                    raise _GiveUp
            elif line[0] == "[":
                current = self._header(line)
            else:
                items, closed = self._pair(line, current), False
        if items is not None:
            raise _GiveUp
        return self._root

    def _pair(self, line: str, table: dict[str, Any]) -> list[Any] | None:
        """Adds a key; returns the list that the lines to come are the items of, if one opens."""
        found = _KEY.fullmatch(line)
        if found is None:
            raise _GiveUp
        key: str = found[1] if found[1] is not None else found[2]
        if key in table:
            raise _GiveUp
        value = found[3]
        if value == "[":
            items: list[Any] = []
            table[key] = items
            return items
        plain = _PLAIN.fullmatch(value)
        table[key] = plain[1] if plain else _value(value)
        return None

    def _item(self, line: str, items: list[Any]) -> bool:
        """Adds what stands on a line of a list; returns whether nothing may follow, as no comma does."""
        if (usual := _STRINGS.fullmatch(line)) is not None:
            items.append(_usual(usual))
            return not usual[9]
        if (inline := _INLINE.fullmatch(line)) is not None:
            items.append(_table(line))
            return not inline[1]
        if (plain := _ITEM.fullmatch(line)) is not None:
            items.append(plain[1])
            return not plain[2]
        if line.startswith(("#", "]")):
            raise _GiveUp
        items += tomllib.loads(f"x = [{line}]")["x"]
        return not line.endswith(",")

    def _header(self, line: str) -> dict[str, Any]:
        found = _HEADER.fullmatch(line)
        if found is None or len(found[1]) != len(found[3]):
            raise _GiveUp
        parts = [bare or quoted for bare, quoted in _PART.findall(found[2])]
        table = self._root
        for part in parts[:-1]:
            inner = table.get(part)
            if inner is None:
                inner = table[part] = self._new({})
            elif id(inner) not in self._opened:
                raise _GiveUp
            table = inner[-1] if isinstance(inner, list) else inner
        name = parts[-1]
        made: dict[str, Any] = self._new({})
        if found[1] == "[[":
            listed = table.get(name)
            if listed is None:
                listed = table[name] = self._new([])
            elif id(listed) not in self._opened or not isinstance(listed, list):
                raise _GiveUp
            listed.append(made)
        elif name in table:
            raise _GiveUp
        else:
            table[name] = made
        return made

    def _new(self, value: Any) -> Any:
        self._opened[id(value)] = value
        return value


def _usual(found: re.Match[str]) -> dict[str, Any]:
    one, first, two, second, three, number, four, third, _ = found.groups()
    table: dict[str, Any] = {one: first, two: second}
    if three is not None:
        table[three] = _number(number)
        table[four] = third
    if len(table) != (2 if three is None else 4):
        raise _GiveUp
    return table


def _number(text: str) -> int:
    if text[0] == "0" and len(text) > 1:
        raise _GiveUp
    return int(text)


def _table(line: str) -> dict[str, Any]:
    pairs = _PAIRS.findall(line)
    table: dict[str, Any] = {
        key: int(number) if number else truth == "true" if truth else text for key, text, number, truth in pairs
    }
    if len(table) != len(pairs):
        raise _GiveUp
    return table


def _value(value: str) -> Any:
    if _INLINE.fullmatch(value) and value[-1] != ",":
        return _table(value)
    return tomllib.loads(f"x = {value}")["x"]
