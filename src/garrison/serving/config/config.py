"""All that can be configured. Each room has the settings of its own, and they come together here."""

from typing import Annotated

import msgspec

from garrison.serving.admit.settings import Admit
from garrison.serving.alerts.settings import Alerts
from garrison.serving.authenticate.settings import Authenticate
from garrison.serving.authorise.settings import Authorise
from garrison.serving.config.paths import ConfigPath
from garrison.serving.http.settings import Plain
from garrison.serving.metrics.settings import Metrics
from garrison.serving.observe.settings import Observe
from garrison.serving.protect.settings import Protect
from garrison.serving.record.settings import Record
from garrison.serving.schema.settings import Schema
from garrison.serving.screen.settings import Screen
from garrison.serving.state.settings import State

Count = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86400)]


class Listen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Where the guard listens."""

    http: str = "127.0.0.1:8000"
    """Address and port; empty for none."""
    grpc: str = ""
    """Address and port, or `unix:/path`; empty for none."""
    certificate: ConfigPath = ""
    """A PEM file with the chain; with `key` the guard speaks TLS only."""
    key: ConfigPath = ""
    client_authorities: ConfigPath = ""
    """A PEM file of authorities: clients must show a certificate of one."""
    max_body: Count = 4 << 20
    """Bytes of the body of a request."""
    max_head: Count = 16 << 10
    """Bytes of its path and headers."""
    max_headers: Count = 64
    header_timeout: Seconds = 10.0
    """From the first byte of a request to the end of its headers; also for the handshake of TLS."""
    body_timeout: Seconds = 30.0
    """From there to the end of its body; also how long a client may take nothing of its answer."""
    idle_timeout: Seconds = 75.0
    """Between two requests of a connection."""
    max_connections: Count = 4096
    max_calls: Count = 1024
    """Of gRPC, at the same time."""
    max_buffered: Count = 256 << 20
    """Bytes of the bodies of all requests that are being received."""


class Backend(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """A server behind the guard."""

    http: str = ""
    """`http://`, `https://` or `unix:` and an address."""
    grpc: str = ""
    """`host:port`, `https://host:port` for TLS, or `unix:/path`."""
    authorities: ConfigPath = ""
    """A PEM file of authorities that an `https://` server's certificate is verified by; the system's when empty."""
    certificate: ConfigPath = ""
    """What the guard shows to the server: a PEM file with the chain, and `key`."""
    key: ConfigPath = ""
    secret_file: ConfigPath = ""
    """A file with what the guard shows in the header `x-garrison-backend`, to a server that answers its guard only."""
    connections: Count = 64
    waiting: Count = 1024
    """Calls that wait for a connection."""
    connect_timeout: Seconds = 5.0
    timeout: Seconds = 60.0
    """For a whole answer; between two parts of one that comes in parts. A deadline of the call shortens it."""
    idle_timeout: Seconds = 4.0
    """After which a connection is not used again. Less than servers keep theirs (uvicorn: 5), so that none is closed
    while a request is on its way."""
    max_answer: Count = 64 << 20
    """Bytes of an answer."""


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """One model that is served; what is not named is not served."""

    backend: str = "default"
    plain: Plain | None = None
    """For a model that speaks neither the Open Inference Protocol nor KServe's V1."""
    tenant: str = ""
    """Whose model it is, for grants with `same-tenant`."""
    admit: Admit = Admit()
    schema: Schema = Schema()
    screen: Screen = Screen()
    observe: Observe = Observe()
    protect: Protect = Protect()


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """One guard."""

    listen: Listen = Listen()
    backends: dict[str, Backend] = {}
    models: dict[str, Model] = {}
    authenticate: Authenticate = Authenticate()
    authorise: Authorise = Authorise()
    admit: Admit = Admit()
    """Limits over all models."""
    record: Record = Record()
    alerts: Alerts = Alerts()
    metrics: Metrics = Metrics()
    state: State = State()
