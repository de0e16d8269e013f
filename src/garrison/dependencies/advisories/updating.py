"""Writes the advisory database: beside its place first, and moved there when it is whole.

Readers keep the file that they have opened. Of two updates at once the second waits.
"""

import contextlib
import datetime
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from garrison.core.errors import GarrisonError, UsageError
from garrison.dependencies.advisories.building import Import, import_entries
from garrison.dependencies.advisories.database import Database, DatabaseMissing, default_path
from garrison.dependencies.advisories.reading import Entry, SourceError, entries_of_directory, entries_of_zip
from garrison.dependencies.advisories.storage import APPLICATION, SCHEMA, VERSION

_PATIENCE = 600.0
"""Seconds that an update waits for another one."""

Say = Callable[[str], None]
"""Told what happens, one line at a time."""


class Outcome(msgspec.Struct, kw_only=True):
    """What an update did."""

    path: str
    failures: list[str] = []
    """Sources that could not be used, one line each; what was known from them stays."""
    changed: bool = False


def update(origins: Sequence[str], path: str = "", *, fresh: bool = False, say: Say = lambda _: None) -> Outcome:
    """Bring the advisories of each origin, a file or a directory, into the database at `path`.

    With `fresh` nothing of the database that is there is kept. Raises `UsageError` for an origin that does not exist,
    and `GarrisonError` where the database cannot be written.
    """
    path = os.path.realpath(path or default_path())
    for origin in origins:
        if not os.path.exists(origin):
            raise UsageError(f"{origin}: no such file or directory")
    outcome = Outcome(path=path)
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with _locked(path, say), _draft(path, fresh) as draft:
            for origin in origins:
                try:
                    _import(draft, origin, now, say)
                    outcome.changed = True
                except SourceError as error:
                    outcome.failures.append(f"{origin}: {error}")
            if outcome.changed:
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
                    raise GarrisonError(f"{path}: another update has been at work for too long") from None
                if not waiting:
                    say("waiting for another update to end")
                waiting = True
                time.sleep(0.1)
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
    draft.execute("PRAGMA optimize")
    draft.execute("VACUUM")
    draft.close()
    name = f"{path}.draft"
    with open(name, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(name, path)
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _import(draft: sqlite3.Connection, origin: str, now: datetime.datetime, say: Say) -> None:
    name = os.path.abspath(origin)
    draft.execute("BEGIN")
    try:
        draft.execute(
            "INSERT INTO source (name, kind, ecosystem, count, broken, newest, fetched, validators) "
            "VALUES (?, 'osv', '', 0, 0, ?, ?, '') ON CONFLICT DO NOTHING",
            (name, now.isoformat(), now.isoformat()),
        )
        (source,) = draft.execute("SELECT key FROM source WHERE name = ?", (name,)).fetchone()
        done = import_entries(draft, source, _entries(origin), now)
        draft.execute(
            "UPDATE source SET ecosystem = ?, count = ?, broken = ?, newest = ?, fetched = ? WHERE key = ?",
            (done.ecosystem, done.count, done.broken, done.newest.isoformat(), now.isoformat(), source),
        )
        draft.execute("COMMIT")
    except BaseException:
        draft.execute("ROLLBACK")
        raise
    say(f"{origin}: {_told(done)}")


def _entries(origin: str) -> Iterator[Entry]:
    if os.path.isdir(origin):
        yield from entries_of_directory(origin)
    else:
        with open(origin, "rb") as file:
            yield from entries_of_zip(file)


def _told(done: Import) -> str:
    parts = [f"{done.count:,} advisories"]
    parts += [
        f"{count:,} {word}"
        for word, count in (("new", done.added), ("changed", done.changed), ("removed", done.removed))
        if count
    ]
    if done.broken:
        parts.append(f"{done.broken:,} could not be read ({done.first_problem})")
    return ", ".join(parts)
