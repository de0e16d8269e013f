"""The audit log as it is written: one line after the other, chained, signed at intervals, in segments."""

import errno
import os
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from garrison.serving.record import anchors, lines, recovery, segments
from garrison.serving.record.anchors import Anchor
from garrison.serving.record.entries import (
    FORMAT,
    CheckpointEntry,
    Entry,
    PrunedEntry,
    RecoveredEntry,
    SegmentEntry,
    encoded,
)
from garrison.serving.record.lines import GENESIS, Position
from garrison.serving.record.settings import Record
from garrison.serving.record.signatures import fingerprint, signed

if TYPE_CHECKING:
    from garrison.provenance.keys import Signer

_DAY = 86400.0
_PRUNED_BY_AGE = 2
"""Segments that one rotation deletes since they are old: a clock that jumps ahead does not delete them all."""

Emit = Callable[[bytes], None]
"""Gets every line, without its end, once it is as durable as is configured."""


class AuditFailed(OSError):
    """The log can no longer be written, since it is not as it was left."""


class _State(NamedTuple):
    position: Position
    size: int
    """Of the segment, in bytes."""
    unsigned: int
    """Lines behind the last checkpoint."""


class AuditLog:
    """Holds the directory's lock until `close`. Any thread may append."""

    def __init__(
        self,
        settings: Record,
        guard: str,
        *,
        signer: "Signer | None" = None,
        emit: Emit | None = None,
        failed: Callable[[BaseException], None] = lambda error: None,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Continues the log that is in the directory, or begins one.

        `failed` is told of checkpoints and deletions that did not succeed, which are tried again. Raises `UsageError`
        for a log that another guard writes, or that was altered, and `OSError` where it cannot be written.
        """
        self.directory = settings.directory
        self.guard = guard
        self._settings = settings
        self._signer = signer
        self._key = fingerprint(signer.public_key) if signer else ""
        self._emit = emit
        self._failed = failed
        self._wall = wall
        self._monotonic = monotonic
        self._lock = threading.RLock()
        self._torn = False
        self._altered = ""
        self._outbox: list[tuple[bytes, bool]] = []
        """Lines that nobody else has yet, and whether they are checkpoints."""
        self._state = self._durable = _State(Position(0, GENESIS), 0, 0)
        self._anchor = Anchor(settings.anchor) if settings.anchor else None
        self._disk = settings.durability == "disk"
        self._file = self._held = -1
        try:
            self._held = segments.lock(settings.directory)
            self._open()
        except BaseException:
            self._release()
            raise

    @property
    def position(self) -> Position:
        return self._state.position

    @property
    def signed_to_the_end(self) -> bool:
        """Whether nothing came behind the last checkpoint."""
        return not self._state.unsigned

    def append(self, entry: Entry) -> int:
        """The number of the new line, which the operating system has when this returns. Raises `OSError` where it
        could not be written; the log is then as it was before."""
        body = encoded(entry)
        with self._lock:
            now = self._monotonic()
            if self._state.size >= self._settings.segment_bytes or now >= self._segment_ends:
                self._rotate()
            self._put(lines.line(self._state.position, body), self._state.unsigned + 1)
            n = self._state.position.n
            if self._state.unsigned >= self._settings.checkpoint_records or now >= self._checkpoint_due:
                self._try_checkpoint()
        return n

    def tick(self) -> None:
        """To be called every second or so: writes the checkpoint that is due though no line comes."""
        with self._lock:
            if self._state.unsigned and self._monotonic() >= self._checkpoint_due:
                self._try_checkpoint()

    def synced(self) -> None:
        """Returns when the disk has all that was appended before; takes milliseconds, and any thread may wait.

        Raises `OSError` where it has not. All that the disk was not known to have is then taken back, so that the log
        holds nothing of what was not answered for, and goes on.
        """
        with self._lock:
            state, file = self._state, os.dup(self._file)
        try:
            self._sync(file)
        except OSError:
            with self._lock:
                if state.position.n > self._durable.position.n:
                    self._outbox.clear()
                    self._state = self._durable
                    self._torn = True
                    with suppress(OSError):
                        self._mend()
            raise
        finally:
            os.close(file)
        with self._lock:
            if state.position.n > self._durable.position.n:
                self._durable = state
            self._deliver()

    def close(self) -> None:
        """Sign the end, and let go of the directory. Raises `OSError` where the end could not be written."""
        with self._lock:
            if self._file < 0:
                return
            try:
                if self._state.unsigned:
                    self._checkpoint()
                self._sync(self._file)
                self._durable = self._state
                self._deliver()
            finally:
                self._release()

    def _release(self) -> None:
        for file in (self._file, self._held):
            if file >= 0:
                os.close(file)
        self._file = self._held = -1
        if self._anchor is not None:
            self._anchor.close()
            self._anchor = None

    def _open(self) -> None:
        found = recovery.end(self.directory)
        if found is None:
            self.log = secrets.token_hex(16)
            self._begin(1, Position(0, GENESIS))
            return
        self.log = found.segment.log
        if self._settings.anchor:
            anchors.check(self._settings.anchor, self.log, found.position.n)
        aside = recovery.put_aside(self.directory, found) if found.torn else None
        self._segment, self._path = found.segment.segment, found.path
        self._file = os.open(found.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        self._state = self._durable = _State(found.position, found.size, found.unsigned)
        self._segment_ends = self._monotonic() + self._settings.segment_seconds
        self._checkpoint_due = self._monotonic() + self._settings.checkpoint_seconds
        if aside:
            self.append(RecoveredEntry(time=self._wall(), bytes=found.torn, sha256=aside[1], file=aside[0]))
            self._try_checkpoint()

    def _begin(self, number: int, position: Position) -> None:
        """The segment with this number takes the lines from here on."""
        entry = SegmentEntry(
            time=self._wall(), format=FORMAT, log=self.log, guard=self.guard, segment=number, key=self._key
        )
        first = self._signed(lines.line(position, encoded(entry)))
        made = segments.create(self.directory, number, first)
        before, self._file = self._file, made
        self._segment, self._path = number, os.path.join(self.directory, segments.name(number))
        self._state = self._durable = _State(lines.after(position, first), len(first) + 1, 0)
        self._segment_ends = self._monotonic() + self._settings.segment_seconds
        self._checkpoint_due = self._monotonic() + self._settings.checkpoint_seconds
        if before >= 0:
            os.close(before)
        self._outbox.append((first, True))
        self._deliver()
        segments.sync(self.directory)

    def _rotate(self) -> None:
        """End the segment with a checkpoint, and begin the next."""
        self._mend()
        if self._state.unsigned:
            self._checkpoint()
        self._sync(self._file)
        self._begin(self._segment + 1, self._state.position)
        try:
            self._prune()
        except OSError as error:
            self._failed(error)

    def _prune(self) -> None:
        kept = segments.listed(self.directory)
        old = 0
        if self._settings.keep_segments:
            old = max(0, len(kept) - self._settings.keep_segments)
        if self._settings.keep_days:
            before = self._wall() - self._settings.keep_days * _DAY
            aged = sum(os.stat(path).st_mtime < before for _, path in kept[:_PRUNED_BY_AGE])
            old = max(old, min(aged, len(kept) - 1))
        if not old:
            return
        # Said before it is done: a log of which more is missing than it says was cut by somebody else.
        entry = PrunedEntry(time=self._wall(), first=kept[old][0])
        self._put(lines.line(self._state.position, encoded(entry)), self._state.unsigned + 1)
        self._checkpoint()
        self._sync(self._file)
        for _, path in kept[:old]:
            os.unlink(path)

    def _try_checkpoint(self) -> None:
        try:
            self._checkpoint()
        except Exception as error:  # the lines before are written all the same, and the next one tries again
            self._failed(error)

    def _checkpoint(self) -> None:
        self._check_untouched()
        entry = CheckpointEntry(time=self._wall(), log=self.log, guard=self.guard, key=self._key)
        self._put(self._signed(lines.line(self._state.position, encoded(entry))), 0)
        self._checkpoint_due = self._monotonic() + self._settings.checkpoint_seconds

    def _signed(self, line: bytes) -> bytes:
        return signed(line, self._signer) if self._signer else line

    def _check_untouched(self) -> None:
        """Raise `AuditFailed` if somebody else has written to the segment, cut it, or put another in its place."""
        if self._torn:
            return
        here = os.fstat(self._file)
        try:
            there = os.stat(self._path, follow_symlinks=False)
        except FileNotFoundError:
            there = None
        if (
            here.st_size != self._state.size
            or there is None
            or (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)
        ):
            self._altered = f"{self._path}: somebody else has changed the audit log; it is not continued"
            raise AuditFailed(errno.ESTALE, self._altered)

    def _put(self, line: bytes, unsigned: int) -> None:
        """Write one line. Raises `OSError`, and then nothing of it is left."""
        if self._torn:
            self._mend()
        if self._altered:
            raise AuditFailed(errno.ESTALE, self._altered)
        data = line + b"\n"
        try:
            written = os.write(self._file, data)
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError:
            self._torn = True
            with suppress(OSError):
                self._mend()
            raise
        self._state = _State(lines.after(self._state.position, line), self._state.size + len(data), unsigned)
        if self._emit is not None or unsigned == 0:
            self._outbox.append((line, unsigned == 0))
            if not self._disk:
                self._deliver()

    def _mend(self) -> None:
        """Cut off what a write that failed has left. Raises `OSError`."""
        if self._torn:
            os.ftruncate(self._file, self._state.size)
            self._torn = False

    def _deliver(self) -> None:
        given, self._outbox = self._outbox, []
        for line, checkpoint in given:
            try:
                if self._emit is not None:
                    self._emit(line)
                if checkpoint and self._anchor is not None:
                    self._anchor.put(line)
            except Exception as error:
                self._failed(error)

    @staticmethod
    def _sync(file: int) -> None:
        try:
            os.fdatasync(file)
        except OSError as error:
            raise OSError(error.errno, f"the disk did not take the audit log: {error.strerror}") from None
