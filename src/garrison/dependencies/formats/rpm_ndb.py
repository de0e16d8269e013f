"""What rpm has installed, in its own `Packages.db`, as openSUSE and SLE 15 have it.

Source: rpm's `lib/backend/ndb/rpmpkg.c`.
"""

from garrison.dependencies.databases import rpm_packages
from garrison.dependencies.databases.ndb_slots import Slots
from garrison.sources.source import Context, Extracted, Source


def extract(source: Source, context: Context) -> Extracted:
    """One package for each slot."""
    problems: list[str] = []
    yield from rpm_packages.facts("rpm-ndb", Slots(source.reader, context).blobs(problems), problems)
