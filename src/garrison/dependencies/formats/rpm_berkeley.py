"""What rpm has installed, in Berkeley DB: `Packages` of RHEL 8, CentOS 7, Amazon Linux 2 and their time.

Source: rpm's `lib/backend/db3.c`: values are headers, but for the one of key 0, which is a counter.
"""

from garrison.core.facts import Artifact
from garrison.dependencies.databases import rpm_packages
from garrison.dependencies.databases.berkeley_items import Items
from garrison.sources.source import Context, Extracted, Source

_COUNTER = 4
_PACKAGES = "Packages"
_INDEXES = frozenset(
    (
        "Basenames",
        "Conflictname",
        "Dirnames",
        "Enhancename",
        "Filetriggername",
        "Group",
        "Installtid",
        "Name",
        "Obsoletename",
        "Providename",
        "Recommendname",
        "Requirename",
        "Sha1header",
        "Sigmd5",
        "Suggestname",
        "Supplementname",
        "Transfiletriggername",
        "Triggername",
    )
)


def sniff(source: Source) -> bool:
    """A name that rpm goes by, and a first page whose kind is that of its magic."""
    if source.name != _PACKAGES and source.name not in _INDEXES:
        return False
    head = source.reader.pread(0, 26)
    return len(head) == 26 and head[25] in (8, 9) and head[8:12] == b"\0\0\0\0"


def extract(source: Source, context: Context) -> Extracted:
    """One package for each value, if it is rpm's; indexes of rpm and databases of others have no packages."""
    if source.name != _PACKAGES:
        yield Artifact(format="berkeley-db")
        return
    problems: list[str] = []
    values = Items(source.reader, context).values(problems)
    yield from rpm_packages.facts("berkeley-db", (value for value in values if len(value) != _COUNTER), problems)
