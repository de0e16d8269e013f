"""What detectors state: rules and findings."""

import enum

import msgspec


class Severity(enum.StrEnum):
    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for info to 4 for critical."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that garrison looks for; `garrison explain` prints it."""

    id: str
    title: str
    severity: Severity
    """The usual severity; a finding may differ where the facts say so."""
    description: str
    """What it means and what an attacker does with it."""
    fix: str
    references: tuple[str, ...] = ()
    threats: tuple[str, ...] = ()
    """Entries of `garrison.threats`: `MLSECOPS-03`, `OWASP-ML06`, `AML.T0011.000`, `CWE-502`."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    rule: str
    """Id of the rule; `garrison explain` tells about it."""
    severity: Severity
    subject: str
    """The path as given, joined by `!/` into containers."""
    place: str = ""
    """Where inside the subject, such as `@ 0x2f` or `line 12`; empty means the whole."""
    message: str
    """What was seen, in plain words."""
    fix: str = ""
    """What to do about it."""
    references: tuple[str, ...] = ()
    """Pages to read."""
    threats: tuple[str, ...] = ()
    """Entries of the threat frameworks, such as `CWE-502`."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of examination and how much it covered, so that "nothing found" and "not looked" never look alike."""

    name: str
    """What was checked: `known vulnerabilities`, `how far behind`, `licences`, ..."""
    checked: int
    """Things that were checked."""
    total: int
    """Things that there were to check."""
    data: str = ""
    """What it was checked against, and how old that is."""
    reason: str = ""
    """Why not all were checked, and what to do about it."""
    gap: bool = False
    """Whether what was not checked leaves the answer incomplete."""
