"""Paths in a configuration begin where its file lies, whatever directory is the current one."""

import os
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from garrison.core.errors import UsageError

ConfigPath = Annotated[str, msgspec.Meta(extra={"path": True})]
"""A field that names a file or a directory; empty for none."""


def located(settings: Any, base: str) -> Any:
    """The same settings, with every `ConfigPath` in them absolute; relative ones begin at `base`.

    Raises `UsageError` for what names no path.
    """
    hints = get_type_hints(type(settings), include_extras=True)
    changed = {}
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        placed = _placed(value, hints[name], base)
        if placed is not value:
            changed[name] = placed
    return msgspec.structs.replace(settings, **changed) if changed else settings


def _placed(value: Any, hint: Any, base: str) -> Any:
    if isinstance(value, msgspec.Struct):
        return located(value, base)
    if isinstance(value, str):
        if "\0" in value and _names_a_path(hint):
            raise UsageError(f"{value[:80]!a} is no path")
        return os.path.normpath(os.path.join(base, value)) if value and _names_a_path(hint) else value
    inner = [hint for hint in get_args(hint) if hint is not Ellipsis]
    if isinstance(value, tuple | list) and value:
        return type(value)(_placed(one, inner[0], base) for one in value)
    if isinstance(value, dict) and value:
        return {key: _placed(one, inner[-1], base) for key, one in value.items()}
    return value


def _names_a_path(hint: Any) -> bool:
    if get_origin(hint) is Annotated:
        return any(isinstance(one, msgspec.Meta) and (one.extra or {}).get("path") for one in get_args(hint)[1:])
    return any(_names_a_path(one) for one in get_args(hint))
