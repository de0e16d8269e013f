"""When something was said, and whether that can be: the signer's clock is the signer's, a witness's is not."""

import datetime
from collections.abc import Iterable, Sequence

from garrison.provenance.attestations.predicates import AnyPredicate, Scan
from garrison.provenance.trust import Refused, Signatory

_CLOCKS_DIFFER = datetime.timedelta(minutes=5)


def said(predicate: AnyPredicate) -> list[datetime.datetime]:
    """All times that a statement says it is from."""
    times = [predicate.created, predicate.started if isinstance(predicate, Scan) else None]
    return [time for time in times if time is not None]


def witnessed(signatories: Iterable[Signatory]) -> list[datetime.datetime]:
    """When others than the signers saw it signed, as far as any did."""
    return [datetime.datetime.fromtimestamp(one.time, datetime.UTC) for one in signatories if one.time is not None]


def check(
    said: Sequence[datetime.datetime],
    witnessed: Sequence[datetime.datetime],
    expires: datetime.datetime | None,
    now: datetime.datetime,
) -> None:
    """Raise `Refused` for what was said or signed in the future, or said after it was signed, and for what is over."""
    latest = now + _CLOCKS_DIFFER
    if said and max(said) > latest:
        raise Refused(f"it says that it is from {_shown(max(said))}, which is yet to come")
    if witnessed and max(witnessed) > latest:
        raise Refused(f"it was signed on {_shown(max(witnessed))}, which is yet to come")
    if said and witnessed and max(said) > min(witnessed) + _CLOCKS_DIFFER:
        raise Refused(
            f"it says that it is from {_shown(max(said))}, and was signed before, on {_shown(min(witnessed))}"
        )
    if expires is not None and expires <= now:
        raise Refused(f"it expired on {_shown(expires)}")


def _shown(time: datetime.datetime) -> str:
    return f"{time.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"
