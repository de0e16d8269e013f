"""Decide about a model.

1. Every piece of evidence is read and its signatures are checked (`candidates`); what nobody known signed, and what
   nothing asks for, is set aside with the reason.
2. The model is read once, and what is about another model is refused (`subjects`).
3. Each requirement of the policy is judged over what is left (`requirements`). All must be met.
"""

import datetime
import os
from collections.abc import Iterable, Sequence
from typing import Any

from garrison.core.errors import UsageError
from garrison.core.gate_decision import GateDecision, PassedOver, RequirementDecision
from garrison.core.gate_policy import GatePolicy, VersionRequirement
from garrison.core.policy import Identity
from garrison.provenance.attestations.versions import highest, remember
from garrison.provenance.gate.candidates import Candidate, candidate
from garrison.provenance.gate.evidence import Piece, bounded
from garrison.provenance.gate.requirements import approvals, robustness, scan, signature, training, version
from garrison.provenance.gate.subjects import Model
from garrison.provenance.trust import Refused, Trust, kind_of

SCHEMA_VERSION = "1.0"
_REQUIREMENTS = ("signature", "scan", "training", "robustness", "approvals", "version")


def decide(
    model: str,
    policy: GatePolicy,
    identities: Sequence[Identity],
    evidence: Iterable[Piece | PassedOver],
    *,
    base: str = "",
    now: datetime.datetime,
    record: bool = False,
    **reading: Any,
) -> GateDecision:
    """Whether the model passes, and by which evidence.

    `base` is the directory that paths of the policy begin at; with `record` the version of a model that passes is kept
    as the policy says. `reading` goes to `hashing.digest`. Raises `UsageError` for a model that is not there, and for a
    policy that names unknown identities or files that cannot be read.
    """
    if not os.path.exists(model):
        raise UsageError(f"{model}: no such file or directory")
    _check(policy, identities)
    candidates, unused = _candidates(evidence, policy, Trust(identities=tuple(identities), base=base), now)
    held = Model(model, policy.signature.ignored if policy.signature else (), **reading)
    candidates = held.told_apart(candidates)
    decisions = _judged(policy, candidates, base, now)
    if record and policy.version and policy.version.recorded and all(one.met for one in decisions):
        decisions[-1] = _recorded(policy.version, decisions[-1], candidates, base)
    return GateDecision(
        schema_version=SCHEMA_VERSION,
        model=model,
        subject=held.subject(),
        decided=now.astimezone(datetime.UTC),
        allowed=all(one.met for one in decisions),
        requirements=tuple(decisions),
        unused=tuple(unused),
    )


def _check(policy: GatePolicy, identities: Sequence[Identity]) -> None:
    known = {identity.name for identity in identities}
    for identity in identities:
        kind_of(identity)
    for name in _REQUIREMENTS:
        requirement = getattr(policy, name)
        for signer in requirement.signed_by if requirement else ():
            if signer not in known:
                raise UsageError(f"policy: gate.{name}: no identity named {signer!r}")
    if policy.scan and policy.scan.minimum_version:
        from packaging.version import InvalidVersion, Version

        try:
            Version(policy.scan.minimum_version)
        except InvalidVersion:
            raise UsageError(f"policy: gate.scan: minimum-version {policy.scan.minimum_version!r} is none") from None


def _kinds(policy: GatePolicy) -> set[str]:
    """The kinds of statements that something asks for; who the author is, signatures and training tell."""
    kinds = {name for name in _REQUIREMENTS if getattr(policy, name)}
    return kinds | ({"signature", "training"} if policy.approvals else set())


def _candidates(
    evidence: Iterable[Piece | PassedOver],
    policy: GatePolicy,
    trust: Trust,
    now: datetime.datetime,
) -> tuple[list[Candidate], list[PassedOver]]:
    kinds, revoked = _kinds(policy), frozenset(policy.revoked)
    found: list[Candidate] = []
    unused: list[PassedOver] = []
    for piece in bounded(evidence):
        if isinstance(piece, PassedOver):
            unused.append(piece)
            continue
        try:
            one = candidate(piece, trust, now)
        except Refused as reason:
            unused.append(PassedOver(place=piece.place, reason=str(reason)))
            continue
        if f"sha256:{one.statement}" in revoked:
            unused.append(PassedOver(place=piece.place, reason="the policy has revoked it"))
        elif one.kind in kinds:
            found.append(one)
        else:
            unused.append(PassedOver(place=piece.place, reason=f"the policy asks for no {one.kind}"))
    return found, unused


def _judged(
    policy: GatePolicy, candidates: Sequence[Candidate], base: str, now: datetime.datetime
) -> list[RequirementDecision]:
    found = []
    if policy.signature:
        found.append(signature.judge(policy.signature, candidates))
    if policy.scan:
        found.append(scan.judge(policy.scan, candidates, now))
    if policy.training:
        found.append(training.judge(policy.training, candidates))
    if policy.robustness:
        found.append(robustness.judge(policy.robustness, candidates, now))
    if policy.approvals:
        found.append(approvals.judge(policy.approvals, candidates, now))
    if policy.version:
        found.append(_version(policy.version, candidates, base))
    return found


def _version(asked: VersionRequirement, candidates: Sequence[Candidate], base: str) -> RequirementDecision:
    try:
        passed = highest(asked.name, os.path.join(base, asked.recorded)) if asked.recorded else 0
    except Refused as reason:
        return version.undecidable(asked, str(reason))
    return version.judge(asked, candidates, passed)


def _recorded(
    asked: VersionRequirement, decision: RequirementDecision, candidates: Sequence[Candidate], base: str
) -> RequirementDecision:
    """The decision about the version, now that it is recorded; not met if a higher one passed in the meantime."""
    try:
        remember(version.newest(asked, candidates), os.path.join(base, asked.recorded))
    except Refused as reason:
        return version.undecidable(asked, str(reason))
    return decision
