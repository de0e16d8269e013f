"""What flows through the stages: a call, and the answer to it."""

import enum
import itertools
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

if TYPE_CHECKING:
    from garrison.serving.config.config import Model
    from garrison.serving.tensors.tensor import Tensor


class Action(enum.StrEnum):
    """What a caller wants to do; permissions are granted by these."""

    HEALTH = "health"
    """Whether the server, or a model, is alive and ready; what the server is."""
    METADATA = "metadata"
    """What a model takes and gives."""
    INFER = "infer"
    EXPLAIN = "explain"
    FEEDBACK = "feedback"
    """Labels that arrive later; answered by the guard itself."""
    REPOSITORY = "repository"
    """Which models there are."""
    MANAGE = "manage"
    """Load and unload models."""
    ADMINISTER = "administer"
    """Statistics, logging, tracing, shared memory."""
    UNKNOWN = "unknown"
    """What could not be read, or is known to no adapter. Nobody is ever permitted it; it is refused and recorded."""


Transport = Literal["http", "grpc", "runtime"]
"""By REST, by gRPC, or inside the model server, after it has read the request."""


class Peer(msgspec.Struct, frozen=True):
    """Who is at the other end of the connection."""

    address: str = ""
    """Without the port."""
    certificate: bytes | None = None
    """The certificate (DER) that the client has shown and the TLS library has verified."""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls."""

    name: str
    """Of whom limits, histories and records are kept: a customer, not a session."""
    roles: tuple[str, ...] = ()
    tenant: str = ""
    attributes: dict[str, str] = {}
    """What else is known of them, for policies by attribute."""
    method: str = ""
    """How they showed who they are: `key`, `token`, `certificate`; empty for anonymous ones."""


ANONYMOUS = Principal(name="anonymous")


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What a stage noticed about a call that goes on all the same, or about one that it refused."""

    rule: str
    """Id of a rule of this room."""
    message: str
    score: float | None = None


class Wanted(msgspec.Struct, frozen=True):
    """An output that a caller asks for."""

    name: str
    parameters: dict[str, bool | int | float | str] = {}


class Codec(Protocol):
    """Reads and writes the bodies of one protocol. Implementations keep nothing between calls."""

    def read(self, call: "Call") -> "tuple[Tensor, ...]":
        """The inputs of a call; `call.body` becomes what they were read as, written anew, so that a server behind
        cannot read something else in it. Raises `Refused`."""
        ...

    def outputs(self, call: "Call", answer: "Answer") -> "tuple[Tensor, ...]":
        """The outputs in an answer. Raises `Refused` for what is none."""
        ...

    def write(self, call: "Call", answer: "Answer", outputs: "tuple[Tensor, ...]") -> None:
        """Put outputs into an answer in place of those that it has."""
        ...


_PREFIX = os.urandom(6).hex()
_NUMBERS = itertools.count()


def new_identifier() -> str:
    """Unique among calls of all guards; tells nothing of who made it."""
    return f"{_PREFIX}{next(_NUMBERS):010x}"


class Call:
    """One request, from the moment that its head is known. Stages fill it in; it is used by one task at a time."""

    __slots__ = (
        "action", "backend", "body", "codec", "deadline", "degraded", "headers", "identifier", "inputs", "marks",
        "method", "model", "name", "operation", "parameters", "peer", "principal", "received", "releases",
        "requested", "settings", "span", "target", "time", "trace", "transport", "version", "wanted",
    )  # fmt: skip

    def __init__(
        self,
        action: Action,
        *,
        transport: Transport,
        headers: Mapping[str, str],
        peer: Peer,
        codec: "Codec | None" = None,
        model: str = "",
        version: str = "",
        operation: str = "",
        method: str = "",
        target: str = "",
        body: bytes = b"",
    ) -> None:
        self.identifier = new_identifier()
        self.action = action
        self.transport = transport
        self.headers = headers
        """By name in lower case. A header that came twice and may not is refused before a call is made."""
        self.peer = peer
        self.codec = codec
        self.model = model
        self.version = version
        """Empty where the caller leaves it to the server."""
        self.operation = operation
        """The route's name in `routes.json`; methods of gRPC have the same names in `methods.json`."""
        self.method = method
        """HTTP's, empty for others."""
        self.target = target
        """The path (and query) to ask the server for, written anew from what was read; gRPC's is `/service/method`."""
        self.body = body
        self.received = time.monotonic()
        self.time = time.time()
        self.deadline: float | None = None
        """When, by `time.monotonic()`, nobody waits for an answer any more."""
        self.principal = ANONYMOUS
        self.settings: Model | None = None
        """Of the model that is called; `None` where the action concerns none."""
        self.inputs: tuple[Tensor, ...] | None = None
        self.parameters: dict[str, bool | int | float | str] = {}
        """Those of the request as a whole; set with the inputs."""
        self.wanted: tuple[Wanted, ...] = ()
        """The outputs that the caller asks for; set with the inputs, and empty where it leaves that to the server."""
        self.backend = ""
        """The name of the backend that shall answer; the model's own when empty."""
        self.requested = ""
        """The model that the caller named, where another was put in its place."""
        self.marks: list[Mark] = []
        self.degraded: list[str] = []
        """Names of stages that failed and are configured to let calls through then."""
        self.releases: list[Callable[[], object]] = []
        """What is called when the call has ended, however it did: places and leases that it held."""
        self.span: Any = None
        """OpenTelemetry's, of a call that is traced."""
        self.trace = ""
        """The `traceparent` that the server behind shall see; empty for none."""
        self.name = ""
        """The id that the caller gave the request, if any."""

    def answer_by(self, model: str, backend: str) -> None:
        """Have another model answer, in whatever version its server has of it."""
        if self.version:
            self.target = self.target.replace(f"/versions/{self.version}", "", 1)
            self.version = ""
        self.target = self.target.replace(f"/models/{self.model}", f"/models/{model}", 1)
        self.requested, self.model, self.backend = self.model, model, backend

    def tensors(self) -> "tuple[Tensor, ...]":
        """The inputs, read when first asked for. Raises `Refused` for a body that is none of its protocol."""
        if self.inputs is None:
            self.inputs = self.codec.read(self) if self.codec else ()
        return self.inputs


class Answer:
    """What goes back, or what the server gave. Statuses are those of HTTP; other adapters translate."""

    __slots__ = ("body", "headers", "outputs", "status", "stream")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        headers: "list[tuple[bytes, bytes]] | None" = None,
        *,
        stream: "AsyncIterator[bytes] | None" = None,
    ) -> None:
        self.status = status
        self.headers = headers if headers is not None else []
        """Names in lower case; none that concern the connection."""
        self.body = body
        self.outputs: tuple[Tensor, ...] | None = None
        self.stream = stream
        """Parts of a body that come one after the other, in place of `body`. Whoever takes them calls its `aclose`, if
        it has one, also where it read them to their end."""

    def tensors(self, call: Call) -> "tuple[Tensor, ...]":
        """The outputs, read when first asked for; none for failures and for streams."""
        if self.outputs is None:
            readable = call.codec is not None and self.status == 200 and self.stream is None
            self.outputs = call.codec.outputs(call, self) if readable and call.codec else ()
        return self.outputs

    def replace(self, call: Call, outputs: "tuple[Tensor, ...]") -> None:
        """Give these outputs instead."""
        if call.codec is not None:
            call.codec.write(call, self, outputs)
        self.outputs = outputs


Forward = Callable[[Call], Awaitable[Answer]]
"""Asks the server. Raises `Refused` where it does not answer."""
