"""Enough people other than the author approved of the model.

Who is one person: all identities of one name, and all signatures of one key, or of one name in certificates. The author
is everyone who signed the model or its training; without a known author nobody is known to be another.
"""

import datetime
from collections.abc import Iterable, Sequence

import msgspec

from garrison.core.gate_decision import RequirementDecision
from garrison.core.gate_policy import ApprovalsRequirement
from garrison.provenance.attestations.predicates import Approval
from garrison.provenance.gate.candidates import Candidate
from garrison.provenance.gate.requirements.judging import counted_days, decided, eligible, listed, too_old
from garrison.provenance.trust import Signatory

KIND = "approvals"


def judge(asked: ApprovalsRequirement, candidates: Sequence[Candidate], now: datetime.datetime) -> RequirementDecision:
    found = eligible(asked, KIND, candidates)
    found.leave_out(lambda one: too_old(one, asked.max_days, now) or _elsewhere(asked, one))
    signatories = [signatory for one in found.counted for signatory in one.signatories]
    authors = [
        signatory
        for one in candidates
        if one.kind in ("signature", "training") and not one.refused
        for signatory in one.signatories
    ]
    people = _People([*signatories, *authors])
    written = {people.of(author) for author in authors}
    found.counted = [_without(written, one, people) for one in found.counted]
    found.leave_out(lambda one: "" if one.signatories else "signed by the author")
    approving = {people.of(signatory) for one in found.counted for signatory in one.signatories}
    reasons = []
    if not authors:
        reasons.append("nobody is known as the author, so nobody as another")
    if len(approving) < asked.count:
        reasons.append(f"approved by {len(approving)} of {asked.count}")
    return decided(KIND, _wording(asked), found, reasons, _says)


class _People:
    """Who is who: signatories that share a name or a key, be it in a certificate, are one person."""

    def __init__(self, signatories: Iterable[Signatory]) -> None:
        self._parent: dict[object, object] = {}
        for one in signatories:
            name, *others = self._marks(one)
            for other in others:
                self._parent[self._root(name)] = self._root(other)

    def of(self, one: Signatory) -> object:
        return self._root(self._marks(one)[0])

    @staticmethod
    def _marks(one: Signatory) -> list[tuple[str, str]]:
        marks = [("identity", one.identity), ("subject", one.subject)]
        return [*marks, ("subject", one.key)] if one.key else marks

    def _root(self, mark: object) -> object:
        while (parent := self._parent.setdefault(mark, mark)) != mark:
            mark = parent
        return mark


def _without(authors: set[object], one: Candidate, people: _People) -> Candidate:
    """The approval with those of its signatories who are others."""
    others = tuple(signatory for signatory in one.signatories if people.of(signatory) not in authors)
    return msgspec.structs.replace(one, signatories=others)


def _elsewhere(asked: ApprovalsRequirement, one: Candidate) -> str:
    environments = _approval(one).environments
    if asked.environment and environments and asked.environment not in environments:
        return f"approved for {', '.join(environments[:5])} only"
    if not asked.environment and environments:
        return f"approved for {', '.join(environments[:5])} only, and the policy names no environment"
    return ""


def _approval(one: Candidate) -> Approval:
    assert isinstance(one.predicate, Approval)
    return one.predicate


def _wording(asked: ApprovalsRequirement) -> str:
    count = "one person" if asked.count == 1 else f"{asked.count} people"
    place = f" for {asked.environment}" if asked.environment else ""
    age = f" within {counted_days(asked.max_days)}" if asked.max_days is not None else ""
    return f"approved{place} by {count} other than the author{age}: {listed(asked.signed_by)}"


def _says(one: Candidate) -> str:
    approval = _approval(one)
    place = f" for {', '.join(approval.environments[:5])}" if approval.environments else ""
    return f"approved{place}" + (f": {approval.comment[:200]}" if approval.comment else "")
