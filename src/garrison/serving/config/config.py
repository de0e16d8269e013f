"""All that can be configured. Each room has the settings of its own, and they come together here."""

import msgspec

from garrison.serving.admit.settings import Admit
from garrison.serving.alerts.settings import Alerts
from garrison.serving.authenticate.settings import Authenticate
from garrison.serving.authorise.settings import Authorise
from garrison.serving.config.paths import ConfigPath
from garrison.serving.metrics.settings import Metrics
from garrison.serving.observe.settings import Observe
from garrison.serving.protect.settings import Protect
from garrison.serving.record.settings import Record
from garrison.serving.schema.settings import Schema
from garrison.serving.screen.settings import Screen
from garrison.serving.state.settings import State


class Listen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Where the guard listens."""

    http: str = "127.0.0.1:8000"
    """Address and port; empty for none."""
    grpc: str = ""
    certificate: ConfigPath = ""
    """A PEM file with the chain; with `key` the guard speaks TLS only."""
    key: ConfigPath = ""
    client_authorities: ConfigPath = ""
    """A PEM file of authorities: clients must show a certificate of one."""


class Backend(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """A server behind the guard."""

    http: str = ""
    """`http://`, `https://` or `unix:` and an address."""
    grpc: str = ""
    """`host:port`, `https://host:port` for TLS, or `unix:/path`."""


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """One model that is served; what is not named is not served."""

    backend: str = "default"
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
