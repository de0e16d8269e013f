"""From a message to a call, and through the guard. Sees messages and metadata, and neither servers nor channels."""

import time
from collections.abc import Awaitable, Iterable, Mapping

from garrison.serving.calls import Action, Answer, Call, Forward, Peer
from garrison.serving.config.config import Listen
from garrison.serving.grpc import metadata
from garrison.serving.grpc.codec import InferCodec, PlainCodec, parsed
from garrison.serving.grpc.methods import Method
from garrison.serving.guard import Guard
from garrison.serving.refusals import Reason, Refused

_LISTEN = Listen()
_NAME_START = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_NAME = _NAME_START | {"."}
_LONGEST_NAME = 255
_LONGEST_TEXT = 1024


class Gateway:
    """Immutable, like the guard that it holds: a new configuration makes a new one."""

    def __init__(
        self,
        guard: Guard,
        forward: Forward,
        *,
        listen: Listen = _LISTEN,
        max_bodies: Mapping[str, int] | None = None,
    ) -> None:
        """`listen` bounds what clients may send, and `max_bodies` the messages for models that take less."""
        self.listen = listen
        self._max_bodies = dict(max_bodies or {})
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
        headers = metadata.headers(pairs, most=self.listen.max_headers)
        message = parsed(method.request, body)
        model = version = ""
        if method.model:
            model = _name(getattr(message, method.model))
            if not model and not method.all:
                raise Refused(Reason.MALFORMED, "the request names no model")
        if len(body) > min(self.listen.max_body, self._max_bodies.get(model, self.listen.max_body)):
            raise Refused(Reason.TOO_LARGE, "the message is too large")
        if method.version:
            version = _name(getattr(message, method.version))
        infers = method.action is Action.INFER
        call = Call(
            method.action,
            transport="grpc",
            headers=headers,
            peer=peer,
            codec=InferCodec(message) if infers else PlainCodec(message, method.parameters),
            model=model,
            version=version,
            operation=method.operation,
            target=method.path,
            body=body,
        )
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
