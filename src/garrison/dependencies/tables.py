"""Parts of a parsed document of which nobody knows whether they are what they should be."""

from collections.abc import Iterator
from typing import Any


def table(owner: object, key: str) -> dict[str, Any]:
    """The table of that name, or an empty one."""
    found = owner.get(key) if isinstance(owner, dict) else None
    return found if isinstance(found, dict) else {}


def listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def texts(value: object) -> Iterator[tuple[int, str]]:
    """The strings of a list with their places in it."""
    return ((number, one) for number, one in enumerate(listed(value)) if isinstance(one, str))


def named_tables(value: object) -> Iterator[tuple[int, dict[str, Any]]]:
    """The tables of a list with their places in it."""
    return ((number, one) for number, one in enumerate(listed(value)) if isinstance(one, dict))
