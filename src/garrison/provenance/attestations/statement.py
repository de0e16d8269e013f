"""One attestation: a statement of a known kind in a bundle, written and opened.

It is taken for what it says when all of this holds, of which `opened` checks the first four and `about` the last:

1. One of the trusted identities signed it.
2. What was signed is an in-toto statement.
3. Its predicate is of a kind that is read here, and has the shape of that kind.
4. It was not said or signed in the future, nor said after a witness saw it signed, and has not expired.
5. One of its subjects is the model.
"""

import datetime
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from garrison.core.errors import UsageError
from garrison.provenance import bundles
from garrison.provenance.attestations import times
from garrison.provenance.attestations.predicates import AnyPredicate, described, predicate_of, type_of
from garrison.provenance.dsse import IN_TOTO
from garrison.provenance.statements import Statement, Subject, parsed
from garrison.provenance.subjects import check
from garrison.provenance.trust import Refused, Signatory, Trust

if TYPE_CHECKING:
    from garrison.provenance.bundles import Author
    from garrison.provenance.hashing import Manifest

SUBJECTS = 1000
"""Most things that one statement may be about."""


class Attestation(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says, after points 1 to 4."""

    signatory: Signatory
    predicate_type: str
    predicate: AnyPredicate
    subjects: tuple[Subject, ...]


def attest(subjects: Sequence[Subject], predicate: AnyPredicate, signer: "Author") -> bytes:
    """A bundle in which the signer says the predicate of the subjects; the same each time.

    Raises `Refused` for a predicate that nobody could read again, and `UsageError` for text in it that is no Unicode.
    """
    statement = Statement(subject=tuple(subjects), predicate_type=type_of(predicate), predicate=described(predicate))
    try:
        payload = msgspec.json.encode(statement)
    except UnicodeEncodeError as error:
        raise UsageError(f"{error.object[:100]!r} is no Unicode, and cannot be signed") from None
    again = parsed(payload)
    predicate_of(again.predicate_type, again.predicate)
    return bundles.write(payload, signer)


def opened(data: bytes, trust: Trust, *, now: datetime.datetime) -> Attestation:
    """The attestation in a bundle, checked but for whether it is about the model at hand.

    Raises `Refused`, of which `UnknownKind` says that it is signed and that nothing more can be told of it, and
    `UsageError` when nobody is trusted.
    """
    found = bundles.opened(data, trust, now=now)
    if found.payload_type != IN_TOTO:
        raise Refused(f"what is signed is {found.payload_type[:200]!r} and no statement")
    statement = parsed(found.payload)
    predicate = predicate_of(statement.predicate_type, statement.predicate)
    times.check(times.said(predicate), times.witnessed([found.signatory]), predicate.expires, now)
    if not 1 <= len(statement.subject) <= SUBJECTS:
        raise Refused(f"it is about {len(statement.subject)} subjects")
    return Attestation(
        signatory=found.signatory,
        predicate_type=statement.predicate_type,
        predicate=predicate,
        subjects=statement.subject,
    )


def about(attestation: Attestation, manifests: "Iterable[Manifest]") -> None:
    """Raise `Refused`, with the reason, unless the attestation is about the model that the manifests are of."""
    known = tuple(manifests)
    reasons = []
    for subject in attestation.subjects:
        try:
            check(subject, known)
        except Refused as reason:
            reasons.append(str(reason))
        else:
            return
    raise Refused("; ".join(dict.fromkeys(reasons[:3])))
