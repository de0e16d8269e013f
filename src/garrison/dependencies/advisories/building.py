"""Brings one source's advisories into a database that is being written."""

import datetime
import itertools
import sqlite3
from collections.abc import Iterable

import msgspec

from garrison.dependencies.advisories.advisory import Advisory, Affected
from garrison.dependencies.advisories.names import base_ecosystem, lookup_ecosystem, lookup_name
from garrison.dependencies.advisories.osv import BrokenEntry
from garrison.dependencies.advisories.reading import Entry, SourceError
from garrison.dependencies.advisories.storage import (
    Row,
    Rows,
    pack_advisory,
    pack_rows,
    unpack_advisory,
    unpack_rows,
)

_FUTURE = datetime.timedelta(days=2)
"""A date of modification that lies further ahead is a mistake, and must not keep its entry from changing."""
_EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC)


class Import(msgspec.Struct, kw_only=True):
    """What came of one source."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    broken: int = 0
    first_problem: str = ""
    newest: datetime.datetime = _EPOCH
    """The latest date of what the database now has of it."""
    shown: datetime.datetime = _EPOCH
    """The latest date in the source itself, which is earlier where it is an old copy."""
    ecosystems: dict[str, int] = {}
    """How many advisories each ecosystem has."""

    @property
    def count(self) -> int:
        return self.added + self.changed + self.unchanged


def import_entries(
    connection: sqlite3.Connection, source: int, entries: Iterable[Entry], now: datetime.datetime
) -> Import:
    """Make what the database has of this source equal to `entries`; what is not newer is left alone.

    Raises `SourceError` where the entries cannot be what they should, and then leaves a transaction to roll back.
    """
    return _Importer(connection, source, now).run(entries)


class _Importer:
    def __init__(self, connection: sqlite3.Connection, source: int, now: datetime.datetime) -> None:
        self._connection = connection
        self._source = source
        self._latest_date = now + _FUTURE
        self._pending = _Pending(connection, source)
        query = "SELECT id, modified FROM advisory WHERE source = ?"
        self._before = {id: datetime.datetime.fromisoformat(date) for id, date in connection.execute(query, (source,))}
        (counts,) = connection.execute("SELECT ecosystems FROM source WHERE key = ?", (source,)).fetchone()
        self._ecosystems = msgspec.json.decode(counts, type=dict[str, int])
        self._seen: dict[str, datetime.datetime] = {}
        self._state: dict[str, str] = {}
        self._kept: set[str] = set()
        """Ids of entries that cannot be read now and could before: what was known of them stays."""
        self._result = Import()

    def run(self, entries: Iterable[Entry]) -> Import:
        result = self._result
        for entry in entries:
            try:
                self._take(entry)
            except BrokenEntry as problem:
                result.broken += 1
                self._kept.add(entry.stem)
                result.first_problem = result.first_problem or f"{entry.name[-200:]}: {problem}"
        self._check()
        for id in self._before.keys() - self._seen.keys() - self._kept:
            self._remove(id)
            result.removed += 1
        self._pending.flush(self._seen)
        states = list(self._state.values())
        result.added, result.changed = states.count("added"), states.count("changed")
        result.unchanged = states.count("unchanged") + len(self._before.keys() & self._kept - self._seen.keys())
        result.newest = max((date for date in self._seen.values() if date <= self._latest_date), default=_EPOCH)
        result.ecosystems = {name: count for name, count in self._ecosystems.items() if count > 0}
        return result

    def _take(self, entry: Entry) -> None:
        head = entry.head()
        if head is not None and not self._is_news(*head):
            return
        advisory, affected = entry.advisory()
        if not self._is_news(advisory.id, advisory.modified):
            return
        self._seen[advisory.id] = advisory.modified
        self._state[advisory.id] = "changed" if advisory.id in self._before else "added"
        self._store(advisory, affected)

    def _is_news(self, id: str, modified: datetime.datetime) -> bool:
        """Whether it is newer than what is there, from before or from the same source."""
        if self._result.shown < modified <= self._latest_date:
            self._result.shown = modified
        if (seen := self._seen.get(id)) is not None:
            return modified > seen
        before = self._before.get(id)
        if before is None or modified > before or (before > self._latest_date and modified < before):
            return True
        self._seen[id] = before
        self._state[id] = "unchanged"
        return False

    def _store(self, advisory: Advisory, affected: Iterable[Affected]) -> None:
        self._remove(advisory.id)
        modified = advisory.modified.isoformat(timespec="microseconds")
        self._connection.execute(
            "INSERT INTO advisory (id, source, modified, payload) VALUES (?, ?, ?, ?)",
            (advisory.id, self._source, modified, pack_advisory(advisory)),
        )
        self._count(advisory, 1)
        if advisory.withdrawn is None:
            for one in affected:
                self._pending.add(one, advisory.modified)

    def _remove(self, id: str) -> None:
        if id not in self._before and id not in self._state:
            return
        where = (id, self._source)
        row = self._connection.execute("SELECT payload FROM advisory WHERE id = ? AND source = ?", where).fetchone()
        if row is not None:
            advisory = unpack_advisory(row[0])
            self._count(advisory, -1)
            for ecosystem, name in advisory.packages:
                self._pending.drop(ecosystem, name, id)
            self._connection.execute("DELETE FROM advisory WHERE id = ? AND source = ?", where)

    def _check(self) -> None:
        result = self._result
        if result.broken and result.broken >= len(self._seen):
            count = result.broken + len(self._seen)
            raise SourceError(
                f"{result.broken:,} of {count:,} entries cannot be read, so that none is used ({result.first_problem})"
            )
        if not self._seen:
            raise SourceError("it holds no advisories")
        left = len(self._before.keys() & self._seen.keys())
        if left * 2 < len(self._before):
            raise SourceError(
                f"it holds {left:,} of the {len(self._before):,} advisories that it held before, so that it is not "
                "used; --fresh uses it all the same"
            )

    def _count(self, advisory: Advisory, step: int) -> None:
        for name in {base_ecosystem(ecosystem) for ecosystem, _ in advisory.packages}:
            self._ecosystems[name] = self._ecosystems.get(name, 0) + step


class _Pending:
    """Rows of packages that wait to be written, each package once, since its row holds all its advisories.

    They wait in a temporary table, sorted by SQLite, because those of a distribution need more room than memory has.
    """

    def __init__(self, connection: sqlite3.Connection, source: int) -> None:
        self._connection = connection
        self._source = source
        self._dropped: dict[tuple[str, str], set[str]] = {}
        """Advisories of which the packages' rows in the database say something that no longer holds."""
        connection.execute("DROP TABLE IF EXISTS temp.pending")
        connection.execute("CREATE TEMP TABLE pending (ecosystem TEXT, name TEXT, row BLOB)")

    def add(self, affected: Affected, modified: datetime.datetime) -> None:
        row = Row(affected.id, self._source, modified, affected.ecosystem, affected.name, affected.ranges, 0)
        packed = pack_rows(Rows([row], [affected.versions]))
        key = _key(affected.ecosystem, affected.name)
        self._connection.execute("INSERT INTO temp.pending VALUES (?, ?, ?)", (*key, packed))

    def drop(self, ecosystem: str, name: str, id: str) -> None:
        self._dropped.setdefault(_key(ecosystem, name), set()).add(id)

    def flush(self, latest: dict[str, datetime.datetime]) -> None:
        """Write all of it; of an advisory that was there several times, what was modified at its latest date counts."""
        waiting = self._connection.cursor()
        waiting.execute("SELECT ecosystem, name, row FROM temp.pending ORDER BY ecosystem, name, rowid")
        for key, group in itertools.groupby(waiting, key=lambda found: (found[0], found[1])):
            packed = (unpack_rows(payload) for _, _, payload in group)
            added = [(one.rows[0], one.lists[0]) for one in packed if one.rows[0].modified == latest[one.rows[0].id]]
            self._write(key, added)
            self._dropped.pop(key, None)
        for key in list(self._dropped):
            self._write(key, [])
        waiting.execute("DROP TABLE temp.pending")

    def _write(self, key: tuple[str, str], added: list[tuple[Row, tuple[str, ...]]]) -> None:
        query = "SELECT key, payload FROM package WHERE ecosystem = ? AND name = ?"
        before = self._connection.execute(query, key).fetchone()
        rows = added
        if before is not None:
            packed = unpack_rows(before[1])
            dropped = self._dropped.get(key, ())
            kept = [row for row in packed.rows if row.source != self._source or row.id not in dropped]
            rows = [*((row, packed.lists[row.versions]) for row in kept), *added]
        if rows and before is not None:
            self._connection.execute("UPDATE package SET payload = ? WHERE key = ?", (_packed(rows), before[0]))
        elif rows:
            values = (*key, _packed(rows))
            self._connection.execute("INSERT INTO package (ecosystem, name, payload) VALUES (?, ?, ?)", values)
        elif before is not None:
            self._connection.execute("DELETE FROM package WHERE key = ?", before[:1])


def _key(ecosystem: str, name: str) -> tuple[str, str]:
    return lookup_ecosystem(ecosystem), lookup_name(ecosystem, name)


def _packed(rows: Iterable[tuple[Row, tuple[str, ...]]]) -> bytes:
    lists: dict[tuple[str, ...], int] = {}
    kept = [msgspec.structs.replace(row, versions=lists.setdefault(versions, len(lists))) for row, versions in rows]
    return pack_rows(Rows(kept, list(lists)))
