"""Brings one source's advisories into a database that is being written."""

import datetime
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

_HELD_BACK = 100_000
"""Rows that are kept in memory before they are written."""
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
        self._pending.flush()
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
    """Rows of packages that wait to be written, since a package's row holds all its advisories."""

    def __init__(self, connection: sqlite3.Connection, source: int) -> None:
        self._connection = connection
        self._source = source
        self._added: dict[tuple[str, str], list[tuple[Row, tuple[str, ...]]]] = {}
        self._dropped: dict[tuple[str, str], set[str]] = {}
        self._size = 0

    def add(self, affected: Affected, modified: datetime.datetime) -> None:
        row = Row(affected.id, self._source, modified, affected.ecosystem, affected.name, affected.ranges, 0)
        key = _key(affected.ecosystem, affected.name)
        self._added.setdefault(key, []).append((row, affected.versions))
        self._size += 1 + len(affected.versions) // 20
        if self._size > _HELD_BACK:
            self.flush()

    def drop(self, ecosystem: str, name: str, id: str) -> None:
        key = _key(ecosystem, name)
        self._dropped.setdefault(key, set()).add(id)
        if key in self._added:
            self._added[key] = [one for one in self._added[key] if one[0].id != id]

    def flush(self) -> None:
        for key in {**self._added, **self._dropped}:
            self._write(key)
        self._added.clear()
        self._dropped.clear()
        self._size = 0

    def _write(self, key: tuple[str, str]) -> None:
        query = "SELECT key, payload FROM package WHERE ecosystem = ? AND name = ?"
        before = self._connection.execute(query, key).fetchone()
        rows: list[tuple[Row, tuple[str, ...]]] = []
        if before is not None:
            packed = unpack_rows(before[1])
            dropped = self._dropped.get(key, ())
            rows = [
                (row, packed.lists[row.versions])
                for row in packed.rows
                if row.source != self._source or row.id not in dropped
            ]
        rows += self._added.get(key, ())
        if not rows:
            self._connection.execute("DELETE FROM package WHERE ecosystem = ? AND name = ?", key)
        elif before is not None:
            self._connection.execute("UPDATE package SET payload = ? WHERE key = ?", (_packed(rows), before[0]))
        else:
            self._connection.execute(
                "INSERT INTO package (ecosystem, name, payload) VALUES (?, ?, ?)", (*key, _packed(rows))
            )


def _key(ecosystem: str, name: str) -> tuple[str, str]:
    return lookup_ecosystem(ecosystem), lookup_name(ecosystem, name)


def _packed(rows: Iterable[tuple[Row, tuple[str, ...]]]) -> bytes:
    lists: dict[tuple[str, ...], int] = {}
    kept = [msgspec.structs.replace(row, versions=lists.setdefault(versions, len(lists))) for row, versions in rows]
    return pack_rows(Rows(kept, list(lists)))
