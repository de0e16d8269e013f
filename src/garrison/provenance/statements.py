"""In-toto statements: what is said (the predicate) about which bytes (the subjects).

Source: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md (version 1).
"""

from typing import Any

import msgspec

from garrison.provenance.strict_json import decoded
from garrison.provenance.trust import Refused

STATEMENT = "https://in-toto.io/Statement/v1"
_STATEMENT_BYTES = 128 << 20


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
    """The statement in a payload. Raises `Refused` for what is none, and for another version than 1."""
    statement = decoded(body, Statement, "statement", most=_STATEMENT_BYTES)
    if statement.type != STATEMENT:
        raise Refused(f"a statement of the type {statement.type[:200]!r}")
    return statement
