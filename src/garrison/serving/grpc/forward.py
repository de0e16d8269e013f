"""Asks the server behind the guard over gRPC."""

import time
from collections.abc import Mapping
from typing import Any

import grpc
import grpc.aio
import msgspec

from garrison.core.errors import UsageError
from garrison.core.files import contents
from garrison.serving.calls import Answer, Call
from garrison.serving.grpc.codec import renamed
from garrison.serving.grpc.methods import METHODS
from garrison.serving.grpc.statuses import failure
from garrison.serving.refusals import Reason, Refused

_MOST_PEM = 1 << 20


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A server behind the guard."""

    address: str
    """`host:port`, `https://host:port` for TLS, or `unix:/path`."""
    authorities: str = ""
    """With TLS, a PEM file of the authorities that it is verified by; the system's where empty."""
    certificate: str = ""
    """A PEM file with what the guard shows the server."""
    key: str = ""


class GrpcForward:
    """Forwards calls to servers, each over a connection that is kept. Made inside the event loop that uses it."""

    def __init__(
        self,
        targets: Mapping[str, Target],
        *,
        seconds: float = 60.0,
        most_request: int = 4 << 20,
        most_answer: int = 64 << 20,
    ) -> None:
        """`targets` by the names of backends. `seconds` bound how long a server may take, whatever the caller's
        deadline; `most_answer` how many bytes it may answer.

        Raises `UsageError` for addresses and certificates that are none.
        """
        options = [
            ("grpc.max_send_message_length", most_request + 65536),
            ("grpc.max_receive_message_length", most_answer),
            ("grpc.max_metadata_size", 16 << 10),
            ("grpc.absolute_max_metadata_size", 16 << 10),
            # No request is sent twice, none through a proxy of the environment's, and nobody's DNS says how.
            ("grpc.enable_retries", 0),
            ("grpc.enable_http_proxy", 0),
            ("grpc.service_config_disable_resolution", 1),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.compression_enabled_algorithms_bitset", 1),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 2000),
            ("grpc.primary_user_agent", "garrison"),
        ]
        self._seconds = seconds
        self._channels = {name: _channel(target, options) for name, target in targets.items()}
        self._methods: dict[tuple[str, str], Any] = {
            (name, path): channel.unary_unary(path.replace("ModelStreamInfer", "ModelInfer"))
            for name, channel in self._channels.items()
            for path in METHODS
        }

    async def __call__(self, call: Call) -> Answer:
        """The server's answer, or what stands for its failure. Raises `Refused` where it does not answer."""
        # Reading writes the body anew: nothing that was not understood leaves, whether or not a stage has looked.
        call.tensors()
        body = renamed(call.body, call.model, call.version) if call.requested and call.codec else call.body
        method = self._methods.get((self._backend(call), call.target))
        if method is None:
            raise Refused(Reason.BACKEND, "no model server that speaks gRPC is configured for the request")
        seconds = self._seconds
        if call.deadline is not None:
            seconds = min(seconds, call.deadline - time.monotonic())
            if seconds <= 0:
                raise Refused(Reason.DEADLINE, "the deadline of the request has passed")
        metadata: tuple[tuple[str, str], ...] = (("x-request-id", call.identifier),)
        if call.trace:
            metadata += (("traceparent", call.trace),)
        try:
            return Answer(200, await method(body, timeout=seconds, metadata=metadata))
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


def _channel(target: Target, options: list[tuple[str, Any]]) -> Any:
    address = target.address
    secure = address.startswith("https://")
    address = address.removeprefix("https://").removeprefix("http://")
    if address.startswith("unix:"):
        if not address.removeprefix("unix:").startswith("/"):
            raise UsageError(f"the address {target.address!r} names no absolute path of a socket: write unix:/path")
    elif "/" in address or not address.rpartition(":")[2].isdecimal() or not address.rpartition(":")[0]:
        raise UsageError(f"the address {target.address!r} is none of a gRPC server: write host:port or https://...")
    if not secure:
        return grpc.aio.insecure_channel(address, options)
    credentials = grpc.ssl_channel_credentials(
        *(contents(path, _MOST_PEM) if path else None for path in (target.authorities, target.key, target.certificate))
    )
    return grpc.aio.secure_channel(address, credentials, options)
