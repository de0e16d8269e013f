"""Where output goes: the terminal, a pipe or a file."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import IO

from garrison.core.errors import UsageError
from garrison.core.files import replacing

_WIDTH = 100
"""Where there is no terminal to ask."""
_FIRST_SECONDS = 0.5
_EVERY_SECONDS = 0.1
_BAR = 24


def has_colors(stream: IO[str]) -> bool:
    """Whether to colour what goes to the stream; honours `NO_COLOR` and `FORCE_COLOR` (https://no-color.org)."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def width() -> int:
    """Columns of the terminal that standard output goes to."""
    if os.environ.get("COLUMNS", "").isdecimal():
        return int(os.environ["COLUMNS"])
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or _WIDTH
    except (OSError, ValueError, AttributeError):
        return _WIDTH


def write(text: str, *, as_is: bool = False) -> None:
    """Write to standard output: as UTF-8 if `as_is`, else in the terminal's own encoding as well as it can say it.

    A reader that has gone, as `head` goes, is no failure. Raises `UsageError` when it cannot be written for another
    reason.
    """
    if sys.stdout is None:
        return
    encoding = "utf-8" if as_is else sys.stdout.encoding or "utf-8"
    try:
        data = text.encode(encoding)
    except UnicodeEncodeError:
        data = text.replace("…", "...").replace("×", "x").encode(encoding, "backslashreplace")
    write_bytes(data)


def say(*lines: str) -> None:
    """Write lines for a person to standard output, with what they quote made harmless."""
    from garrison.reporting.text import printable

    write("".join(f"{printable(line)}\n" for line in lines))


def write_bytes(data: bytes) -> None:
    """The same for what is encoded already."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # What is still buffered must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise UsageError(f"standard output cannot be written: {error.strerror}") from None


def check_writable(path: str, read: Iterable[str] = ()) -> None:
    """Raise `UsageError` before the work when its result could not be written after it.

    Nor may it be written in the place of what is `read`.
    """
    for one in read:
        with contextlib.suppress(OSError):
            if os.path.samefile(path, one) and not _special(path):
                raise UsageError(f"{path}: is what is read, and would be lost")
    if os.path.isdir(path):
        raise UsageError(f"{path}: cannot be written: is a directory")
    directory = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(directory):
        raise UsageError(f"{path}: cannot be written: no such directory")
    if not os.access(path if _special(path) else directory, os.W_OK):
        raise UsageError(f"{path}: cannot be written: permission denied")


def check_outside(path: str, model: str) -> None:
    """Raise `UsageError` for a place in the directory of a model, which would be another model afterwards."""
    if os.path.realpath(path).startswith(os.path.join(os.path.realpath(model), "")):
        raise UsageError(f"{path}: lies in the model, which it would change")


def write_file(path: str, text: str) -> None:
    """Write a file whole or not at all; a device or a pipe as it is. Raises `UsageError`."""
    try:
        with open(path, "wb") if _special(path) else replacing(os.path.realpath(path)) as file:
            file.write(text.encode())
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None


def _special(path: str) -> bool:
    """Whether it is there and no regular file, as a device or a pipe."""
    return os.path.exists(path) and not os.path.isfile(path)


@contextlib.contextmanager
def progress(*, hidden: bool = False) -> Iterator[Callable[[int, int | None, str], None] | None]:
    """A progress bar on standard error while the work goes on; nothing where that is no terminal."""
    if hidden or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield None
        return
    import signal

    bar = _Bar()
    previous = signal.signal(signal.SIGALRM, bar.draw)
    signal.setitimer(signal.ITIMER_REAL, _FIRST_SECONDS, _EVERY_SECONDS)
    try:
        yield bar.update
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        bar.clear()


class _Bar:
    """Drawn by a timer, so that it moves while one large file takes its time."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._done = 0
        self._total: int | None = None
        self._subject = ""
        self._drawn = False

    def update(self, done: int, total: int | None, subject: str) -> None:
        self._done, self._total, self._subject = done, total, subject

    def draw(self, *_: object) -> None:
        seconds = int(time.monotonic() - self._started)
        if self._total:
            filled = _BAR * self._done // self._total
            state = f"[{'#' * filled}{'.' * (_BAR - filled)}] {self._done} of {self._total}"
        else:
            state = f"{self._done} examined"
        self._say(f"{state}, {seconds} s  ", self._subject)

    def _say(self, state: str, subject: str) -> None:
        from garrison.reporting.text import cells, printable

        try:
            columns = os.get_terminal_size(sys.stderr.fileno()).columns or _WIDTH
        except OSError:
            columns = _WIDTH
        room = columns - len(state) - 1
        name = printable(subject)
        while name and cells(name) > room:
            name = name[max(1, (len(name) - room) // 2) :]
        self._drawn = True
        self._write(f"\r{state}{name}\x1b[K")

    def clear(self) -> None:
        if self._drawn:
            self._write("\r\x1b[K")

    @staticmethod
    def _write(text: str) -> None:
        with contextlib.suppress(OSError):
            os.write(sys.stderr.fileno(), text.encode(sys.stderr.encoding or "utf-8", "backslashreplace"))
