"""The group that each row of a call belongs to."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from garrison.serving.calls import Call
from garrison.serving.observe.settings import Group

_LONGEST = 64
"""Characters of a group's name that count."""


def groups_of(call: Call, rows: int, groups: Mapping[str, Group]) -> dict[str, list[str]]:
    """By attribute the group (rows,) of each row, as far as the call tells."""
    found = {}
    for attribute, group in groups.items():
        name = group.name or attribute
        if group.source == "principal":
            value = call.principal.attributes.get(name)
            if value is not None:
                found[attribute] = [named(value, group)] * rows
        elif group.source == "input":
            tensor = next((one for one in call.tensors() if one.name == name), None)
            if tensor is not None and tensor.data.size == rows:
                found[attribute] = [named(value, group) for value in tensor.data.ravel().tolist()]
    return found


def given(groups: Mapping[str, Any], rows: int, settings: Mapping[str, Group]) -> dict[str, list[str]]:
    """The same from what labels came with: for each attribute a value, or one for each row.

    Raises `ValueError` for attributes that are not configured to come so, and for another number of values.
    """
    found = {}
    for attribute, values in groups.items():
        group = settings.get(attribute)
        if group is None or group.source != "feedback":
            raise ValueError(f"no group named {attribute[:_LONGEST]!r} comes with labels")
        listed: Sequence[Any] = values if isinstance(values, list) else [values] * rows
        if len(listed) != rows:
            raise ValueError(f"{attribute[:_LONGEST]!r} has {len(listed):,} values for {rows:,} rows")
        found[attribute] = [named(value, group) for value in listed]
    return found


def named(value: Any, group: Group) -> str:
    """The name of the group that a value belongs to."""
    if group.edges and isinstance(value, int | float):
        at = bisect_right(group.edges, value)
        low = f"{group.edges[at - 1]:g}" if at else ""
        high = f"{group.edges[at]:g}" if at < len(group.edges) else ""
        return f"{low}..{high}"
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text[:_LONGEST]
