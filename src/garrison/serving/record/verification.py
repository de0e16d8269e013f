"""Verifies a log offline, in one pass and in memory that does not grow with it.

1. Segments follow each other by their numbers; the first that is there is the first that the log says was kept.
2. The first line of a segment, and no other, says which segment of which log it is, as the file's name does.
3. Every line carries the next number, and the SHA-256 of the bytes of the line before.
4. Every first line of a segment and every checkpoint is signed by one of the given keys, if keys are given.
5. Every line that an anchor holds is in the log, if anchors are given.

What lies behind the last signature is chained, and is vouched for by nothing: whoever can write the file can write it
anew. Without an anchor the same goes for where the log ends.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Literal

import msgspec

from garrison.core.errors import UsageError
from garrison.core.files import regular_file
from garrison.serving.record import anchors, lines, segments, signatures
from garrison.serving.record.entries import FORMAT, CheckpointEntry, PrunedEntry, RecoveredEntry, SegmentEntry
from garrison.serving.record.lines import Broken, Position, Unlinked

if TYPE_CHECKING:
    from garrison.provenance.keys import PublicKey

_BACKWARDS = 1.0
"""Seconds that a clock may go back between two lines without being worth a word."""
_WARNINGS = 20
_TRIES, _PAUSE = 20, 0.05
"""How often and after how many seconds an incomplete last line is looked at again: a guard may be writing it."""
_SIGNED = (b"segment", b"checkpoint")


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Where a log stops to verify."""

    file: str
    line: int
    """From 1; 0 for the file, or the log, as a whole."""
    record: int
    """The number that the record should have; 0 where that is not known."""
    reason: str


class Verdict(msgspec.Struct, kw_only=True):
    """What was verified of one log."""

    path: str
    log: str = ""
    guard: str = ""
    first: int = 0
    """The number of the first record that was read."""
    last: int = 0
    """The number of the last one that verifies."""
    verified: int = 0
    """Records."""
    signed: int = 0
    """The number of the last record that a signature vouches for; 0 for none, and without keys."""
    unsigned: int = 0
    """Records behind it."""
    signatures: Literal["verified", "unchecked"] = "unchecked"
    checkpoints: int = 0
    segments: int = 0
    absent: int = 0
    """Segments that were deleted since they were old, as the log says."""
    anchored: int = 0
    """The number of the last record that an anchor vouches for."""
    began: float = 0.0
    """The times of the first and the last record, in seconds since 1970."""
    ended: float = 0.0
    stopped: bool = False
    """Whether the guard has ended by itself; else it runs, or was killed."""
    warnings: list[str] = []
    problem: Problem | None = None


def verify(
    path: str,
    keys: "Sequence[PublicKey]" = (),
    *,
    anchor: str = "",
    from_checkpoint: int = 0,
) -> Verdict:
    """What can be said of the log in a directory, or of one segment.

    With `from_checkpoint` what comes before that record, which has to be a checkpoint or begin a segment, is not read.
    Raises `UsageError` for what is no log.
    """
    run = _Run(path, {signatures.fingerprint(key): key for key in keys}, from_checkpoint)
    try:
        run.read(anchor)
    except Unlinked as error:
        run.unlinked(str(error))
    except Broken as error:
        run.verdict.problem = Problem(
            file=run.file, line=run.line, record=run.position.n + 1 if run.position else 0, reason=str(error)
        )
    run.finish()
    return run.verdict


class _Run:
    def __init__(self, path: str, keys: "Mapping[str, PublicKey]", begin: int) -> None:
        self.verdict = Verdict(path=path, signatures="verified" if keys else "unchecked")
        self.file, self.line = path, 0
        self.position: Position | None = None
        self._keys = keys
        self._begin = begin
        self._pruned = 0
        self._alone = not os.path.isdir(path)
        self._files = self._found(path)
        self._anchor: Iterator[tuple[int, bytes]] = iter(())
        self._next: tuple[int, bytes] | None = None

    def _found(self, path: str) -> list[tuple[int, str]]:
        if not self._alone:
            found = segments.listed(path)
            if not found:
                raise UsageError(f"{path}: there is no audit log in it")
            return found
        which = segments.number(path)
        if which is None:
            raise UsageError(f"{path}: neither a directory nor a segment of an audit log, audit-NNNNNN.jsonl")
        return [(which, path)]

    def read(self, anchor: str) -> None:
        if self._begin:
            self._skip()
        first = self._files[0][0]
        for index, (number, path) in enumerate(self._files):
            self.file, self.line = path, 0
            if number != first + index:
                raise Broken(f"segment {first + index} is not there")
            with regular_file(path) as raw, open(raw.fileno(), "rb", closefd=False) as file:
                last = index == len(self._files) - 1
                self._segment(file, number, anchor if index == 0 else "", last)
            self.verdict.segments += 1
        self.line = 0
        if self._begin and not self.verdict.verified:
            raise Broken(f"there is no record {self._begin} in it")
        if first > 1 and not self._alone and not self._begin:
            if self._pruned < first:
                raise Broken(f"segments before {first} are not there, and the log does not say that they were deleted")
            self.verdict.absent = first - 1
        if self._next is not None and not self._alone:
            raise Broken(f"the log ends before record {self._next[0]}, which the anchor holds: its end was cut off")
        if anchor and not self.verdict.anchored and not self._alone:
            raise Broken("the anchor holds nothing of this log: it is another log's, or this one was put in its place")

    def _skip(self) -> None:
        """Leave out the segments that end before the checkpoint to begin with."""
        keep = 0
        for index, (_, path) in enumerate(self._files):
            self.file, self.line = path, 1
            with regular_file(path) as raw, open(raw.fileno(), "rb", closefd=False) as file:
                said = lines.head(next(lines.read(file), (b"", False))[0])
            if said.n <= self._begin:
                keep = index
        self._files = self._files[keep:]

    def _segment(self, file: IO[bytes], number: int, anchor: str, last: bool) -> None:
        opened = False
        for line, whole in self._lines(file, last, os.path.dirname(self.file)):
            self.line += 1
            if not whole:
                raise Broken(f"it is incomplete, {len(line):,} bytes: a crash while it was written, or an edit")
            if not opened:
                self._open(line, number, anchor)
                opened = True
            else:
                self._take(line)
        if not opened:
            raise Broken("the segment is empty")

    @staticmethod
    def _lines(file: IO[bytes], last: bool, directory: str) -> Iterator[tuple[bytes, bool]]:
        """The lines; at the end of the log an incomplete one is given time to become whole."""
        for line, whole in lines.read(file):
            tries = _TRIES if not whole and last and segments.is_written(directory) else 0
            while tries and not whole:
                time.sleep(_PAUSE)
                more = file.readline(lines.MOST)
                whole = more.endswith(b"\n")
                line += more.removesuffix(b"\n")
                tries -= 1
            yield line, whole

    def _open(self, line: bytes, number: int, anchor: str) -> None:
        said = lines.head(line)
        try:
            segment = msgspec.json.decode(line, type=SegmentEntry)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Broken("the first line of a segment does not say which it is") from None
        if segment.format != FORMAT:
            raise Broken(f"the format is {segment.format!r}, and {FORMAT} is read here")
        if segment.segment != number:
            raise Broken(f"it is the first line of segment {segment.segment}, in the file of segment {number}")
        if self.position is None:
            if number == 1 and (said.n, said.previous) != (1, lines.GENESIS):
                raise Broken("the first segment does not begin with record 1")
            self.verdict.log, self.verdict.guard = segment.log, segment.guard
            self.verdict.first, self.verdict.began = said.n, said.time
            self.position = Position(said.n - 1, said.previous)
            if anchor:
                self._anchor = anchors.of(anchor, segment.log)
                self._next = next(self._anchor, None)
                while self._next is not None and self._next[0] < max(said.n, self._begin):
                    self._next = next(self._anchor, None)
        elif segment.log != self.verdict.log:
            raise Broken("it is a segment of another log")
        self._take(line, opens=True)

    def _take(self, line: bytes, *, opens: bool = False) -> None:
        assert self.position is not None
        said, position = lines.follow(self.position, line)
        verdict = self.verdict
        if (said.kind == b"segment") is not opens:
            raise Broken("a segment begins in the midst of another")
        if self._begin > said.n:
            self.position = position
            return
        if self._begin == said.n:
            if said.kind not in _SIGNED:
                raise Broken("it is no checkpoint, so nothing can begin with it")
            verdict.first, verdict.began = said.n, said.time
        if said.kind in _SIGNED:
            self._vouched(said.n, line)
        elif said.kind in (b"pruned", b"recovered"):
            self._note(said.kind, said.n, line)
        if said.time < verdict.ended - _BACKWARDS:
            self._warn(f"record {said.n:,}: the clock went back by {verdict.ended - said.time:,.0f} s")
        if self._next is not None and self._next[0] <= said.n:
            self._anchored(said.n, line)
        self.position = position
        verdict.verified += 1
        verdict.last, verdict.ended = said.n, said.time
        if said.kind not in _SIGNED:
            verdict.stopped = said.kind == b"stop"

    def _vouched(self, n: int, line: bytes) -> None:
        try:
            said = msgspec.json.decode(line, type=SegmentEntry | CheckpointEntry)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Broken("its members are not those of its kind") from None
        if said.log != self.verdict.log:
            raise Broken("it is a checkpoint of another log")
        if self._keys:
            if reason := signatures.verified(line, said.key, self._keys):
                raise Broken(reason)
            self.verdict.signed = n
        if isinstance(said, CheckpointEntry):
            self.verdict.checkpoints += 1

    def _note(self, kind: bytes, n: int, line: bytes) -> None:
        try:
            if kind == b"pruned":
                self._pruned = max(self._pruned, msgspec.json.decode(line, type=PrunedEntry).first)
            else:
                said = msgspec.json.decode(line, type=RecoveredEntry)
                self._warn(f"record {n:,}: {said.bytes:,} bytes that a crash had left were put aside in {said.file}")
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Broken("its members are not those of its kind") from None

    def _anchored(self, n: int, line: bytes) -> None:
        assert self._next is not None
        if self._next != (n, line):
            raise Broken(f"the anchor holds another record {self._next[0]:,}: the log was written anew")
        self.verdict.anchored = n
        before = n
        self._next = next(self._anchor, None)
        while self._next is not None and self._next[0] <= before:
            if self._next != (n, line):
                raise Broken(f"the anchor holds record {self._next[0]:,} out of order: logs were exchanged")
            self._next = next(self._anchor, None)

    def _warn(self, text: str) -> None:
        if len(self.verdict.warnings) < _WARNINGS:
            self.verdict.warnings.append(text)

    def unlinked(self, reason: str) -> None:
        """One of two lines was changed: the first, unless it is signed, or in another segment."""
        verdict, n = self.verdict, self.position.n if self.position else 0
        if self.line > 1 and n == verdict.last and n != verdict.signed:
            reason = "it is not the line that the next one was written behind: one of the two was changed"
            self.line -= 1
            verdict.verified -= 1
            verdict.last -= 1
            n -= 1
        verdict.problem = Problem(file=self.file, line=self.line, record=n + 1, reason=reason)

    def finish(self) -> None:
        verdict = self.verdict
        verdict.unsigned = verdict.last - max(verdict.signed, verdict.first - 1) if verdict.verified else 0
