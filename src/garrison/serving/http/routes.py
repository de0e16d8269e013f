"""Which requests there are. What is in no route never reaches a server.

A path is read once, strictly, and written anew: the server behind is asked for what was understood, not for what came.
"""

import functools
import os
import re
import urllib.parse
from collections.abc import Iterable
from typing import Literal

import msgspec

from garrison.core.errors import UsageError
from garrison.serving.calls import Action
from garrison.serving.refusals import Reason, Refused

_LONGEST_TARGET = 2048
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}")
_PLACE = re.compile(r"\{(model|version|region)\}(:[a-z]+)?")
_LITERAL = re.compile(r"[A-Za-z0-9._~:@-]+")


class Route(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of request."""

    operation: str
    method: Literal["GET", "POST"]
    pattern: str
    """`{model}`, `{version}` and `{region}` stand for names."""
    action: Action
    codec: str = ""
    """Which codec reads its bodies; empty for bodies that hold no tensors."""
    body: tuple[str, ...] = ()
    """Members that the JSON of a body without a codec may have, those of a table within it after a dot. What makes a
    server run, read or write what a caller names (a model's files, the file of a log) is in no list."""
    model: str = ""
    """The model that is asked where the path does not name one."""
    stream: bool = False
    """Whether the answer comes in parts."""
    answered: Literal["server", "guard"] = "server"


class Match(msgspec.Struct, frozen=True):
    """What a request line asks for."""

    route: Route
    model: str
    version: str
    target: str
    """The path, written anew."""


with open(os.path.join(os.path.dirname(__file__), "routes.json"), "rb") as _file:
    ROUTES = msgspec.json.decode(_file.read(), type=tuple[Route, ...])
STREAMING = frozenset(route.operation for route in ROUTES if route.stream)
"""Operations whose answers come in parts."""


class Unlisted(Refused):
    """A method that a path does not have."""

    def __init__(self, allowed: list[str]) -> None:
        super().__init__(Reason.METHOD, "the path does not have this method")
        self.allow = ", ".join(sorted(allowed)).encode()


class Router:
    """Finds the route of a request."""

    def __init__(self, routes: Iterable[Route] = ROUTES) -> None:
        """Raises `UsageError` for two routes of one method and pattern, and for patterns that no path can have."""
        self._by_length: dict[int, list[tuple[tuple[str | re.Match[str], ...], Route]]] = {}
        seen = set()
        for route in routes:
            if not route.pattern.startswith("/"):
                raise UsageError(f"{route.pattern!r} is no path: it begins with a slash")
            if (route.method, route.pattern) in seen:
                raise UsageError(f"two routes are {route.method} {route.pattern}")
            seen.add((route.method, route.pattern))
            parts = tuple(_part(segment, route) for segment in route.pattern.removeprefix("/").split("/"))
            self._by_length.setdefault(len(parts), []).append((parts, route))
        for candidates in self._by_length.values():
            # What is written out goes before what a name may stand for.
            candidates.sort(key=lambda one: [not isinstance(part, str) for part in one[0]])
        self.match = functools.lru_cache(1024)(self._match)
        """`match(method, target)`: the route of a request line. Raises `Refused`."""

    def _match(self, method: str, target: bytes) -> Match:
        segments = path_segments(target)
        allowed: list[str] = []
        for parts, route in self._by_length.get(len(segments), ()):
            names = _names(parts, segments)
            if names is None:
                continue
            if route.method == method:
                path = "/" + "/".join(segments)
                return Match(route, names.get("model", route.model), names.get("version", ""), path)
            allowed.append(route.method)
        if allowed:
            raise Unlisted(allowed)
        raise Refused(Reason.UNKNOWN, "no such path is served here")


def path_segments(target: bytes) -> tuple[str, ...]:
    """The path of a request target, without its query. Raises `Refused` for what could be read in more than one way:
    dots, empty segments, encoded slashes, bytes beyond ASCII, anything that is not an absolute path."""
    if len(target) > _LONGEST_TARGET:
        raise Refused(Reason.MALFORMED, "the path is too long")
    path, _, _ = target.partition(b"?")
    if path[:1] != b"/" or not path.isascii():
        raise Refused(Reason.MALFORMED, "the target of the request is not a path")
    segments = tuple(_decoded(segment) for segment in path[1:].decode("ascii").split("/"))
    if not all(_LITERAL.fullmatch(segment) and segment[0] != "." for segment in segments):
        raise Refused(Reason.MALFORMED, "the path has characters or segments that no path here has")
    return segments


def _decoded(segment: str) -> str:
    # Once: what is encoded twice keeps a percent sign, which no segment may have.
    return urllib.parse.unquote(segment, errors="replace") if "%" in segment else segment


def _part(segment: str, route: Route) -> "str | re.Match[str]":
    place = _PLACE.fullmatch(segment)
    if place is not None:
        return place
    if not _LITERAL.fullmatch(segment) or segment[0] == ".":
        raise UsageError(f"no path is like {route.pattern}: segments have letters, digits and . _ ~ : @ -")
    return segment


def _names(parts: "tuple[str | re.Match[str], ...]", segments: tuple[str, ...]) -> dict[str, str] | None:
    names = {}
    for part, segment in zip(parts, segments, strict=True):
        if isinstance(part, str):
            if part != segment:
                return None
            continue
        suffix = part[2] or ""
        if not segment.endswith(suffix):
            return None
        name = segment.removesuffix(suffix) if suffix else segment
        if not _NAME.fullmatch(name):
            return None
        names[part[1]] = name
    return names
