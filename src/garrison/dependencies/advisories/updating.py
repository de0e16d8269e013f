"""Writes the advisory database: beside its place first, and moved there when it is whole.

Readers keep the file that they have opened. Of two updates at once the second waits.
"""

import contextlib
import datetime
import hashlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from garrison.core.errors import GarrisonError
from garrison.dependencies.advisories.building import Import, import_entries
from garrison.dependencies.advisories.contents import Ranks, contents
from garrison.dependencies.advisories.database import Database, DatabaseMissing, default_path
from garrison.dependencies.advisories.fetching import Validators, fetch
from garrison.dependencies.advisories.origins import Origin, named_origins
from garrison.dependencies.advisories.reading import SourceError, entries_of_directory
from garrison.dependencies.advisories.storage import APPLICATION, SCHEMA, VERSION

_PATIENCE = 600.0
"""Seconds that an update waits for another one."""
_ROLLBACK = datetime.timedelta(days=1)
"""How much older than before an address may show its advisories, since the newest one may have been removed."""

Say = Callable[[str], None]
"""Told what happens, one line at a time."""


class Outcome(msgspec.Struct, kw_only=True):
    """What an update did."""

    path: str
    """Of the database."""
    failures: list[str] = []
    """Sources that could not be used, one line each; what was known from them stays."""
    written: bool = False


def update(
    origins: Sequence[Origin | str], path: str = "", *, fresh: bool = False, say: Say = lambda _: None
) -> Outcome:
    """Bring what each origin has into the database at `path`, by default the one at `default_path()`.

    An origin is one of `usual_origins` or `named_origins`, or the name of a file, a directory or an address.

    A source that fails is one of the outcome's failures, and the others count all the same. With `fresh` nothing of
    the database that is there is kept. Raises `UsageError` for an origin that cannot be, and `GarrisonError` where
    the database cannot be read or written.
    """
    path = os.path.realpath(path or default_path())
    named = [one for given in origins for one in ([given] if isinstance(given, Origin) else named_origins([given]))]
    outcome = Outcome(path=path)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with _locked(path, say), _draft(path, fresh) as draft:
            for origin in named:
                try:
                    _Update(draft, path, origin, say).run()
                    outcome.written = True
                except SourceError as error:
                    outcome.failures.append(f"{origin.shown}: {error}")
            if outcome.written:
                _publish(draft, path)
    except OSError as error:
        raise GarrisonError(f"{path}: cannot be written: {error.strerror or error}") from None
    except sqlite3.Error as error:
        raise GarrisonError(f"{path}: cannot be written: {error}") from None
    return outcome


@contextlib.contextmanager
def _locked(path: str, say: Say) -> Iterator[None]:
    """Keep other updates of the same file out; wait for one that is at work."""
    import fcntl

    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        deadline = time.monotonic() + _PATIENCE
        waiting = False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise GarrisonError(f"{path}: another update is at work and does not end") from None
                if not waiting:
                    say(f"{path}: waiting for another update to end")
                waiting = True
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _draft(path: str, fresh: bool) -> Iterator[sqlite3.Connection]:
    """A copy of the database, or an empty one, to write to."""
    name = f"{path}.draft"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name)
    copied = False
    if not fresh:
        with contextlib.suppress(DatabaseMissing), Database.open(path):
            shutil.copyfile(path, name)
            copied = True
    connection = sqlite3.connect(name, isolation_level=None)
    try:
        # The draft is thrown away when something fails, so that nothing needs to survive a crash.
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA trusted_schema = OFF")
        if not copied:
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
            for statement in SCHEMA:
                connection.execute(statement)
        yield connection
    finally:
        connection.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def _publish(draft: sqlite3.Connection, path: str) -> None:
    """Put the draft, when all of it is on the disk, in the place of the database."""
    draft.execute("VACUUM")
    draft.close()
    name = f"{path}.draft"
    with contextlib.suppress(FileNotFoundError):
        shutil.copymode(path, name)
    with open(name, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(name, path)
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class _Update:
    """One source's turn, in a transaction of its own."""

    def __init__(self, draft: sqlite3.Connection, path: str, origin: Origin, say: Say) -> None:
        self._draft = draft
        self._downloads = f"{path}.downloads"
        self._origin = origin
        self._say = say
        self._now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)

    def run(self) -> None:
        """Raises `SourceError`, and then has changed nothing."""
        self._draft.execute("BEGIN")
        try:
            self._run()
            self._draft.execute("COMMIT")
        except BaseException:
            # On a full disk SQLite has done so itself.
            if self._draft.in_transaction:
                self._draft.execute("ROLLBACK")
            raise

    def _run(self) -> None:
        origin = self._origin
        if origin.place is not None:
            self._fetch()
        elif os.path.isdir(origin.name):
            self._advisories(import_entries(self._draft, self._key(), entries_of_directory(origin.name), self._now))
        else:
            self._file(origin.name, Validators())

    def _key(self) -> int:
        """The source's key, made if it is new."""
        now = self._now.isoformat()
        self._draft.execute(
            "INSERT INTO source (name, kind, ecosystems, count, broken, newest, fetched, validators) "
            "VALUES (?, 'osv', '{}', 0, 0, ?, ?, '{}') ON CONFLICT DO NOTHING",
            (self._origin.name, now, now),
        )
        (key,) = self._draft.execute("SELECT key FROM source WHERE name = ?", (self._origin.name,)).fetchone()
        return int(key)

    def _fetch(self) -> None:
        origin = self._origin
        row = self._draft.execute("SELECT key, validators FROM source WHERE name = ?", (origin.name,)).fetchone()
        known = msgspec.json.decode(row[1], type=Validators) if row else Validators()
        os.makedirs(self._downloads, exist_ok=True)
        target = os.path.join(self._downloads, hashlib.sha256(origin.name.encode()).hexdigest()[:24])
        try:
            self._say(f"{origin.shown}: fetching")
            assert origin.place is not None
            validators = fetch(origin.place, target, known, sha256=origin.sha256, say=self._say)
            if validators is None:
                fetched = (self._now.isoformat(), row[0])
                self._draft.execute("UPDATE source SET fetched = ? WHERE key = ?", fetched)
                self._say(f"{origin.shown}: unchanged")
            else:
                self._file(target, validators)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(target)
            with contextlib.suppress(OSError):
                os.rmdir(self._downloads)

    def _file(self, path: str, validators: Validators) -> None:
        try:
            file = open(path, "rb")  # noqa: SIM115
        except OSError as error:
            raise SourceError(f"cannot be read: {error.strerror}") from None
        with file:
            if self._origin.sha256 and self._origin.place is None:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                if digest != self._origin.sha256:
                    raise SourceError(f"its SHA-256 is {digest}, and should be {self._origin.sha256}")
            found = contents(file)
            kind = found.kind if isinstance(found, Ranks) else "osv"
            where = (self._origin.name, kind)
            if self._draft.execute("SELECT 1 FROM source WHERE name = ? AND kind != ?", where).fetchone():
                raise SourceError("it is of another kind than before, so that it is not used; --fresh uses it")
            if isinstance(found, Ranks):
                self._ranks(found, validators)
            else:
                self._advisories(import_entries(self._draft, self._key(), found.entries, self._now), validators)

    def _advisories(self, done: Import, validators: Validators | None = None) -> None:
        key = self._key()
        (before,) = self._draft.execute("SELECT newest FROM source WHERE key = ?", (key,)).fetchone()
        replayed = done.shown < datetime.datetime.fromisoformat(before) - _ROLLBACK
        if replayed and self._origin.place is not None and done.count > done.added:
            raise SourceError(
                f"its newest advisory is of {done.shown:%Y-%m-%d}, before it was of {before[:10]}: it is an old "
                "copy, so that it is not used; --fresh uses it all the same"
            )
        self._draft.execute(
            "UPDATE source SET kind = 'osv', ecosystems = ?, count = ?, broken = ?, newest = ?, fetched = ?, "
            "validators = ? WHERE key = ?",
            (
                msgspec.json.encode(done.ecosystems).decode(),
                done.count,
                done.broken,
                done.newest.isoformat(),
                self._now.isoformat(),
                msgspec.json.encode(validators or Validators()).decode(),
                key,
            ),
        )
        self._say(f"{self._origin.shown}: {_told(done)}")

    def _ranks(self, ranks: Ranks, validators: Validators) -> None:
        """There is one set of each kind of ranks: the newest."""
        draft = self._draft
        row = draft.execute("SELECT max(newest) FROM source WHERE kind = ?", (ranks.kind,)).fetchone()
        date = ranks.date.isoformat()
        if row[0] is not None and date < row[0]:
            raise SourceError(f"it is of {date[:10]}, older than what the database has, of {row[0][:10]}")
        table = ranks.kind
        draft.execute("DELETE FROM source WHERE kind = ?", (table,))
        draft.execute(f"DELETE FROM {table}")
        if table == "epss":
            draft.executemany("INSERT INTO epss (cve, score) VALUES (?, ?)", ranks.scores.items())
        else:
            draft.executemany("INSERT INTO kev (cve) VALUES (?)", ((number,) for number in ranks.scores))
        draft.execute(
            "UPDATE source SET kind = ?, count = ?, newest = ?, fetched = ?, validators = ? WHERE key = ?",
            (
                table,
                len(ranks.scores),
                date,
                self._now.isoformat(),
                msgspec.json.encode(validators).decode(),
                self._key(),
            ),
        )
        what = "EPSS scores" if table == "epss" else "known exploited vulnerabilities"
        self._say(f"{self._origin.shown}: {len(ranks.scores):,} {what} of {date[:10]}")


def _told(done: Import) -> str:
    parts = [f"{done.count:,} {'advisory' if done.count == 1 else 'advisories'}"]
    parts += [
        f"{count:,} {word}"
        for word, count in (("new", done.added), ("changed", done.changed), ("removed", done.removed))
        if count
    ]
    if done.broken:
        parts.append(f"{done.broken:,} could not be read ({done.first_problem})")
    return ", ".join(parts)
