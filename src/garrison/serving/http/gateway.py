"""From a request to a call, and through the guard. Sees heads and bodies, and neither sockets nor frameworks."""

from collections.abc import Awaitable, Iterable, Mapping

from garrison.core.errors import UsageError
from garrison.serving.calls import Action, Answer, Call, Codec, Forward, Peer
from garrison.serving.config.config import Listen
from garrison.serving.guard import Guard
from garrison.serving.http import headers as header_lines
from garrison.serving.http.members import rewritten
from garrison.serving.http.routes import ROUTES, Route, Router, Unlisted
from garrison.serving.refusals import Reason, Refused

_LISTEN = Listen()


class Gateway:
    """Immutable, like the guard that it holds: a new configuration makes a new one."""

    def __init__(
        self,
        guard: Guard,
        forward: Forward,
        *,
        codecs: Mapping[str, Codec],
        handlers: Mapping[str, Forward] | None = None,
        routes: Iterable[Route] = (),
        listen: Listen = _LISTEN,
        max_bodies: Mapping[str, int] | None = None,
    ) -> None:
        """`codecs` are those of the routes, by name; routes whose codec is missing are not served, as their bodies
        could not be looked into. `handlers` answer operations in the server's place. `routes` are those besides
        `routes.json`. `listen` bounds what clients may send, and `max_bodies` the bodies for models that take less.
        Raises `UsageError` for routes that contradict each other or name no codec that there is.
        """
        self.listen = listen
        self._max_bodies = dict(max_bodies or {})
        self._guard = guard
        self._forward = forward
        self._codecs = {"": None, **codecs}
        self._handlers = dict(handlers or {})
        routes = tuple(routes)
        for route in routes:
            if route.codec not in self._codecs:
                raise UsageError(f"no codec is called {route.codec!r}; there are: {', '.join(sorted(codecs))}")
        served = [route for route in (*ROUTES, *routes) if self._served(route)]
        self._match = Router(served).match
        self._members: dict[str, frozenset[str]] = {}
        for route in served:
            self._members[route.operation] = self._members.get(route.operation, frozenset()).union(route.body)

    def _served(self, route: Route) -> bool:
        return route.codec in self._codecs and (route.answered == "server" or route.operation in self._handlers)

    def begin(self, method: str, target: bytes, headers: Iterable[tuple[bytes, bytes]], peer: Peer) -> Call:
        """The call that a head asks for, still without a body. Raises `Refused`."""
        match = self._match(method, target)
        route = match.route
        return Call(
            route.action,
            transport="http",
            headers=header_lines.read(headers, most=self.listen.max_headers, most_bytes=self.listen.max_head),
            peer=peer,
            codec=self._codecs[route.codec],
            model=match.model,
            version=match.version,
            operation=route.operation,
            method=method,
            target=match.target,
        )

    def most_bytes(self, call: Call) -> int:
        """How long the body of a call may be."""
        if call.method == "GET":
            return 0
        return min(self.listen.max_body, self._max_bodies.get(call.model, self.listen.max_body))

    def declared(self, call: Call) -> int | None:
        """The length of the body, as far as its head tells. Raises `Refused` where it is too long."""
        declared = header_lines.length(call.headers)
        if declared is not None and declared > self.most_bytes(call):
            raise too_large(call)
        return declared

    def head(self, call: Call) -> None:
        """Raises `Refused` for a call whose body need not be read, since nobody is let in with it."""
        self._guard.head(call)

    def answer(self, call: Call) -> Awaitable[Answer]:
        """The answer to a call that has its body; refusals included, and all of them on record."""
        return self._guard.answer(call, self._handlers.get(call.operation, self._ask))

    def _ask(self, call: Call) -> Awaitable[Answer]:
        # Nothing that was not understood leaves, whether or not a stage has looked at it: reading writes it anew.
        if call.codec is not None:
            call.tensors()
        elif call.body:
            call.body = rewritten(call.body, self._members[call.operation])
        return self._forward(call)

    async def refuse(self, refused: Refused, call: Call) -> Answer:
        """The answer to what is refused before it is a whole call: recorded, and seen by no stage."""
        answer = await self._guard.refuse(call, refused)
        if isinstance(refused, Unlisted):
            answer.headers.append((b"allow", refused.allow))
        return answer


def unread(peer: Peer, method: str) -> Call:
    """The call that stands for a request of which nothing else can be told."""
    return Call(Action.UNKNOWN, transport="http", headers={}, peer=peer, method=method)


def too_large(call: Call) -> Refused:
    """What to raise when a body is longer than it may be."""
    if call.method == "GET":
        return Refused(Reason.TOO_LARGE, "a request of this method has no body")
    return Refused(Reason.TOO_LARGE, "the body is too large")


class Current:
    """The gateway that new requests meet. Requests that have begun end with the one that they began with."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        """Assign another to reload: no request is dropped."""
