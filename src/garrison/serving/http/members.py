"""Bodies that hold no tensors: settings, and what to load. Servers see what is listed for the route, written anew."""

from collections.abc import Iterator
from typing import Any

import msgspec

from garrison.serving.refusals import Reason, Refused

_DECODER = msgspec.json.Decoder(dict[str, Any])


def rewritten(body: bytes, allowed: frozenset[str]) -> bytes:
    """The same JSON, if it has no members but those. An empty body stays empty. Raises `Refused`."""
    if not body.strip():
        return b""
    try:
        document = _DECODER.decode(body)
        written = msgspec.json.encode(document)
    except (ValueError, OverflowError, RecursionError):
        raise Refused(Reason.MALFORMED, "the body is no table in JSON") from None
    for name in _members(document):
        if name not in allowed:
            raise Refused(Reason.FORBIDDEN, f"the body has {name[:64]!a}, which is not passed on")
    return written


def _members(document: dict[str, Any]) -> Iterator[str]:
    for name, value in document.items():
        if isinstance(value, dict):
            for inner, further in value.items():
                yield f"{name}.{inner}" if not isinstance(further, dict) else f"{name}.{inner}.*"
        elif isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
            yield f"{name}.*"
        else:
            yield name
