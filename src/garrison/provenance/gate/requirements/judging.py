"""What all requirements do alike: whose statements count, which are too old, and what is said of them."""

import datetime
from collections.abc import Callable, Iterable, Sequence

import msgspec

from garrison.core.gate_decision import Counted, PassedOver, RequirementDecision
from garrison.core.gate_policy import Requirement
from garrison.provenance.gate.candidates import Candidate


class Eligible(msgspec.Struct):
    """Statements that count for one requirement, and those that do not."""

    counted: list[Candidate]
    others: list[PassedOver]

    def leave_out(self, reason: Callable[[Candidate], str]) -> None:
        """Count no longer what there is a reason against."""
        kept = []
        for one in self.counted:
            if why := reason(one):
                self.others.append(PassedOver(place=one.place, reason=why))
            else:
                kept.append(one)
        self.counted = kept

    def keep_newest(self) -> None:
        """Of each signatory only the newest statements."""
        kept = newest(self.counted)
        self.leave_out(lambda one: "" if one in kept else newer_is_there(one))


def newest(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Of each signatory the newest, and all that are as new."""
    times: dict[str, datetime.datetime] = {}
    for one in candidates:
        for signatory in one.signatories:
            times[signatory.identity] = max(times.get(signatory.identity, _time(one)), _time(one))
    return [one for one in candidates if any(_time(one) == times[signatory.identity] for signatory in one.signatories)]


def newer_is_there(one: Candidate) -> str:
    """Why a statement does not count beside a newer one."""
    return f"{one.signatories[0].identity} has said something newer"


def eligible(asked: Requirement, kind: str, candidates: Iterable[Candidate]) -> Eligible:
    """Of one kind the statements that hold, each with those of its signatories whom the policy asks for it."""
    found = Eligible(counted=[], others=[])
    for one in candidates:
        if one.kind != kind:
            continue
        signatories = tuple(signatory for signatory in one.signatories if signatory.identity in asked.signed_by)
        reason = one.refused
        if not signatories:
            names = ", ".join(dict.fromkeys(signatory.identity for signatory in one.signatories))
            reason = f"signed by {names}, whose word does not count for this"
        if reason:
            found.others.append(PassedOver(place=one.place, reason=reason))
        else:
            found.counted.append(msgspec.structs.replace(one, signatories=signatories))
    return found


def too_old(one: Candidate, max_days: int | None, now: datetime.datetime) -> str:
    """Why a statement is too old; empty if it is not."""
    if max_days is None:
        return ""
    if one.time is None:
        return "nothing tells when it was said"
    if now - one.time > datetime.timedelta(days=max_days):
        return f"it is from {one.time:%Y-%m-%d %H:%M} UTC, more than {counted_days(max_days)} ago"
    return ""


def counted_days(days: int) -> str:
    return f"{days} day{'' if days == 1 else 's'}"


def decided(
    name: str, asked: str, found: Eligible, reasons: Sequence[str], says: Callable[[Candidate], str]
) -> RequirementDecision:
    """The decision, with `says` of each statement that counts; met without reasons against it."""
    return RequirementDecision(
        name=name,
        asked=asked,
        met=not reasons,
        reasons=tuple(reasons),
        evidence=tuple(
            Counted(
                place=one.place,
                sha256=one.sha256,
                statement=one.statement,
                identity=signatory.identity,
                key=signatory.subject,
                time=one.time,
                witnessed=one.witnessed,
                says=says(one),
            )
            for one in found.counted
            for signatory in one.signatories
        ),
        others=tuple(found.others),
    )


def nobody(found: Eligible, what: str) -> str:
    """That there is no statement that counts, and how many there are otherwise."""
    if not found.others:
        return f"no {what}"
    count = len(found.others)
    return f"no {what} that counts, of {count} {'statement' if count == 1 else 'statements'}"


def by(names: Sequence[str]) -> str:
    return f"by {listed(names)}"


def listed(names: Sequence[str]) -> str:
    """`a`, `a or b`, `a, b or c`."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def _time(one: Candidate) -> datetime.datetime:
    return one.time or datetime.datetime.min.replace(tzinfo=datetime.UTC)
