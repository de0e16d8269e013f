"""From a message to a call, and through the guard. Sees messages and metadata, and neither servers nor channels."""

import time
from collections.abc import Awaitable, Iterable

import msgspec

from garrison.serving.calls import Action, Answer, Call, Forward, Peer
from garrison.serving.grpc import metadata
from garrison.serving.grpc.codec import InferCodec, parsed
from garrison.serving.grpc.methods import Method
from garrison.serving.guard import Guard
from garrison.serving.refusals import Reason, Refused

_NAME_START = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_NAME = _NAME_START | {"."}
_LONGEST_NAME = 255
_LONGEST_TEXT = 1024


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on what a client may send, and how slowly."""

    message: int = 4 << 20
    """Bytes of a request."""
    answer: int = 64 << 20
    """Bytes of an answer."""
    metadata: int = 64
    """Pairs of them."""
    metadata_bytes: int = 16 << 10
    message_seconds: float = 30.0
    """From the beginning of a call to the end of its message."""
    idle_seconds: float = 75.0
    """Between two calls of a connection, and between two messages of a stream."""
    handshake_seconds: float = 10.0
    calls: int = 1024
    """At the same time."""
    streams: int = 100
    """Calls of one connection at the same time."""
    connections: int = 4096


class Gateway:
    """Immutable, like the guard that it holds: a new configuration makes a new one."""

    def __init__(self, guard: Guard, forward: Forward, *, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._guard = guard
        self._forward = forward

    def begin(
        self,
        method: Method,
        pairs: Iterable[tuple[str, str | bytes]],
        peer: Peer,
        body: bytes,
        seconds: float | None,
    ) -> Call:
        """The call that a message asks for. `seconds` is how long its caller waits. Raises `Refused`."""
        headers = metadata.headers(pairs, most=self.limits.metadata)
        message = parsed(method.request, body)
        model = version = ""
        if method.model:
            model = _name(getattr(message, method.model))
            if not model and not method.all:
                raise Refused(Reason.MALFORMED, "the request names no model")
        if method.version:
            version = _name(getattr(message, method.version))
        infers = method.action is Action.INFER
        if not infers:
            body = _anew(method, message)
        call = Call(
            method.action,
            transport="grpc",
            headers=headers,
            peer=peer,
            codec=InferCodec(message) if infers else None,
            model=model,
            version=version,
            operation=method.operation,
            target=method.path,
            body=body,
        )
        if infers:
            call.name = message.id
        if seconds is not None:
            call.deadline = time.monotonic() + seconds
        return call

    def answer(self, call: Call) -> Awaitable[Answer]:
        """The answer to a call; refusals included, and all of them on record."""
        return self._guard.answer(call, self._forward)

    def answer_by(self, call: Call, forward: Forward) -> Awaitable[Answer]:
        """The same, where something else than the server behind has what is asked for."""
        return self._guard.answer(call, forward)

    def refuse(self, refused: Refused, peer: Peer, path: str) -> Awaitable[Answer]:
        """The answer to what is refused before it is a whole call: recorded, and seen by no stage."""
        call = Call(Action.UNKNOWN, transport="grpc", headers={}, peer=peer, target=path[:_LONGEST_TEXT])
        return self._guard.refuse(call, refused)


class Current:
    """The gateway that new calls meet. Calls that have begun end with the one that they began with."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        """Assign another to reload: no call is dropped."""


def _name(name: str) -> str:
    """A name of a model or a version, by the rule that paths of REST have."""
    if not name:
        return name
    if len(name) > _LONGEST_NAME or name[0] not in _NAME_START or not _NAME.issuperset(name):
        raise Refused(Reason.MALFORMED, "the name of a model or a version is not valid")
    return name


def _anew(method: Method, message: object) -> bytes:
    """A request written from what was read in it."""
    if method.operation in ("load", "unload"):
        for name in getattr(message, "parameters", ()):
            if name not in method.parameters:
                raise Refused(Reason.FORBIDDEN, "a model is loaded as it lies in the repository, without parameters")
    message.DiscardUnknownFields()  # type: ignore[attr-defined]
    written: bytes = message.SerializeToString()  # type: ignore[attr-defined]
    return written
