"""What a team asks of the evidence about a model before it is used: `[gate]` of the policy."""

import math
from typing import Annotated, Any

import msgspec

from garrison.core.errors import UsageError
from garrison.core.findings import Severity

Days = Annotated[int, msgspec.Meta(ge=0, le=36_500)]
Names = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
Digest = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_]{1,64}:[0-9a-f]{32,128}\Z")]


class Requirement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What all requirements have."""

    signed_by: Names
    """Names of identities: statements of anybody else do not count here."""


class SignatureRequirement(Requirement, frozen=True, kw_only=True):
    """The model is signed, as `garrison sign` does it."""

    ignored: tuple[str, ...] = ()
    """Paths in the model that the signature may leave out; Git's own and the signature's file always may be."""


class ScanRequirement(Requirement, frozen=True, kw_only=True):
    """The model was scanned."""

    scanner: str = "garrison"
    """What must have scanned it."""
    minimum_version: str = ""
    """The oldest version of the scanner that counts."""
    max_days: Days | None = None
    """How long ago the scan may have begun, in days."""
    below: Severity = Severity.HIGH
    """A finding of this severity or worse does not pass."""
    waived: bool = False
    """Whether findings that the scan's own policy waived may stand."""
    complete: bool = True
    """Whether all of the model must have been examined, to the end."""


class TrainingRequirement(Requirement, frozen=True, kw_only=True):
    """The model was trained from what is listed, as its provenance says. Of each list that is given, all of that kind
    must be on it, and there must be at least one."""

    datasets: tuple[Digest, ...] = ()
    """Digests of the datasets it may be trained on, such as `sha256:…`."""
    base_models: tuple[Digest, ...] | None = None
    """Digests of the models it may be trained from; `[]` allows none. Without the key, all are allowed."""
    code: tuple[str, ...] = ()
    """Shell patterns over the addresses of its code, such as `git+https://git.example/team/*`."""
    commits: tuple[str, ...] = ()
    """The commits of its code that count."""
    builders: tuple[str, ...] = ()
    """Shell patterns over the URI of what trained it."""


class Threshold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """A bound for what was measured. Every measurement that fits must keep it, and at least one must fit."""

    metric: str
    """What is measured, such as `robust-accuracy`."""
    attack: str = ""
    """A shell pattern over the attack that the model was under; empty for none."""
    norm: str = ""
    """How the attacker's budget is measured, such as `linf`; empty for any."""
    epsilon: float | None = None
    """The attacker's budget, to within one per cent; without it, any."""
    dataset: Digest | None = None
    """The digest of what it was measured on; without it, anything."""
    samples: Annotated[int, msgspec.Meta(ge=1)] = 1
    """On how many samples at least."""
    minimum: float | None = None
    """The least that passes."""
    maximum: float | None = None
    """The most that passes, as of an attack's success rate."""

    def __post_init__(self) -> None:
        if self.minimum is None and self.maximum is None:
            raise ValueError(f"{self.metric}: minimum or maximum must be given")
        # Nothing is below what is no number, so that everything would pass.
        if not all(math.isfinite(one) for one in (self.minimum, self.maximum, self.epsilon) if one is not None):
            raise ValueError(f"{self.metric}: not a finite number")


class RobustnessRequirement(Requirement, frozen=True, kw_only=True):
    """The model was measured, under attack too."""

    thresholds: Annotated[tuple[Threshold, ...], msgspec.Meta(min_length=1)]
    """What must hold, each in a table of its own."""
    max_days: Days | None = None
    """How long ago it may have been measured, in days."""


class ApprovalsRequirement(Requirement, frozen=True, kw_only=True):
    """People approved of the model; never its author, who is whoever signed it or its training."""

    count: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    """How many people. Identities of one name are one person."""
    environment: str = ""
    """What it must be approved for; approvals for everything count too."""
    max_days: Days | None = None
    """How long ago they may have approved, in days."""


class VersionRequirement(Requirement, frozen=True, kw_only=True):
    """The model is no older version that was put in the place of a newer one."""

    name: str
    """What the model is called through all its versions."""
    minimum: Annotated[int, msgspec.Meta(ge=0)] = 0
    """The lowest version that counts."""
    recorded: str = ""
    """A file in which `garrison gate --record` keeps the highest version that passed; a lower one does not count."""


class GatePolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What must hold before a model passes `garrison gate`; all that is given must."""

    signature: SignatureRequirement | None = None
    """Who must have signed it."""
    scan: ScanRequirement | None = None
    """What a scan must have said."""
    training: TrainingRequirement | None = None
    """What it must be trained from."""
    robustness: RobustnessRequirement | None = None
    """How well it must do."""
    approvals: ApprovalsRequirement | None = None
    """Who must approve of it."""
    version: VersionRequirement | None = None
    """How new it must be."""
    revoked: tuple[Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}\Z")], ...] = ()
    """Statements that count no more, by their SHA-256 as the decision gives it under `statement`: `sha256:…`."""

    def __post_init__(self) -> None:
        if not any((self.signature, self.scan, self.training, self.robustness, self.approvals, self.version)):
            raise ValueError("it asks for nothing")
        if self.approvals and not (self.signature or self.training):
            raise ValueError("approvals leaves out the author, whom signature or training must tell")


def gate_policy(table: dict[str, Any]) -> GatePolicy:
    """The policy in the table `[gate]`. Raises `UsageError` with the place of the first mistake."""
    try:
        return msgspec.convert(table, GatePolicy)
    except msgspec.ValidationError as error:
        raise UsageError(f"policy: gate: {error}") from None
