"""Values of Jinja expressions as far as constants decide them: strings that a template puts together from pieces.

A value is a tuple of what it may be; `UNKNOWN` stands for anything. Every operation is bounded in length and number,
and none of them calls what a template names: the operations of Jinja and of strings are done here, one by one.

Source: Jinja's "Template Designer Documentation", `jinja2/filters.py` and `jinja2/nodes.py`.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

LONGEST: Final = 4096
_ITEMS = 512
_OPTIONS = 12


class _Unknown:
    def __repr__(self) -> str:
        return "…"


UNKNOWN: Final = _Unknown()
Options = tuple[Any, ...]
ANYTHING: Options = (UNKNOWN,)


class Namespace:
    """What `namespace()` makes: shared by all that hold it."""

    def __init__(self, attributes: dict[str, Options]) -> None:
        self.attributes = attributes


class Method:
    """A method of a known value, or a global function of Jinja (`owner` is `None` then)."""

    def __init__(self, owner: object, name: str) -> None:
        self.owner = owner
        self.name = name


def options(values: Iterable[Any]) -> Options:
    """Distinct values, at most a few; anything beyond is unknown."""
    found: list[Any] = []
    for value in values:
        if not any(value is one or (type(value) is type(one) and _equal(value, one)) for one in found):
            found.append(value)
        if len(found) >= _OPTIONS:
            return (*found, UNKNOWN)
    return tuple(found) or ANYTHING


def _equal(left: Any, right: Any) -> bool:
    return isinstance(left, str | int | float | bool | list | tuple | dict) and bool(left == right)


def combined(function: Callable[..., Any], *parts: Options) -> Options:
    """A function over every combination of possible values; `UNKNOWN` where it gives nothing."""
    results = []
    for values in itertools.islice(itertools.product(*parts), 64):
        try:
            result = UNKNOWN if any(value is UNKNOWN for value in values) else function(*values)
        except (TypeError, ValueError, IndexError, KeyError, OverflowError, ArithmeticError, AttributeError):
            result = UNKNOWN
        results.append(bounded(result))
    return options(results)


def bounded(value: Any) -> Any:
    """The value itself if it is small and plain, else `UNKNOWN`."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST else UNKNOWN
    if isinstance(value, bool) or value is None or isinstance(value, float | Namespace | Method):
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 64 else UNKNOWN
    if isinstance(value, list | tuple | dict):
        return value if len(value) <= _ITEMS else UNKNOWN
    return UNKNOWN


def text(value: Any) -> str:
    """A plain value as Jinja shows it."""
    if isinstance(value, str | int | float | bool) or value is None:
        return str(value)
    raise TypeError


def concatenated(values: Iterable[Any], separator: str = "") -> str:
    parts = [text(value) for value in values]
    if sum(map(len, parts)) + len(separator) * len(parts) > LONGEST:
        raise ValueError
    return separator.join(parts)


def added(left: Any, right: Any) -> Any:
    if isinstance(left, str) != isinstance(right, str) or len(_sized(left)) + len(_sized(right)) > LONGEST:
        raise TypeError
    return left + right


def _sized(value: Any) -> Any:
    return value if isinstance(value, str | list | tuple) else ()


def multiplied(left: Any, right: Any) -> Any:
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left * right
    sequence, count = (left, right) if isinstance(right, int) else (right, left)
    if not isinstance(count, int) or len(sequence) * max(count, 0) > LONGEST:
        raise ValueError
    return sequence * count


def raised(left: Any, right: Any) -> Any:
    if not isinstance(left, int) or not isinstance(right, int) or abs(left) > 1 << 32 or not 0 <= right <= 64:
        raise ValueError
    return left**right


def formatted(pattern: str, values: list[Any]) -> str:
    """`%s`, `%c` and `%d` filled in; wider formats could be made to grow without bound."""
    if "%" in re.sub(r"%(?:\(\w+\))?[scd%]", "", pattern) or len(pattern) > LONGEST:
        raise ValueError
    if len(values) == 1 and isinstance(values[0], dict):
        return pattern % {key: text(value) for key, value in values[0].items()}
    return pattern % tuple(values)


def filled(pattern: str, positional: list[Any], named: dict[str, Any]) -> str:
    """`str.format` with plain fields."""
    parts, count = [], 0
    for piece, field, specification, conversion in _fields(pattern):
        parts.append(piece)
        if field is None:
            continue
        if specification or conversion:
            raise ValueError
        if not field:
            field, count = str(count), count + 1
        parts.append(text(positional[int(field)] if field.isdecimal() else named[field]))
    return concatenated(parts)


def _fields(pattern: str) -> Iterator[tuple[str, str | None, str | None, str | None]]:
    import string

    return iter(string.Formatter().parse(pattern))


def format_reaches(pattern: str) -> list[str]:
    """Attributes and items that the fields of a format string fetch: `{0.__class__}`."""
    found: list[str] = []
    try:
        for _, field, specification, _ in _fields(pattern[:LONGEST]):
            found += re.findall(r"[.\[]([^.\[\]]+)", field or "")
            if specification and "{" in specification:
                found += format_reaches(specification)
    except ValueError:
        return re.findall(r"__\w+__", pattern[:LONGEST])
    return found


def iterated(value: Any) -> list[Any]:
    """What a loop over a known value goes through."""
    if isinstance(value, str | list | tuple | dict):
        return list(value)[:_ITEMS]
    raise TypeError


_TEXTS: dict[str, Callable[[str], Any]] = {
    "lower": str.lower,
    "upper": str.upper,
    "title": str.title,
    "capitalize": str.capitalize,
    "swapcase": str.swapcase,
    "casefold": str.casefold,
    "e": str,
    "escape": str,
    "forceescape": str,
    "safe": str,
    "striptags": str,
    "tojson": str,
}


def filter_value(name: str, value: Any, given: list[Any], named: dict[str, Any]) -> Any:
    """What a filter makes of a known value. Raises where that is not known."""
    if name in _TEXTS:
        return _TEXTS[name](text(value))
    if name == "string":
        return text(value)
    if name == "trim":
        return text(value).strip(*given[:1])
    if name == "reverse":
        return value[::-1]
    if name in ("list", "sort", "unique"):
        return iterated(value)
    if name in ("first", "last"):
        return iterated(value)[0 if name == "first" else -1]
    if name == "join":
        return concatenated(iterated(value), text(given[0]) if given else text(named.get("d", "")))
    if name == "replace":
        return replaced(text(value), text(given[0]), text(given[1]))
    if name == "format":
        return formatted(value, [named] if named else given)
    if name in ("default", "d"):
        return value
    if name in ("length", "count"):
        return len(value)
    if name == "int":
        return int(value)
    if name == "abs":
        return abs(value)
    if name in ("items", "dictsort"):
        return [[key, item] for key, item in value.items()]
    raise ValueError


def replaced(value: str, old: str, new: str) -> str:
    if len(value) + value.count(old) * len(new) > 4 * LONGEST:
        raise ValueError
    return value.replace(old, new)


_STRING_METHODS = frozenset(
    {"lower", "upper", "strip", "lstrip", "rstrip", "title", "capitalize", "swapcase", "casefold", "split", "rsplit"}
    | {"partition", "rpartition", "removeprefix", "removesuffix", "splitlines", "find", "index", "count"}
    | {"startswith", "endswith"}
)


def method_value(owner: Any, name: str, given: list[Any], named: dict[str, Any]) -> Any:
    """What a method of a known value, or a global function, returns. Raises where that is not known."""
    if owner is None:
        return _global_value(name, given, named)
    if isinstance(owner, str):
        if name in _STRING_METHODS:
            return getattr(owner, name)(*given)
        if name == "replace":
            return replaced(owner, given[0], given[1])
        if name == "join":
            return concatenated(iterated(given[0]), owner)
        if name == "format":
            return filled(owner, given, named)
        if name == "format_map":
            return filled(owner, [], given[0])
    if isinstance(owner, dict) and name in ("get", "pop", "setdefault"):
        return owner.get(given[0], given[1] if len(given) > 1 else None)
    if isinstance(owner, dict) and name in ("keys", "values", "items"):
        return [list(one) if isinstance(one, tuple) else one for one in getattr(owner, name)()]
    if isinstance(owner, list) and name == "pop":
        return owner[given[0] if given else -1]
    raise ValueError


def _global_value(name: str, given: list[Any], named: dict[str, Any]) -> Any:
    if name == "dict":
        return {**(dict(given[0]) if given else {}), **named}
    if name == "range":
        numbers = range(*given)
        if len(numbers) > _ITEMS:
            raise ValueError
        return list(numbers)
    raise ValueError
