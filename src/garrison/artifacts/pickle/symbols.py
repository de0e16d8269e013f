"""What the machine knows about the values that a pickle builds, and what it saw the pickle do with them.

A value is one 64-bit integer, so that stacks and memos of millions of entries stay small: zero and above is the offset
of the opcode that pushed a literal, which is read again when somebody asks; below are a few constants, then
containers, then symbols.
"""

from collections.abc import Iterator
from typing import Literal

from garrison.core.facts import Import

EMPTY_TUPLE = -2
UNKNOWN = -3
"""Some object that the bytes do not tell: a persistent object, an out-of-band buffer."""
SHARED = -4
"""Any container, once there are too many to tell apart."""
ABSENT = -(1 << 62)
CONTAINERS = -16
SYMBOLS = -(1 << 40)

Usage = Literal["reference", "call", "method", "state", "mutate"]

_ARGUMENT_SETS = 32
_LOOKED_AT = 256
_UNTOLD = ("…",)


class Broken(Exception):
    """Both unpicklers would stop here with an error."""


class Record:
    """One global, and how often what was done with it."""

    __slots__ = ("asked", "count", "module", "name", "place", "sets", "uses")

    def __init__(self, module: str, name: str, place: int) -> None:
        self.module = module
        self.name = name
        self.place = place
        self.count = 0
        self.uses: dict[tuple[Usage, tuple[str, ...]], list[int]] = {}
        self.sets = 0
        self.asked = 0

    def wants_arguments(self) -> bool:
        """Whether arguments are still told apart: many calls of one thing are summed up."""
        return self.sets < _ARGUMENT_SETS and self.asked < _LOOKED_AT

    def use(self, usage: Usage, arguments: tuple[str, ...] | None, place: int) -> list[int]:
        """Count one use, and return its place and count; `None` stands for arguments that nobody looked at."""
        key = (usage, _UNTOLD if arguments is None else arguments)
        seen = self.uses.get(key)
        if seen is None:
            seen = self.uses[key] = [place, 1]
            self.sets += 1
        else:
            seen[1] += 1
        self.asked += 1
        return seen

    def facts(self) -> Iterator[Import]:
        if not self.uses:
            yield Import(
                module=self.module,
                name=self.name,
                origin="pickle",
                place=f"@ {self.place:#x}",
                count=max(self.count, 1),
            )
        for (usage, arguments), (place, count) in self.uses.items():
            yield Import(
                module=self.module,
                name=self.name,
                origin="pickle",
                usage=usage,
                arguments=arguments,
                place=f"@ {place:#x}",
                count=count,
            )


class Symbol:
    """An object that came from a global: the global itself, what a call of it returned, an attribute, ..."""

    __slots__ = ("arguments", "content", "kind", "name", "owner", "record", "semantics", "value")

    def __init__(
        self,
        kind: str,
        record: Record | None = None,
        *,
        name: str = "",
        owner: "Symbol | None" = None,
        value: int = UNKNOWN,
        arguments: tuple[int, ...] | None = None,
        content: "str | bytes | None" = None,
        semantics: str = "",
    ) -> None:
        self.kind = kind
        """`global`, `result`, `module`, `namespace`, `partial`, `attrgetter`, `itemgetter`, `methodcaller`, `text`,
        `code`, `function`, `class`, `dtype`, `method`."""
        self.record = record
        """The global that it is, or that it stems from."""
        self.name = name
        self.owner = owner
        self.value = value
        self.arguments = arguments
        self.content = content
        self.semantics = semantics
        """What a call of it does, as in `callables.json`; empty where that is not known."""
