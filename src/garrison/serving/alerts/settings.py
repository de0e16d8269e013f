"""What can be configured of alerts."""

import datetime
from typing import Annotated, Literal

import msgspec

from garrison.core.findings import Severity
from garrison.serving.config.paths import ConfigPath

Seconds = Annotated[float, msgspec.Meta(gt=0, le=30 * 86400)]
Label = Literal["rule", "model", "principal", "severity"]


class _Channel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab", tag_field="kind"):
    """What all channels have."""

    severity: Severity = Severity.MEDIUM
    """The least severity that is sent there."""
    rules: tuple[str, ...] = ("*",)
    """Shell patterns over ids of rules."""
    models: tuple[str, ...] = ("*",)
    """Shell patterns over names of models."""
    timeout: Annotated[float, msgspec.Meta(gt=0, le=120)] = 10.0
    """In seconds, for one try."""
    authorities: ConfigPath = ""
    """A PEM file of authorities in place of the system's, for servers of one's own."""


class Webhook(
    _Channel, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab", tag_field="kind", tag=str.lower
):
    """JSON by HTTP POST, signed."""

    address: str = ""
    address_file: ConfigPath = ""
    """A file that holds the address, where the address is a secret."""
    secret_file: ConfigPath = ""
    """A file with the key of the HMAC in the header `x-garrison-signature`."""


class Slack(
    _Channel, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab", tag_field="kind", tag=str.lower
):
    """An incoming webhook of Slack, or of what speaks as it does (Mattermost, Rocket.Chat)."""

    address_file: ConfigPath


class Email(
    _Channel, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab", tag_field="kind", tag=str.lower
):
    """A message by SMTP."""

    host: str
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 587
    sender: str
    to: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    encryption: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password_file: ConfigPath = ""


class Alertmanager(
    _Channel, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab", tag_field="kind", tag=str.lower
):
    """Prometheus' Alertmanager, by its API of version 2; it groups and repeats by itself."""

    address: str
    """Of the server, without a path: `http://127.0.0.1:9093`."""


Channel = Webhook | Slack | Email | Alertmanager


class Silence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Incidents that nobody is told of until a day; they are recorded and counted all the same."""

    reason: str
    owner: str
    """Who answers for it."""
    until: datetime.datetime
    """The first moment at which it counts no more, as `2026-12-01T06:00:00Z`; without a zone it is one of UTC."""
    rule: str = "*"
    model: str = "*"
    principal: str = "*"

    def ends(self) -> float:
        """In seconds since 1970."""
        return (self.until if self.until.tzinfo else self.until.replace(tzinfo=datetime.UTC)).timestamp()


class Alerts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Who is told of incidents, and how often."""

    channels: dict[str, Channel] = {}
    silences: tuple[Silence, ...] = ()
    group_by: tuple[Label, ...] = ("rule", "model")
    """Incidents that agree in these go into one message."""
    group_wait: Seconds = 10.0
    """How long the first of a group waits for others."""
    group_interval: Seconds = 300.0
    """The least time between messages on a group that has changed."""
    repeat_interval: Seconds = 14400.0
    """After which is said again what still goes on."""
    over_after: Seconds = 3600.0
    """An incident that is not reported again for so long is over."""
    runbook: str = ""
    """The address of what to do, with `{rule}` in it: `https://wiki.example/runbooks/{rule}`."""
