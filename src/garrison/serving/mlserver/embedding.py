"""MLServer with something in front of all that it answers, REST and gRPC.

MLServer has no settings for middleware of REST or interceptors of gRPC, so that two names are used here that it does
not promise to keep (`_rest_server._app`, `_grpc_server._create_server`). A version that has them otherwise is refused,
and never served without what was to stand in front of it.
"""

from collections.abc import Callable, Sequence
from typing import Any

from garrison.core.errors import UsageError

Middleware = Callable[[Any], Any]
"""Makes an ASGI application of another."""


def embed(server: Any, middleware: Middleware, interceptors: Sequence[Any]) -> None:
    """Put these in front of an `mlserver.MLServer` that has not been started.

    Raises `UsageError` for a version of MLServer in which that cannot be done.
    """
    rest: Any = getattr(server, "_rest_server", None)
    grpc_server: Any = getattr(server, "_grpc_server", None)
    create = getattr(grpc_server, "_create_server", None)
    if not hasattr(rest, "_app") or create is None:
        raise UsageError("this version of MLServer has its servers elsewhere; 1.7 is known")
    if server._kafka_server is not None:
        raise UsageError("requests by Kafka would go around the guard; set kafka_enabled to false")
    rest._app = _Front(rest._app, middleware(rest._app))
    grpc_server._create_server = lambda: _with_interceptors(create, tuple(interceptors))


class _Front:
    """The application as MLServer goes on to know it: requests come through the front, routes are added behind it."""

    def __init__(self, app: Any, front: Any) -> None:
        self._app = app
        self._front = front

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._front(scope, receive, send)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._app, name)


def _with_interceptors(create: Callable[[], Any], interceptors: tuple[Any, ...]) -> Any:
    """MLServer's own server, made with these before its own interceptors."""
    from mlserver.grpc import server as module

    real = module.aio.server
    made = []

    class _Aio:
        """`grpc.aio`, as far as MLServer asks it for a server."""

        @staticmethod
        def server(pool: Any, interceptors: Sequence[Any] = (), **options: Any) -> Any:
            made.append(real(pool, interceptors=[*_first, *interceptors], **options))
            return made[-1]

    _first = interceptors
    before, module.aio = module.aio, _Aio
    try:
        server = create()
    finally:
        module.aio = before
    if not made:
        raise UsageError("this version of MLServer makes its gRPC server elsewhere; 1.7 is known")
    return server
