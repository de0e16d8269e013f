"""Has a second process do a part of the work: threads would wait for each other at every small file."""

import os
import signal
from types import TracebackType
from typing import TYPE_CHECKING

import msgspec

from garrison.sources.processes import end, fork

if TYPE_CHECKING:
    from collections.abc import Callable

_Digests = list[tuple[tuple[str, ...], ...]]


class OtherProcess:
    """A fork of this process, which must have no other threads, that does `work` and hands over what comes of it."""

    def __init__(self, work: "Callable[[], _Digests]") -> None:
        self._work = work

    def __enter__(self) -> "OtherProcess":
        self._read, write = os.pipe()
        # What is meant for the group of processes is for this one to answer, which then ends the other.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            self._pid = fork(lambda: self._serve(write))
        except OSError:  # no more processes are to be had
            self._pid = 0
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(write)
        return self

    def _serve(self, write: int) -> None:
        os.close(self._read)
        with open(write, "wb") as file:
            file.write(msgspec.msgpack.encode(self._work()))

    def result(self) -> "_Digests | None":
        """What came of the work; `None` if it failed, in whatever way, or could not be begun."""
        with open(self._read, "rb", closefd=False) as file:
            data = file.read()
        return msgspec.msgpack.decode(data, type=_Digests) if self._ended_well() else None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._read)
        if self._pid:
            end(self._pid)

    def _ended_well(self) -> bool:
        pid, self._pid = self._pid, 0
        try:
            return pid != 0 and os.waitpid(pid, 0)[1] == 0
        except ChildProcessError:  # this process lets the system wait for its children, and learns nothing of them
            return False
