"""In-toto statements: what is said (the predicate) about which bytes (the subjects).

Source: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md (version 1).
"""

from typing import Any

import msgspec

from garrison.core.errors import Malformed, NotUnderstood

STATEMENT = "https://in-toto.io/Statement/v1"


class Subject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A resource descriptor, of which only the digest says what is meant."""

    name: str = ""
    digest: dict[str, str]
    """Values in lower-case hexadecimal by algorithm."""
    annotations: dict[str, Any] = {}


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    type: str = msgspec.field(name="_type", default=STATEMENT)
    subject: tuple[Subject, ...]
    predicate_type: str = msgspec.field(name="predicateType")
    predicate: dict[str, Any]


def parsed(body: bytes) -> Statement:
    """The statement in a payload.

    Raises `Malformed` for what is none, and `NotUnderstood` for another version than 1.
    """
    try:
        statement = msgspec.json.decode(body, type=Statement)
    except msgspec.DecodeError as error:
        raise Malformed(f"no in-toto statement: {error}") from None
    if statement.type != STATEMENT:
        raise NotUnderstood(f"a statement of the type {statement.type!r}")
    return statement
