"""What can be said about a model: the predicates of in-toto statements, each a struct with its type's URI.

Sources: the provenance is SLSA's (https://slsa.dev/spec/v1.1/provenance), of which unknown fields mean nothing, as its
parsing rules say. The others are garrison's own and strict: a field that is not known here may be a condition, so that
whoever reads it must refuse it. Names are in lowerCamelCase and times in RFC 3339, as in-toto's rules for fields ask
(https://github.com/in-toto/attestation/blob/main/spec/v1/field_types.md).
"""

import datetime
import math
from typing import Annotated, Any, Literal, get_args

import msgspec

from garrison.core.findings import Severity
from garrison.provenance.trust import Refused

SCAN = "https://garrison/attestations/scan/v1"
TRAINING = "https://slsa.dev/provenance/v1"
ROBUSTNESS = "https://garrison/attestations/robustness/v1"
APPROVAL = "https://garrison/attestations/approval/v1"
VERSION = "https://garrison/attestations/version/v1"
TRAINING_BUILD = "https://garrison/attestations/training/v1"
"""The `buildType` of a provenance that says how a model was trained."""

REPORT_LENGTH = 64 << 20
"""Characters of a report that an attestation can hold."""
_MOST = (1 << 63) - 1
Time = Annotated[datetime.datetime, msgspec.Meta(tz=True)]
Count = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
Digests = Annotated[
    dict[
        Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_]{1,64}\Z")],
        Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32,128}\Z")],
    ],
    msgspec.Meta(min_length=1, max_length=16),
]
"""In lower-case hexadecimal, by the algorithm's name in in-toto's digest sets."""


def _check_time(value: object) -> None:
    """Raise `ValueError` for a time that is in no year of four digits at Greenwich, and compares with no other."""
    if isinstance(value, datetime.datetime):
        try:
            value.astimezone(datetime.UTC)
        except OverflowError:
            raise ValueError("a time before the year 1 or after the year 9999") from None


class Resource(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A resource descriptor of in-toto: something that is referred to, and what its bytes must be."""

    name: str = ""
    uri: str = ""
    digest: dict[str, str] = {}
    """In lower-case hexadecimal, by algorithm."""
    download_location: str = ""
    media_type: str = ""
    content: str = ""
    """The bytes themselves in base64, where they are few."""
    annotations: dict[str, Any] = {}


class Tool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program."""

    name: Text
    version: Text


class Predicate(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True
):
    """What all of garrison's own have."""

    created: Time
    """When it was said, by the clock of whoever said it."""
    expires: Time | None = None
    """From when on it says nothing any more; absent where it stays true."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            _check_time(getattr(self, name))


class Counts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Findings of each severity."""

    info: Count
    low: Count
    medium: Count
    high: Count
    critical: Count

    def of(self, severity: Severity) -> int:
        count: int = getattr(self, severity.value)
        return count

    @property
    def worst(self) -> Severity | None:
        """The worst severity of which there are any."""
        return max((one for one in Severity if self.of(one)), key=lambda one: one.rank, default=None)


class Examined(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """How much of the model was examined, in subjects: its files and what is inside them."""

    examined: Count
    """To the end."""
    not_understood: Count
    """Of no known format."""
    failed: Count
    """On which the examination broke off, partly examined ones included."""
    skipped: Count
    """Left out on purpose."""


class Checked(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True
):
    """One kind of examination against data from elsewhere, as the report's `checks` say it."""

    name: Text
    """What was checked, such as `known vulnerabilities`."""
    checked: Count
    """Things that were checked."""
    total: Count
    """Things that there were to check."""
    data: str = ""
    """What it was checked against, and how old that was."""
    reason: str = ""
    """Why not all were checked."""
    gap: bool = False
    """Whether what was not checked leaves the answer incomplete."""


class Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    """The report that a scan's attestation sums up."""

    digest: Digests
    """Of its JSON."""
    schema_version: Text
    content: Annotated[str, msgspec.Meta(max_length=REPORT_LENGTH)] = ""
    """The JSON itself, where the scan was done to be attested; absent where it is somewhere else, or too long."""


class Scan(Predicate, frozen=True, kw_only=True):
    """The model was scanned: what was found, and whether policy let it through."""

    scanner: Tool
    """What scanned it: `name` and `version`."""
    started: Time
    """When the scan began."""
    allowed: bool
    """Whether the policy that it was scanned under let it through."""
    verdict: Literal["clean", "opaque", "incomplete", "denied", "accepted"]
    """The report's verdict."""
    threshold: Severity
    """From which severity on that policy denied findings."""
    reasons: Annotated[tuple[str, ...], msgspec.Meta(max_length=10_000)] = ()
    """Why policy denied it."""
    findings: Counts
    """How many findings of each severity there are, waived ones included."""
    waived: Counts
    """How many of them a waiver accepts."""
    coverage: Examined
    """How much was examined."""
    checks: Annotated[tuple[Checked, ...], msgspec.Meta(max_length=1000)] = ()
    """What was checked against data from elsewhere, such as advisories, and how old that data was."""
    report: Report
    """The report that this sums up."""


class Measurement(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True
):
    """One number, and what it was measured against."""

    name: Text
    """What was measured: `accuracy`, `robust-accuracy`, `attack-success-rate`, …"""
    value: float
    lower: float | None = None
    """The lower end of its confidence interval."""
    upper: float | None = None
    """The upper end of its confidence interval."""
    confidence: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None = None
    """How sure the interval is, such as 0.95."""
    attack: Annotated[str, msgspec.Meta(max_length=4096)] = ""
    """Which attack the model was under, such as `autoattack`; absent for none."""
    norm: Literal["l0", "l1", "l2", "linf"] | None = None
    """How the attacker's budget is measured."""
    epsilon: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """The attacker's budget."""
    parameters: dict[str, bool | int | float | str] = {}
    """What else the attack was given, such as its steps."""
    dataset: Text
    """Which of the card's datasets it was measured on."""
    samples: Annotated[int, msgspec.Meta(ge=1, le=_MOST)]
    """On how many samples."""

    def __post_init__(self) -> None:
        numbers = (self.value, self.lower, self.upper, self.epsilon, *self.parameters.values())
        if not all(math.isfinite(number) for number in numbers if isinstance(number, float)):
            raise ValueError(f"{self.name}: not a finite number")
        interval = [end for end in (self.lower, self.value, self.upper) if end is not None]
        if sorted(interval) != interval:
            raise ValueError(f"{self.name} lies outside of its own confidence interval")
        if (self.norm is None) != (self.epsilon is None):
            raise ValueError(f"{self.name}: norm and epsilon belong together")


class Dataset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Data that a measurement was made with."""

    name: Text
    """What the measurements call it."""
    digest: Digests
    """In lower-case hexadecimal, by algorithm as in in-toto's digest sets."""


class Robustness(Predicate, frozen=True, kw_only=True):
    """How the model does under attack: a robustness card."""

    tool: Tool
    """What measured it: `name` and `version`."""
    datasets: Annotated[tuple[Dataset, ...], msgspec.Meta(min_length=1, max_length=1000)]
    """What it was measured on."""
    measurements: Annotated[tuple[Measurement, ...], msgspec.Meta(min_length=1, max_length=10_000)]
    limitations: Annotated[str, msgspec.Meta(max_length=65_536)] = ""
    """What the numbers do not say."""

    def __post_init__(self) -> None:
        Predicate.__post_init__(self)
        names = [dataset.name for dataset in self.datasets]
        if len(set(names)) != len(names):
            raise ValueError("two datasets have the same name")
        for one in self.measurements:
            if one.dataset not in names:
                raise ValueError(f"{one.name} was measured on {one.dataset!r}, which is none of the datasets")


class Approval(Predicate, frozen=True, kw_only=True):
    """Whoever signed this approves of the model."""

    decision: Literal["approved"]
    comment: Annotated[str, msgspec.Meta(max_length=65_536)] = ""
    environments: Annotated[tuple[Text, ...], msgspec.Meta(max_length=1000)] = ()
    """What it is approved for, such as `production`; without any, for everything."""


class Version(Predicate, frozen=True, kw_only=True):
    """Which version of which model this is, so that an older one that was signed too is told from the newest."""

    name: Text
    """What the model is called through all its versions."""
    version: Annotated[int, msgspec.Meta(ge=1, le=_MOST)]
    """Grows with each version."""


class BuildDefinition(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What went in."""

    build_type: Text
    external_parameters: dict[str, Any]
    internal_parameters: dict[str, Any] = {}
    resolved_dependencies: Annotated[tuple[Resource, ...], msgspec.Meta(max_length=100_000)] = ()


class Builder(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    id: Text
    """A URI for what ran it and is answerable for what is said."""
    version: dict[str, str] = {}
    builder_dependencies: tuple[Resource, ...] = ()


class BuildMetadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    invocation_id: str = ""
    started_on: Time | None = None
    finished_on: Time | None = None

    def __post_init__(self) -> None:
        _check_time(self.started_on)
        _check_time(self.finished_on)


class RunDetails(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Who ran it, and when."""

    builder: Builder
    metadata: BuildMetadata = BuildMetadata()
    byproducts: tuple[Resource, ...] = ()


Role = Literal["code", "dataset", "model", "environment"]


class Provenance(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How the model came to be: SLSA's provenance, version 1."""

    build_definition: BuildDefinition
    run_details: RunDetails

    @property
    def created(self) -> datetime.datetime | None:
        """When it was finished, or else begun, as far as it says."""
        return self.run_details.metadata.finished_on or self.run_details.metadata.started_on

    @property
    def expires(self) -> None:
        """Never: what went into a model stays what it was."""
        return

    def inputs(self, role: Role) -> list[Resource]:
        """What the model was trained with, of one role.

        Empty for builds of other types than garrison's, whose annotations mean something else.
        """
        if self.build_definition.build_type != TRAINING_BUILD:
            return []
        return [one for one in self.build_definition.resolved_dependencies if one.annotations.get("role") == role]

    @property
    def tells_roles(self) -> bool:
        """Whether of each input it is known what it was to the training."""
        roles = [one.annotations.get("role") for one in self.build_definition.resolved_dependencies]
        return self.build_definition.build_type == TRAINING_BUILD and all(role in get_args(Role) for role in roles)


AnyPredicate = Scan | Provenance | Robustness | Approval | Version

PREDICATES: dict[str, type[AnyPredicate]] = {
    SCAN: Scan,
    TRAINING: Provenance,
    ROBUSTNESS: Robustness,
    APPROVAL: Approval,
    VERSION: Version,
}
"""By the type's URI."""


class UnknownKind(Refused):
    """A statement of a kind that is not read here, such as a bill of materials."""


def predicate_of(predicate_type: str, predicate: dict[str, Any]) -> AnyPredicate:
    """The predicate of a statement. Raises `UnknownKind`, and `Refused` for another shape than its kind has."""
    if predicate_type not in PREDICATES:
        raise UnknownKind(f"a statement of a kind that is not read here: {predicate_type[:200]!r}")
    try:
        found: AnyPredicate = msgspec.convert(predicate, PREDICATES[predicate_type])
    except msgspec.ValidationError as error:
        said = " ".join(str(error).split())  # it quotes what it does not know
        raise Refused(f"predicate: {said[:300]}") from None
    return found


def described(predicate: AnyPredicate) -> dict[str, Any]:
    """The predicate as plain JSON values, for a statement."""
    plain: dict[str, Any] = msgspec.to_builtins(predicate)
    return plain


def type_of(predicate: AnyPredicate) -> str:
    """The URI of the predicate's type."""
    return next(uri for uri, kind in PREDICATES.items() if type(predicate) is kind)
