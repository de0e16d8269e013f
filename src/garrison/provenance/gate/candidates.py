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
from garrison.provenance.attestations.predicates import (
    AnyPredicate,
    Approval,
    Provenance,
    Robustness,
    Scan,
    Version,
    predicate_of,
)
from garrison.provenance.bundles import opened_by_all
from garrison.provenance.dsse import IN_TOTO
from garrison.provenance.gate.evidence import Piece
from garrison.provenance.hashing import Manifest
from garrison.provenance.statements import Subject, parsed
from garrison.provenance.trust import Refused, Signatory, Trust

Kind = Literal["signature", "scan", "training", "robustness", "approvals", "version"]
"""Named like the requirement that it is evidence for."""

SKEW = datetime.timedelta(minutes=5)
"""How far clocks may differ."""
_SUBJECTS = 1000
"""Most things that one statement may be about."""
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
        if len(statement.subject) > _SUBJECTS:
            raise Refused(f"a statement about more than {_SUBJECTS} subjects")
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
    said = _times(found.predicate)
    signed = [one.time for one in found.signatories if one.time is not None]
    witnessed = [datetime.datetime.fromtimestamp(one, datetime.UTC) for one in signed]
    expires = None if isinstance(found.predicate, Manifest) else found.predicate.expires
    refused = ""
    if said and max(said) > now + SKEW:
        refused = f"it says that it is from {_shown(max(said))}, which is yet to come"
    elif witnessed and max(witnessed) > now + SKEW:
        refused = f"it was signed at {_shown(max(witnessed))}, which is yet to come"
    elif said and witnessed and max(said) > min(witnessed) + SKEW:
        refused = f"it says that it is from {_shown(max(said))}, and was signed before, at {_shown(min(witnessed))}"
    elif expires is not None and expires <= now:
        refused = f"it expired at {_shown(expires)}"
    return msgspec.structs.replace(
        found,
        time=min([*said, *witnessed]).astimezone(datetime.UTC) if said or witnessed else None,
        witnessed=bool(witnessed),
        refused=refused,
    )


def _times(predicate: AnyPredicate | Manifest) -> list[datetime.datetime]:
    """All times that a statement says it is from."""
    if isinstance(predicate, Manifest):
        return []
    times = [predicate.created, predicate.started if isinstance(predicate, Scan) else None]
    return [time for time in times if time is not None]


def _shown(time: datetime.datetime) -> str:
    return f"{time.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"
