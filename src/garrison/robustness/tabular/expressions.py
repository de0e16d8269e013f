"""Arithmetic and comparisons over features, as constraint files write them: parsed here, never evaluated as Python.

    or        and        not        <= < >= > == !=        + -        * /        - (sign)        ( )
    min(a, b, ...)  max(a, b, ...)  abs(a)  floor(a)  ceil(a)  sqrt(a)  log(a)  exp(a)  round(a)  round(a, digits)

Each line binds tighter than what stands left of it. Comparisons chain, as in `0 <= used <= limit`. A feature whose
name is no plain word is written between backquotes: `` `hours-per-week` * 52 ``. What cannot be computed, such as a
division by zero, is no number: a formula then has no value, and no comparison with it holds.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from garrison.core.errors import UsageError

Columns = Mapping[str, NDArray[np.float64]]
Values = NDArray[np.float64]

LONGEST = 4000
"""Characters of one expression."""
MOST_WORDS = 400
"""Names, numbers and signs of one expression."""
DEEPEST = 40
"""Parentheses and signs within each other."""
RELATIVE_TOLERANCE = 1e-6
"""Inputs are float32: equal means equal up to this share, and up to `ABSOLUTE_TOLERANCE`."""
ABSOLUTE_TOLERANCE = 1e-9

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[^\W\d]\w*)|`(?P<quoted>[^`]+)`"
    r"|(?P<sign><=|>=|==|!=|[-+*/<>(),]))"
)


@dataclass(frozen=True)
class Expression:
    """A parsed expression."""

    text: str
    names: frozenset[str]
    """The features that it reads."""
    condition: bool
    """Whether it is true or false, and not a number."""
    _compute: Callable[[Columns], Values]

    def __call__(self, columns: Columns) -> Values:
        """The value in each row (n,), float64, from columns (n,); of a condition 1 and 0, and NaN never holds."""
        with np.errstate(all="ignore"):
            return self._compute(columns)


def tolerance(left: Values, right: Values) -> Values:
    """How far apart two float32 numbers may be and still be called equal."""
    largest = np.maximum(np.abs(left), np.abs(right))
    return np.where(np.isfinite(largest), RELATIVE_TOLERANCE * largest + ABSOLUTE_TOLERANCE, 0.0)


def parsed(text: str) -> Expression:
    """The expression that `text` is. Raises `UsageError` with the place of the mistake."""
    if len(text) > LONGEST:
        raise UsageError(f"an expression of {len(text)} characters: at most {LONGEST} are read")
    return _Parser(text).whole()


@dataclass(frozen=True)
class _Node:
    condition: bool
    compute: Callable[[Columns], Values]


_COMPARISONS: dict[str, Callable[[Values, Values], NDArray[np.bool_]]] = {
    "<=": lambda a, b: a <= b + tolerance(a, b),
    ">=": lambda a, b: a >= b - tolerance(a, b),
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "==": lambda a, b: np.abs(a - b) <= tolerance(a, b),
    "!=": lambda a, b: np.abs(a - b) > tolerance(a, b),
}
_ARITHMETIC: dict[str, Callable[[Values, Values], Values]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}


def _rounded(value: Values, digits: Values) -> Values:
    scale = 10.0 ** np.rint(digits)
    return np.rint(value * scale) / scale


def _folded(function: Callable[[Values, Values], Values]) -> Callable[..., Values]:
    def fold(*values: Values) -> Values:
        found = values[0]
        for value in values[1:]:
            found = function(found, value)
        return found

    return fold


_FUNCTIONS: dict[str, tuple[int, int, Callable[..., Values]]] = {
    # The fewest arguments, the most, and what is computed of them.
    "min": (2, 100, _folded(np.minimum)),
    "max": (2, 100, _folded(np.maximum)),
    "abs": (1, 1, np.abs),
    "floor": (1, 1, np.floor),
    "ceil": (1, 1, np.ceil),
    "sqrt": (1, 1, np.sqrt),
    "log": (1, 1, np.log),
    "exp": (1, 1, np.exp),
    "round": (1, 2, lambda value, digits=0.0: _rounded(value, digits)),
}


class _Parser:
    """Recursive descent over the grammar in the module's description."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._split(text)
        self.at = 0
        self.depth = 0
        self.names: set[str] = set()

    def _split(self, text: str) -> list[tuple[str, str, int]]:
        tokens: list[tuple[str, str, int]] = []
        place = 0
        while text[place:].strip():
            found = _TOKEN.match(text, place)
            if found is None or found.lastgroup is None:
                raise UsageError(f"{text!r}: not understood from {text[place:].strip()[:20]!r} on")
            tokens.append((found.lastgroup, found[found.lastgroup], found.start(found.lastgroup)))
            place = found.end()
            if len(tokens) > MOST_WORDS:
                raise UsageError(f"{text[:60]!r}...: more than {MOST_WORDS} names, numbers and signs")
        return [*tokens, ("end", "", len(text))]

    def whole(self) -> Expression:
        node = self._any()
        if self.tokens[self.at][0] != "end":
            raise self._mistake("an operator or the end")
        return Expression(self.text, frozenset(self.names), node.condition, node.compute)

    def _mistake(self, expected: str) -> UsageError:
        kind, found, place = self.tokens[self.at]
        where = "at its end" if kind == "end" else f"at character {place + 1}, before {found!r}"
        return UsageError(f"{self.text!r}: {where}, {expected} should stand")

    def _next(self, *signs: str) -> str:
        """The next token, passed over, if it is one of `signs`; else nothing."""
        kind, found, _ = self.tokens[self.at]
        if kind in ("sign", "name") and found in signs:
            self.at += 1
            return found
        return ""

    def _need(self, node: _Node, *, condition: bool) -> _Node:
        if node.condition != condition:
            raise self._mistake("a condition" if condition else "a number, and no condition,")
        return node

    def _any(self) -> _Node:
        node = self._all()
        while self._next("or"):
            node = self._joined(node, self._all(), np.maximum)
        return node

    def _all(self) -> _Node:
        node = self._negated()
        while self._next("and"):
            node = self._joined(node, self._negated(), np.minimum)
        return node

    def _joined(self, left: _Node, right: _Node, join: Callable[[Values, Values], Values]) -> _Node:
        self._need(left, condition=True)
        self._need(right, condition=True)
        return _Node(True, lambda columns: join(left.compute(columns), right.compute(columns)))

    def _negated(self) -> _Node:
        if not self._next("not"):
            return self._comparison()
        self._deeper()
        node = self._need(self._negated(), condition=True)
        self.depth -= 1
        return _Node(True, lambda columns: 1.0 - node.compute(columns))

    def _comparison(self) -> _Node:
        left = self._sum()
        found: _Node | None = None
        while sign := self._next(*_COMPARISONS):
            self._need(left, condition=False)
            right = self._need(self._sum(), condition=False)
            one = self._compared(_COMPARISONS[sign], left, right)
            found = one if found is None else self._joined(found, one, np.minimum)
            left = right
        return found or left

    def _compared(self, compare: Callable[[Values, Values], NDArray[np.bool_]], left: _Node, right: _Node) -> _Node:
        return _Node(True, lambda columns: compare(left.compute(columns), right.compute(columns)).astype(np.float64))

    def _sum(self) -> _Node:
        node = self._product()
        while sign := self._next("+", "-"):
            node = self._computed(_ARITHMETIC[sign], node, self._product())
        return node

    def _product(self) -> _Node:
        node = self._signed()
        while sign := self._next("*", "/"):
            node = self._computed(_ARITHMETIC[sign], node, self._signed())
        return node

    def _computed(self, compute: Callable[..., Values], *nodes: _Node) -> _Node:
        for node in nodes:
            self._need(node, condition=False)
        return _Node(False, lambda columns: compute(*(node.compute(columns) for node in nodes)))

    def _signed(self) -> _Node:
        if not self._next("-"):
            return self._atom()
        self._deeper()
        node = self._signed()
        self.depth -= 1
        return self._computed(np.negative, node)

    def _atom(self) -> _Node:
        kind, found, _ = self.tokens[self.at]
        if kind == "number":
            self.at += 1
            constant = np.float64(found)
            return _Node(False, lambda columns: np.full(_rows(columns), constant))
        if kind == "sign" and found == "(":
            self.at += 1
            self._deeper()
            node = self._any()
            self.depth -= 1
            if not self._next(")"):
                raise self._mistake("a closing parenthesis")
            return node
        if kind == "quoted" or (kind == "name" and found not in ("and", "or", "not")):
            self.at += 1
            if kind == "name" and found in _FUNCTIONS and self._next("("):
                return self._call(found)
            self.names.add(found)
            return _Node(False, lambda columns: columns[found])
        raise self._mistake("a number, a feature or a parenthesis")

    def _call(self, name: str) -> _Node:
        fewest, most, function = _FUNCTIONS[name]
        self._deeper()
        arguments = [self._sum()]
        while self._next(","):
            arguments.append(self._sum())
        self.depth -= 1
        if not self._next(")"):
            raise self._mistake("a comma or a closing parenthesis")
        if not fewest <= len(arguments) <= most:
            raise UsageError(f"{self.text!r}: {name} takes {fewest} to {most} values, not {len(arguments)}")
        return self._computed(function, *arguments)

    def _deeper(self) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise UsageError(f"{self.text[:60]!r}...: more than {DEEPEST} parentheses and signs within each other")


def _rows(columns: Columns) -> int:
    return len(next(iter(columns.values()))) if columns else 1
