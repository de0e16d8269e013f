"""What rpm has installed, in SQLite: `rpmdb.sqlite` of Fedora 33, RHEL 9 and later.

Source: rpm documentation, "rpmdb", and its `lib/backend/sqlite.c`: a table `Packages` with a number and a header.
"""

from garrison.core.errors import Malformed, NotUnderstood
from garrison.core.facts import Artifact
from garrison.dependencies.databases import rpm_packages
from garrison.dependencies.databases.sqlite_rows import Tables
from garrison.sources.source import Context, Extracted, Source

_NAME = "rpmdb.sqlite"
_JOURNAL_HEADER = 32


def sniff(source: Source) -> bool:
    """Its name, or the statement that made its table on the first page."""
    return source.name == _NAME or b"CREATE TABLE 'Packages'" in source.reader.pread(0, 4096)


def sniff_journal(source: Source) -> bool:
    """Its name, beside the database."""
    return source.name == f"{_NAME}-wal"


def extract(source: Source, context: Context) -> Extracted:
    """One package for each row."""
    tables = Tables(source.reader, context)
    root = tables.root("Packages")
    if root is None:
        raise Malformed("there is no table of packages")
    problems: list[str] = []
    yield from rpm_packages.facts("rpm-sqlite", tables.blobs(root, problems), problems)


def extract_journal(source: Source, context: Context) -> Extracted:
    """Says that the database beside it lacks what is in here."""
    yield Artifact(format="rpm-sqlite-journal")
    if source.reader.size > _JOURNAL_HEADER:
        raise NotUnderstood("changes that rpm has not yet written into its database are not read")
