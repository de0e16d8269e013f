"""JSON that is safe to show and that any reader accepts."""

from typing import Any

import msgspec


def json_text(value: Any) -> str:
    """Indented JSON; what is not printable stays inside as `\\u` escapes, so that no terminal acts on it."""
    try:
        text = msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        # Lone surrogates, which no Unicode encoding can carry.
        text = msgspec.json.encode(_encodable(msgspec.to_builtins(value))).decode()
    if not text.isprintable():
        text = "".join(char if char.isprintable() else _escape(char) for char in text)
    return msgspec.json.format(text, indent=2) + "\n"


def _escape(char: str) -> str:
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(item) for item in value]
    return value
