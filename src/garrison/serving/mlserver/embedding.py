"""MLServer with something in front of all that it answers, REST and gRPC.

MLServer has no settings for middleware of REST or interceptors of gRPC, so that two names are used here that it does
not promise to keep (`_rest_server._app`, `_grpc_server._create_server`). A version that has them otherwise is refused,
and never served without what was to stand in front of it.
"""

from collections.abc import Callable, Sequence
from typing import Any

from garrison.core.errors import UsageError

_UNKNOWN = "this version of MLServer has its servers elsewhere; 1.7 is known"


def application(server: Any) -> Any:
    """The ASGI application of an `mlserver.MLServer`: what answers REST.

    Raises `UsageError` for a version of MLServer that has it elsewhere.
    """
    found = getattr(getattr(server, "_rest_server", None), "_app", None)
    if found is None:
        raise UsageError(_UNKNOWN)
    return found


def embed(server: Any, front: Any, interceptors: Sequence[Any]) -> None:
    """Put these in front of an `mlserver.MLServer` that has not been started.

    `front` is an ASGI application, which asks the server's own. Raises `UsageError` for a version of MLServer in which
    that cannot be done, and where requests would come in by another way.
    """
    own = application(server)
    grpc_server: Any = getattr(server, "_grpc_server", None)
    create = getattr(grpc_server, "_create_server", None)
    if create is None:
        raise UsageError(_UNKNOWN)
    if server._kafka_server is not None:
        raise UsageError("requests by Kafka would go around the guard; set kafka_enabled to false")
    server._rest_server._app = _Front(own, front)
    grpc_server._create_server = lambda: _with_interceptors(create, tuple(interceptors))


class _Front:
    """The application as MLServer goes on to know it: requests come through the front, and routes are added
    behind it."""

    def __init__(self, app: Any, front: Any) -> None:
        self._app = app
        self._front = front

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await (self._app if scope["type"] == "lifespan" else self._front)(scope, receive, send)

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
