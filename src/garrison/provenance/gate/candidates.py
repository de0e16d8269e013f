"""What a piece of evidence is worth: which statement it holds, who signed it, and when.

1. The document is read, and the statement in it; what is neither is of no use.
2. Each identity of the policy is asked whether it signed it. Nobody else ever counts, so that what nobody known signed
   costs no more than this.
3. The predicate is read by its type: the six kinds that requirements are about.
4. The time at which it was said is the earlier of what the statement says and what a witness says, as far as they do.
   Neither may lie in the future, nor may the statement claim to be younger than its witness. What has expired is over.
5. The subject is compared later (`subjects`), when it is known in how many ways the model must be hashed.
"""

import datetime
import hashlib
from typing import Literal

import msgspec

from garrison.provenance import model_statement, release_0_2
from garrison.provenance.attestations import times
from garrison.provenance.attestations.predicates import (
    AnyPredicate,
    Approval,
    Provenance,
    Robustness,
    Scan,
    Version,
    predicate_of,
)
from garrison.provenance.attestations.statement import SUBJECTS
from garrison.provenance.bundles import opened_by_all
from garrison.provenance.dsse import IN_TOTO
from garrison.provenance.gate.evidence import Piece
from garrison.provenance.hashing import Manifest
from garrison.provenance.statements import Subject, parsed
from garrison.provenance.trust import Refused, Signatory, Trust

Kind = Literal["signature", "scan", "training", "robustness", "approvals", "version"]
"""Named like the requirement that it is evidence for."""

_KINDS: dict[type[AnyPredicate], Kind] = {
    Scan: "scan",
    Provenance: "training",
    Robustness: "robustness",
    Approval: "approvals",
    Version: "version",
}


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that somebody known signed."""

    place: str
    sha256: str
    """Of the piece of evidence."""
    statement: str
    """The SHA-256 of the statement in it, which whoever copies it cannot change."""
    kind: Kind
    signatories: tuple[Signatory, ...]
    predicate: AnyPredicate | Manifest
    subjects: tuple[Subject, ...] = ()
    """What it is about; a signature says so in its manifest."""
    time: datetime.datetime | None = None
    witnessed: bool = False
    refused: str = ""
    """Why it does not count, whoever signed it."""


def candidate(piece: Piece, trust: Trust, now: datetime.datetime) -> Candidate:
    """The statement in a piece of evidence.

    Raises `Refused` for what is none, is of no kind that counts, or was signed by nobody known.
    """
    signed = opened_by_all(piece.data, trust, now=now)
    if not signed:
        raise Refused("signed by nobody whom the policy knows")
    payload, payload_type = signed[0].payload, signed[0].payload_type
    signatories = tuple(one.signatory for one in signed)
    sha256, statement_digest = (hashlib.sha256(data).hexdigest() for data in (piece.data, payload))
    if payload_type != IN_TOTO:
        raise Refused(f"what is signed is {payload_type[:100]!r} and no statement")
    if _predicate_type(payload) in (model_statement.PREDICATE, release_0_2.PREDICATE):
        found = Candidate(
            place=piece.place,
            sha256=sha256,
            statement=statement_digest,
            kind="signature",
            signatories=signatories,
            predicate=model_statement.read(payload, payload_type),
        )
    else:
        statement = parsed(payload)
        predicate = predicate_of(statement.predicate_type, statement.predicate)
        if len(statement.subject) > SUBJECTS:
            raise Refused(f"a statement about more than {SUBJECTS} subjects")
        found = Candidate(
            place=piece.place,
            sha256=sha256,
            statement=statement_digest,
            kind=_KINDS[type(predicate)],
            signatories=signatories,
            predicate=predicate,
            subjects=statement.subject,
        )
    return _dated(found, now)


class _Type(msgspec.Struct, frozen=True, rename="camel"):
    predicate_type: str = ""


def _predicate_type(payload: bytes) -> str:
    try:
        return msgspec.json.decode(payload, type=_Type).predicate_type
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"statement: {error}") from None


def _dated(found: Candidate, now: datetime.datetime) -> Candidate:
    """The candidate with its time, or with the reason why that refuses it."""
    predicate = found.predicate
    said = [] if isinstance(predicate, Manifest) else times.said(predicate)
    witnessed = times.witnessed(found.signatories)
    refused = ""
    try:
        times.check(said, witnessed, None if isinstance(predicate, Manifest) else predicate.expires, now)
    except Refused as reason:
        refused = str(reason)
    return msgspec.structs.replace(
        found,
        time=min([*said, *witnessed]).astimezone(datetime.UTC) if said or witnessed else None,
        witnessed=bool(witnessed),
        refused=refused,
    )
