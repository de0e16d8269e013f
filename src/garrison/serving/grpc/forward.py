"""Asks the server behind the guard over gRPC."""

import time
from collections.abc import Mapping
from typing import Any

import grpc
import grpc.aio

from garrison.core.errors import UsageError
from garrison.core.files import contents
from garrison.serving.calls import Action, Answer, Call
from garrison.serving.config.config import Backend
from garrison.serving.config.secrets import secret
from garrison.serving.grpc.codec import renamed
from garrison.serving.grpc.methods import METHODS
from garrison.serving.grpc.statuses import failure
from garrison.serving.refusals import Reason, Refused

_MOST_PEM = 1 << 20
_MOST_METADATA = 16 << 10


class GrpcForward:
    """Forwards calls to servers, each over a connection that is kept. Made inside the event loop that uses it."""

    def __init__(self, backends: Mapping[str, Backend]) -> None:
        """`backends` by their names; those without an address for gRPC are left out.

        Raises `UsageError` for addresses and certificates that are none.
        """
        self._backends = {name: backend for name, backend in backends.items() if backend.grpc}
        self._secrets = {
            name: (("x-garrison-backend", secret(one.secret_file)),) if one.secret_file else ()
            for name, one in self._backends.items()
        }
        self._channels = {name: _channel(backend) for name, backend in self._backends.items()}
        self._methods: dict[tuple[str, str], Any] = {
            (name, path): channel.unary_unary(path.replace("ModelStreamInfer", "ModelInfer"))
            for name, channel in self._channels.items()
            for path in METHODS
        }

    async def __call__(self, call: Call) -> Answer:
        """The server's answer, or what stands for its failure. Raises `Refused` where it does not answer."""
        # Reading writes the body anew: nothing that was not understood leaves, whether or not a stage has looked.
        call.tensors()
        body = (
            renamed(call.body, call.model, call.version)
            if call.requested and call.action is Action.INFER
            else call.body
        )
        name = self._backend(call)
        method = self._methods.get((name, call.target))
        if method is None:
            raise Refused(Reason.BACKEND, "no model server that speaks gRPC is configured for the request")
        seconds = self._backends[name].timeout
        if call.deadline is not None:
            seconds = min(seconds, call.deadline - time.monotonic())
            if seconds <= 0:
                raise Refused(Reason.DEADLINE, "the deadline of the request has passed")
        # Metadata costs as much as all that the guard looks at in a call: none is sent that nothing reads.
        metadata = (("traceparent", call.trace),) if call.trace else ()
        try:
            return Answer(200, await method(body, timeout=seconds, metadata=(*self._secrets[name], *metadata) or None))
        except grpc.aio.AioRpcError as error:
            return failure(error.code().name, error.details() or "")

    def _backend(self, call: Call) -> str:
        """The name of the server that a call is for; the only one for what concerns no model."""
        if call.backend:
            return call.backend
        if call.settings is not None:
            return call.settings.backend
        return next(iter(self._channels)) if len(self._channels) == 1 else "default"

    async def close(self) -> None:
        """Close all connections; calls in them fail."""
        for channel in self._channels.values():
            await channel.close()


def _options(backend: Backend) -> list[tuple[str, Any]]:
    return [
        # Requests are bounded where they come from.
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", backend.max_answer),
        ("grpc.max_metadata_size", _MOST_METADATA),
        ("grpc.absolute_max_metadata_size", _MOST_METADATA),
        # No request is sent twice, none through a proxy of the environment's, and nobody's DNS says how.
        ("grpc.enable_retries", 0),
        ("grpc.enable_http_proxy", 0),
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.compression_enabled_algorithms_bitset", 1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", int(backend.connect_timeout * 1000)),
        ("grpc.max_reconnect_backoff_ms", 2000),
        ("grpc.primary_user_agent", "garrison"),
    ]


def _channel(backend: Backend) -> Any:
    address = backend.grpc.removeprefix("https://")
    if address.startswith("unix:"):
        if not address.removeprefix("unix:").startswith("/"):
            raise UsageError(f"the address {backend.grpc!r} names no absolute path of a socket: write unix:/path")
    elif "/" in address or not address.rpartition(":")[2].isdecimal() or not address.rpartition(":")[0]:
        raise UsageError(f"the address {backend.grpc!r} is none of a gRPC server: write host:port or https://host:port")
    if address == backend.grpc:
        return grpc.aio.insecure_channel(address, _options(backend))
    shown = (backend.authorities, backend.key or backend.certificate, backend.certificate)
    credentials = grpc.ssl_channel_credentials(*(contents(path, _MOST_PEM) if path else None for path in shown))
    return grpc.aio.secure_channel(address, credentials, _options(backend))
