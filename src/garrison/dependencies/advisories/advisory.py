"""What is known of a vulnerability or of a malicious package.

Source: the OSV schema 1.7 (https://ossf.github.io/osv-schema/), of which this is the part that decides something.
"""

import datetime

import msgspec

EVENTS = ("introduced", "fixed", "last_affected", "limit")
"""The kinds of events of a range, as OSV names them."""


class Range(msgspec.Struct, frozen=True, array_like=True):
    """Versions from one event to the next."""

    kind: str
    """How its versions are ordered: `ECOSYSTEM` and `SEMVER` as the package's ecosystem does, `GIT` by history."""
    events: tuple[tuple[str, str], ...] = ()
    """Each a kind of event and a version, as the advisory has them; none for `GIT`, whose commits name no release."""


class Affected(msgspec.Struct, frozen=True, kw_only=True):
    """What one advisory says of one package."""

    id: str
    """Of the advisory."""
    ecosystem: str
    """As the advisory writes it: `PyPI`, `Debian:12`."""
    name: str
    """As the advisory writes it."""
    ranges: tuple[Range, ...] = ()
    versions: tuple[str, ...] = ()
    """Versions that are affected whatever the ranges say."""


class Reference(msgspec.Struct, frozen=True, array_like=True):
    kind: str
    """`ADVISORY`, `FIX`, `WEB`, ..."""
    url: str


class Vector(msgspec.Struct, frozen=True, array_like=True):
    """A severity as the advisory states it."""

    kind: str
    """`CVSS_V2`, `CVSS_V3`, `CVSS_V4`, or the name of a distribution that rates by words."""
    text: str


class Advisory(msgspec.Struct, frozen=True, kw_only=True):
    """One vulnerability or malicious package, as one source describes it."""

    id: str
    modified: datetime.datetime
    published: datetime.datetime | None = None
    withdrawn: datetime.datetime | None = None
    """When it was taken back; `Database.affected` leaves such advisories out."""
    aliases: tuple[str, ...] = ()
    """Other names of the same vulnerability."""
    upstream: tuple[str, ...] = ()
    """Vulnerabilities that this one, of a distribution, follows from."""
    related: tuple[str, ...] = ()
    """Vulnerabilities that have to do with it and are others."""
    summary: str = ""
    """One line; where the advisory has none, the beginning of its details."""
    severities: tuple[Vector, ...] = ()
    score: float | None = None
    """The highest base score of its CVSS vectors; `None` where it has none."""
    rating: str = ""
    """`critical`, `high`, `medium`, `low` or `none`: from the score, else by its publisher's word; empty if unknown."""
    malicious: bool = False
    """The package was made to do harm."""
    references: tuple[Reference, ...] = ()
    packages: tuple[tuple[str, str], ...] = ()
    """The packages that it speaks of: ecosystem and name."""
    epss: float | None = None
    """How probable an attempt to exploit it is within thirty days, 0 to 1; `None` where no EPSS data tell."""
    kev: bool = False
    """It is exploited, as CISA's catalogue of known exploited vulnerabilities has it."""

    @property
    def cves(self) -> tuple[str, ...]:
        """CVE ids that it goes by, its own or those that it follows from."""
        names = (self.id, *self.aliases, *self.upstream)
        return tuple(dict.fromkeys(name[at:] for name in names if (at := name.find("CVE-")) >= 0))


class SourceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Where advisories of a database are from, and how old they are."""

    name: str
    """An URL without credentials, or a path."""
    kind: str
    """`osv`, `epss` or `kev`."""
    ecosystems: tuple[str, ...] = ()
    """The ecosystems of its advisories, without a release, the most frequent first."""
    count: int = 0
    """Advisories, or vulnerabilities that are ranked."""
    broken: int = 0
    """Entries that could not be read, and are missing."""
    newest: datetime.datetime
    """The latest date of modification among its entries."""
    fetched: datetime.datetime
    """When it was last compared with its origin."""

    @property
    def ecosystem(self) -> str:
        """The first of them, for a person."""
        return ", ".join(self.ecosystems[:3]) + (", …" if len(self.ecosystems) > 3 else "")

    @property
    def as_of(self) -> datetime.datetime:
        """The day of the data: when its newest entry was modified, and never later than it was fetched."""
        return min(self.newest, self.fetched)

    def described(self, now: datetime.datetime | None = None) -> str:
        """One line for a person: `PyPI: 7,080 advisories, newest of 2026-07-23, fetched 3 days ago`."""
        label = f"{self.ecosystem or self.name}: " if self.kind == "osv" else ""
        one, many = _KINDS.get(self.kind, (self.kind, self.kind))
        label += f"{self.count:,} {one if self.count == 1 else many}"
        missing = f", {self.broken:,} more could not be read" if self.broken else ""
        return f"{label}, newest of {self.newest:%Y-%m-%d}, fetched {_ago(self.fetched, now)}{missing}"


_KINDS = {
    "osv": ("advisory", "advisories"),
    "epss": ("EPSS score", "EPSS scores"),
    "kev": ("known exploited vulnerability", "known exploited vulnerabilities"),
}


def _ago(then: datetime.datetime, now: datetime.datetime | None) -> str:
    days = ((now or datetime.datetime.now(datetime.UTC)).date() - then.date()).days
    return "today" if days <= 0 else "yesterday" if days == 1 else f"{days:,} days ago"
