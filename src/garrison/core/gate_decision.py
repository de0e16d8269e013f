"""What a gate decided about a model, and which evidence each part of it rests on."""

import datetime
from typing import Any

import msgspec


class DecidedOn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The model, as in-toto's statements name their subjects."""

    name: str
    digest: dict[str, str]
    """In lower-case hexadecimal, by algorithm."""
    annotations: dict[str, Any] = {}
    """How a directory is hashed."""


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that counts."""

    place: str
    """The file or the address that it is from."""
    sha256: str
    """Of the document that holds it."""
    statement: str
    """The SHA-256 of the statement itself, by which a policy can revoke it."""
    identity: str
    """Who signed it, as the policy calls them."""
    key: str
    """A key's SHA-256, or the name in the certificate."""
    time: datetime.datetime | None = None
    """When it was said; absent where nothing tells."""
    witnessed: bool = False
    """Whether somebody other than the signer vouches for the time."""
    says: str = ""
    """What it says, in a few words."""


class PassedOver(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence that does not count."""

    place: str
    reason: str


class RequirementDecision(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    """Its table in the policy's `[gate]`."""
    asked: str
    """What is asked, in words."""
    met: bool
    reasons: tuple[str, ...] = ()
    """Why it is not met; empty when it is."""
    evidence: tuple[Counted, ...] = ()
    """The statements that were taken into account, for it or against it."""
    others: tuple[PassedOver, ...] = ()
    """Statements of this kind that do not count, each with the reason."""


class GateDecision(msgspec.Struct, frozen=True, kw_only=True):
    schema_version: str
    """The minor number grows with additions, the major with anything that could break a reader."""
    model: str
    """As it was named."""
    subject: DecidedOn | None
    """What the model was at the time; absent if it could not be read."""
    decided: datetime.datetime
    """UTC."""
    allowed: bool
    """Whether the model passes: whether all requirements are met."""
    requirements: tuple[RequirementDecision, ...]
    unused: tuple[PassedOver, ...] = ()
    """Evidence that could not be read, or that says nothing about what is required."""
