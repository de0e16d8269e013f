"""Where sealed and opened bytes come from and go to: files, or the standard streams for `-`."""

import contextlib
import sys
from collections.abc import Iterator
from typing import BinaryIO

from garrison.core.errors import UsageError


@contextlib.contextmanager
def input_from(path: str) -> Iterator[BinaryIO]:
    """Raises `UsageError`."""
    if path == "-":
        if sys.stdin is None:
            raise UsageError("there is no standard input")
        yield sys.stdin.buffer
        return
    from garrison.provenance.sealing.files import opened

    file = opened(path)
    try:
        yield file
    except KeyboardInterrupt:
        raise  # a thread may wait for a pipe with the file in its hands: to close it would wait as well
    except BaseException:
        file.close()
        raise
    file.close()


@contextlib.contextmanager
def output_to(path: str, *, force: bool, text: bool = False) -> Iterator[BinaryIO]:
    """A file that appears when the block ends without an error; standard output gets what is written as it comes.

    Raises `UsageError`, for bytes to a terminal too, unless they are `text`.
    """
    if path != "-":
        from garrison.provenance.sealing.files import appearing

        with appearing(path, force=force) as file:
            yield file
        return
    if sys.stdout is None:
        raise UsageError("there is no standard output")
    if sys.stdout.isatty() and not text:
        raise UsageError("bytes are not written to a terminal; name a file with -o")
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except OSError as error:
        raise UsageError(f"standard output cannot be written: {error.strerror}") from None
