"""What a team lets through: reads findings, decides, and gives reasons."""

import datetime
from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from garrison.core.errors import UsageError
from garrison.core.findings import Finding, Severity
from garrison.core.limits import Limits
from garrison.core.registry import formats, rules


class Waiver(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A finding that a named person accepts until a day."""

    rule: str
    """The rule whose findings it accepts."""
    reason: str
    owner: str
    """Who answers for it."""
    expires: datetime.date
    """The last day on which it counts."""
    subject: str = "*"
    """A shell pattern over the finding's subject."""
    place: str = "*"
    """A shell pattern over the finding's place."""


class RuleOverride(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    severity: Severity | None = None
    """In place of the severity that the rule's findings have."""
    enabled: bool = True
    """Whether the rule counts at all."""


class PackagePolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What a team asks of the packages that it uses."""

    database: str = ""
    """The advisory database; by default the one that `garrison db update` writes."""
    database_days: int = 30
    """How old the advisories may be, in days; older ones are a finding."""
    index: str = ""
    """The package index that is asked when a scan may ask one; by default the one that pip is configured with, else
    PyPI."""
    private: tuple[str, ...] = ()
    """Shell patterns over names of packages that are the team's own, and must never come from a public index."""
    allowed_licences: tuple[str, ...] = ()
    """When given, SPDX identifiers or shell patterns over them: the only licences for packages and models."""
    denied_licences: tuple[str, ...] = ()
    """SPDX identifiers, or shell patterns over them, of licences that packages and models must not have."""
    days_behind: int = 365
    """How far behind its latest release a package may be, in days."""
    abandoned_days: int = 1460
    """How long ago a package's latest release may be, in days, until it counts as abandoned."""


class Identity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Somebody whose signatures count: the owner of a key, of a certificate, or of an account known to Sigstore."""

    name: str
    """What requirements call it."""
    public_key: str = ""
    """A file with the public key in PEM."""
    authorities: str = ""
    """A file with the certificates in PEM that an authority's chains end in."""
    subject: str = ""
    """A pattern (`*`, `?`) over the names in the certificate: its subject alternative names, or else its common name.
    One with a colon is for URIs, another with an at sign for e-mail addresses, any other for hosts. Required with
    `authorities` and `issuer`."""
    issuer: str = ""
    """With Sigstore: the OpenID provider that knows the account."""
    trusted_root: str = ""
    """With Sigstore: a file of its trusted root; by default the public instance's."""


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """`garrison.toml`, or `[tool.garrison]` in `pyproject.toml`."""

    threshold: Severity = Severity.HIGH
    """A finding of this severity or worse denies."""
    coverage: Literal["allow", "deny"] = "allow"
    """Whether a subject that was not examined to its end denies."""
    allowed_formats: tuple[str, ...] = ()
    """When given, an artifact of any other model format denies."""
    denied_formats: tuple[str, ...] = ()
    """An artifact of one of these formats denies."""
    allowed_globals: tuple[str, ...] = ()
    """Shell patterns over `module.name` of imports that pass without a finding."""
    denied_globals: tuple[str, ...] = ()
    """Shell patterns over `module.name` of imports that are critical."""
    exclude: tuple[str, ...] = ()
    """Shell patterns over paths below a given directory that are not examined, and are listed as skipped."""
    rules: dict[str, RuleOverride] = {}
    """Rules to judge otherwise, by id."""
    waivers: tuple[Waiver, ...] = ()
    """Findings that are accepted for a while."""
    packages: PackagePolicy = PackagePolicy()
    """What is asked of the packages in use."""
    identities: tuple[Identity, ...] = ()
    """Whose signatures count."""
    gate: dict[str, Any] = {}
    """What the evidence about a model must say before it passes `garrison gate`."""
    limits: Limits = Limits()
    """What the examination of one file may cost."""

    def __post_init__(self) -> None:
        # From Python a severity may come as the word that it is in a policy file.
        msgspec.structs.force_setattr(self, "threshold", Severity(self.threshold))


class Waived(msgspec.Struct, frozen=True, kw_only=True):
    finding: Finding
    waiver: Waiver


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    allowed: bool
    verdict: Literal["clean", "opaque", "incomplete", "denied", "accepted"]
    """`clean`: nothing found, all examined. `opaque`: nothing found, but it holds code that cannot be judged from its
    bytes. `incomplete`: something was not examined, or there was nothing to examine. `accepted`: findings below the
    threshold or waived. `denied`: policy refuses it."""
    threshold: Severity
    """The severity from which a finding denies."""
    reasons: tuple[str, ...]
    """Why policy denies; empty when it allows."""
    waived: tuple[Waived, ...] = ()
    """Findings that a waiver accepts, each with the waiver."""
    expired: tuple[Waiver, ...] = ()
    """Waivers that would have matched a finding, had they not expired."""


def parse_policy(data: object) -> Policy:
    """A policy from plain TOML values.

    Raises `UsageError` with the place of the first mistake; a rule or format that does not exist is one.
    """
    try:
        policy = msgspec.convert(data, Policy)
    except msgspec.ValidationError as error:
        raise UsageError(f"policy: {error}") from None
    if policy.gate:
        from garrison.core.gate_policy import gate_policy  # which few policies have, and takes its time to import

        gate_policy(policy.gate)
    _check_names("rule", (*policy.rules, *(waiver.rule for waiver in policy.waivers)), rules)
    _check_names("format", (*policy.allowed_formats, *policy.denied_formats), formats)
    return policy


def _check_names(what: str, names: Iterable[str], known: "Callable[[], Iterable[str]]") -> None:
    for name in names:
        if name not in known():
            import difflib

            close = difflib.get_close_matches(name, known(), 1)
            raise UsageError(f"policy: no {what} named {name!r}" + (f", did you mean {close[0]!r}?" if close else ""))
