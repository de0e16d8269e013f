"""The advisory database as a scan reads it: one SQLite file that `garrison db update` has written.

It is opened read-only and as it stands: an update replaces the file and never changes it, so that a reader keeps the
one that it has opened.
"""

import datetime
import os
import sqlite3
import stat
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from garrison.core.errors import GarrisonError
from garrison.dependencies.advisories.advisory import Advisory, Affected, SourceInfo
from garrison.dependencies.advisories.names import base_ecosystem, lookup_ecosystem, lookup_name
from garrison.dependencies.advisories.storage import (
    APPLICATION,
    SCHEMA,
    VERSION,
    DatabaseDamaged,
    cve_number,
    unpack_advisory,
    unpack_rows,
)

ENVIRONMENT = "GARRISON_DATABASE"
_HEADER = 100
_ASKED_AT_ONCE = 10_000


class DatabaseMissing(GarrisonError):
    """There is no database; says how to get one."""


def default_path() -> str:
    """`$GARRISON_DATABASE`, or else `garrison/advisories.sqlite` among the user's data (XDG)."""
    if named := os.environ.get(ENVIRONMENT):
        return named
    data = os.environ.get("XDG_DATA_HOME", "")
    if not os.path.isabs(data):
        data = os.path.join(os.path.expanduser("~"), ".local", "share")
    return os.path.join(data, "garrison", "advisories.sqlite")


class Database:
    """Open it with `Database.open`, and close it or use it as a context manager."""

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self.sources: tuple[SourceInfo, ...] = tuple(self._read_sources())
        """What it holds, and how old that is."""

    @classmethod
    def open(cls, path: str = "") -> "Database":
        """Open the file at `path`, which is relative to the working directory, or else the one at `default_path()`.

        Raises `DatabaseMissing` where there is none, and `DatabaseDamaged` for a file that is something else, was
        truncated, or was written by a version of garrison that this one does not know.
        """
        path = path or default_path()
        _check_header(path)
        connection = sqlite3.connect(f"file:{quote(os.path.abspath(path))}?mode=ro&immutable=1", uri=True)
        try:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cell_size_check = ON")
            _check_schema(path, connection)
            return cls(path, connection)
        except sqlite3.Error as error:
            connection.close()
            raise _damaged(path, str(error)) from None
        except BaseException:
            connection.close()
            raise

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def covering(self, ecosystem: str) -> tuple[SourceInfo, ...]:
        """The sources that have advisories of an ecosystem, the freshest first: none, if nothing is known of it."""
        base = base_ecosystem(ecosystem)
        found = [source for source in self.sources if source.kind == "osv" and base in source.ecosystems]
        return tuple(sorted(found, key=lambda source: source.as_of, reverse=True))

    def affected(self, ecosystem: str, names: Iterable[str]) -> dict[str, list[Affected]]:
        """What advisories say of packages, by the names as given; packages without advisories are left out.

        `ecosystem` is one of OSV's, with the release where it has releases (`Debian:12`). Advisories that were
        withdrawn are left out, and of those that several sources have, the one that was modified last counts.
        """
        wanted: dict[str, list[str]] = {}
        for name in dict.fromkeys(names):
            key = lookup_name(ecosystem, name).encode("utf-8", "replace").decode()
            wanted.setdefault(key, []).append(name)
        found: dict[str, list[Affected]] = {}
        for key, affected in self._look_up(ecosystem, list(wanted)):
            for name in wanted[key]:
                found.setdefault(name, []).extend(affected)
        return found

    def _look_up(self, ecosystem: str, keys: list[str]) -> Iterator[tuple[str, list[Affected]]]:
        exact = lookup_ecosystem(ecosystem)
        for start in range(0, len(keys), _ASKED_AT_ONCE):
            asked = msgspec.json.encode(keys[start : start + _ASKED_AT_ONCE]).decode()
            query = (
                "SELECT p.name, p.payload FROM json_each(?) AS j CROSS JOIN package AS p "
                "ON p.ecosystem IN (?, ?) AND p.name = j.value"
            )
            for name, payload in self._rows(query, asked, exact, base_ecosystem(exact)):
                yield name, _newest(payload)

    def advisory(self, id: str) -> Advisory:
        """One advisory, with its EPSS score and whether it is known to be exploited. Raises `KeyError`."""
        return self.advisories([id])[id]

    def advisories(self, ids: Iterable[str]) -> dict[str, Advisory]:
        """The same for many, by id; those that the database does not have are left out."""
        asked = msgspec.json.encode(list(dict.fromkeys(ids))).decode()
        query = "SELECT a.payload FROM json_each(?) AS j CROSS JOIN advisory AS a ON a.id = j.value"
        found: dict[str, Advisory] = {}
        for (payload,) in self._rows(query, asked):
            advisory = unpack_advisory(payload)
            if advisory.id not in found or advisory.modified > found[advisory.id].modified:
                found[advisory.id] = advisory
        return self._ranked(found)

    def _ranked(self, advisories: dict[str, Advisory]) -> dict[str, Advisory]:
        numbers = {
            id: [number for name in advisory.cves if (number := cve_number(name)) is not None]
            for id, advisory in advisories.items()
        }
        asked = msgspec.json.encode(sorted({number for some in numbers.values() for number in some})).decode()
        epss = dict(self._rows("SELECT cve, score FROM epss WHERE cve IN (SELECT value FROM json_each(?))", asked))
        kev = {cve for (cve,) in self._rows("SELECT cve FROM kev WHERE cve IN (SELECT value FROM json_each(?))", asked)}
        return {
            id: msgspec.structs.replace(
                advisory,
                epss=max((epss[number] for number in numbers[id] if number in epss), default=None),
                kev=not kev.isdisjoint(numbers[id]),
            )
            for id, advisory in advisories.items()
        }

    def check(self) -> None:
        """Read all of it, which opening does not. Raises `DatabaseDamaged` for what has been damaged since."""
        if (answer := self._rows("PRAGMA integrity_check(1)")) != [("ok",)]:
            raise _damaged(self.path, str(answer[0][0]))

    def _read_sources(self) -> Iterator[SourceInfo]:
        query = "SELECT name, kind, ecosystems, count, broken, newest, fetched FROM source ORDER BY key"
        for name, kind, counts, count, broken, newest, fetched in self._rows(query):
            try:
                known = msgspec.json.decode(counts, type=dict[str, int])
                yield SourceInfo(
                    name=name,
                    kind=kind,
                    ecosystems=tuple(sorted(known, key=lambda one: (-known[one], one))),
                    count=count,
                    broken=broken,
                    newest=datetime.datetime.fromisoformat(newest),
                    fetched=datetime.datetime.fromisoformat(fetched),
                )
            except (ValueError, TypeError, KeyError) as error:
                raise _damaged(self.path, str(error)) from None

    def _rows(self, query: str, *values: Any) -> Sequence[Any]:
        try:
            return self._connection.execute(query, values).fetchall()
        except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
            raise _damaged(self.path, str(error)) from None


def _newest(payload: Any) -> list[Affected]:
    """One advisory may say several things of a package, and several sources may have the advisory."""
    packed = unpack_rows(payload)
    latest: dict[str, tuple[datetime.datetime, int]] = {}
    for row in packed.rows:
        if row.id not in latest or row.modified > latest[row.id][0]:
            latest[row.id] = row.modified, row.source
    try:
        lists = packed.lists
        return [
            Affected(id=r.id, ecosystem=r.ecosystem, name=r.name, ranges=r.ranges, versions=lists[r.versions])
            for r in packed.rows
            if r.source == latest[r.id][1]
        ]
    except IndexError:
        raise DatabaseDamaged("a row of the advisory database is damaged") from None


def _check_header(path: str) -> None:
    """What a database's first bytes tell, before SQLite looks at any of it."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise _damaged(path, "it is no regular file")
        with open(path, "rb") as file:
            header = file.read(_HEADER)
            size = os.fstat(file.fileno()).st_size
    except (FileNotFoundError, NotADirectoryError):
        raise DatabaseMissing(
            f"no advisory database at {path}: `garrison db update` gets one, "
            "`garrison db update --from FILE` builds one without a network"
        ) from None
    except OSError as error:
        raise DatabaseDamaged(f"{path}: cannot be read: {error.strerror}") from None
    if len(header) < _HEADER or not header.startswith(b"SQLite format 3\0"):
        raise _damaged(path, "it is no SQLite file" if header else "it is empty")
    if int.from_bytes(header[68:72], "big") != APPLICATION:
        raise _damaged(path, "it is a SQLite file of something else")
    version = int.from_bytes(header[60:64], "big")
    if version != VERSION:
        newer = (
            "a newer garrison wrote it: upgrade garrison, or" if version > VERSION else "an older garrison wrote it:"
        )
        raise DatabaseDamaged(f"{path}: {newer} write it anew with `garrison db update --fresh`")
    page = int.from_bytes(header[16:18], "big")
    pages = int.from_bytes(header[28:32], "big")
    if size != pages * (65536 if page == 1 else page):
        raise _damaged(path, f"it has {size} bytes and should have {pages * (65536 if page == 1 else page)}")


def _check_schema(path: str, connection: sqlite3.Connection) -> None:
    """Tables and indexes as garrison makes them, and nothing else: no views, no triggers."""
    found = {text for (text,) in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
    if found != set(SCHEMA):
        raise _damaged(path, "its tables are not those of an advisory database")


def _damaged(path: str, reason: str) -> DatabaseDamaged:
    return DatabaseDamaged(
        f"{path}: no usable advisory database: {reason}; `garrison db update --fresh` writes it anew"
    )
