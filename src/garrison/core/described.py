"""Builds descriptions from what hostile files say: texts and lists are cut, and what is of another type is left out."""

from collections.abc import Iterable, Mapping
from typing import Any

from garrison.core.facts import Description, Link, Metric

_TEXT = 300
_SUMMARY = 2000
_ITEMS = 64
_LARGEST = 1 << 63
_LISTS = frozenset(
    {"authors", "licences", "quantisation", "inputs", "outputs", "languages", "tags", "datasets", "base_models"}
    | {"content"}
)
_TABLES = frozenset({"frameworks", "settings", "emissions"})


def described(place: str = "", **said: object) -> Description | None:
    """A description of what of `said` (fields of `Description`) says something; `None` where nothing does.

    A list may be given as one value, a text as a number, and a table's values as numbers.
    """
    found: dict[str, Any] = {}
    for field, value in said.items():
        if field in _LISTS:
            kept: object = texts(value)
        elif field in _TABLES:
            kept = _table(value)
        elif field == "element_types":
            kept = _counts(value)
        elif field == "parameters":
            kept = value if type(value) is int and 0 < value < _LARGEST else None
        elif field == "metrics":
            kept = tuple(_cut(value, Metric))
        elif field == "links":
            kept = tuple(one for one in _cut(value, Link) if one.target)
        else:
            kept = text(value, _SUMMARY if field == "summary" else _TEXT)
        if kept:
            found[field] = kept
    return Description(place=place, **found) if found.keys() - {"about"} else None


def text(value: object, limit: int = _TEXT) -> str:
    """A text or a number as text on one line, without lone surrogates; empty for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    if isinstance(value, int) and abs(value) >= _LARGEST:
        # Of numbers without bound Python refuses to write some.
        return ""
    plain = str(value)[: 4 * limit].encode("utf-8", "backslashreplace").decode()
    return " ".join(plain.split())[:limit]


def texts(value: object) -> tuple[str, ...]:
    """The texts of a list, or the one that stands for a list, each once."""
    given = value if isinstance(value, list | tuple) else [value]
    return tuple(dict.fromkeys(kept for one in given[: 4 * _ITEMS] if (kept := text(one))))[:_ITEMS]


def _table(value: object) -> dict[str, str]:
    pairs = list(value.items())[: 4 * _ITEMS] if isinstance(value, Mapping) else []
    # A framework may be known without its version.
    return {text(key): text(one) for key, one in pairs if text(key) and (one == "" or text(one))}


def _counts(value: object) -> dict[str, int]:
    pairs = list(value.items())[:_ITEMS] if isinstance(value, Mapping) else []
    return {text(key): one for key, one in pairs if text(key) and type(one) is int and 0 <= one < _LARGEST}


def _cut(value: object, kind: type) -> "Iterable[Any]":
    import msgspec.structs

    for one in value[:_ITEMS] if isinstance(value, list | tuple) else ():
        if isinstance(one, kind):
            fields = msgspec.structs.asdict(one)  # type: ignore[arg-type]
            yield kind(**{name: text(part) for name, part in fields.items()})
