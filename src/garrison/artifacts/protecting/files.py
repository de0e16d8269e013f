"""Guards of functions that are given a whole file: each gets a private copy that the policy let pass."""

import contextlib
import functools
import inspect
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from garrison.artifacts.loading.refusal import LoadRefused
from garrison.artifacts.protecting.judging import Judge
from garrison.artifacts.protecting.unpicklers import thread
from garrison.core.errors import UsageError
from garrison.sources.paths import display
from garrison.sources.private_copy import PrivateCopy
from garrison.sources.reader import FileReader

Function = Callable[..., Any]


def judged(plain: Function, judge: Judge, argument: str) -> Function:
    """The function, with the file that `argument` names or is replaced by a copy that was judged as a whole."""
    return _given(plain, judge, argument, lambda held: held)


def judged_to_keep(plain: Function, judge: Judge, argument: str) -> Function:
    """As `judged`, for what opens the file and reads on in it later: it gets a path, which it may keep open."""
    return _given(plain, judge, argument, lambda held: held if isinstance(held, str) else held.name)


def _given(plain: Function, judge: Judge, argument: str, fit: Callable[[Any], Any]) -> Function:
    """The function, with what `fit` makes of the copy in place of the file."""
    signature = inspect.signature(plain)

    @functools.wraps(plain)
    def guarded(*arguments: Any, **settings: Any) -> Any:
        bound = signature.bind(*arguments, **settings)
        with _held(bound.arguments[argument], judge) as held:
            bound.arguments[argument] = fit(held)
            return plain(*bound.args, **bound.kwargs)

    return guarded


@contextlib.contextmanager
def _held(file: Any, judge: Judge) -> Iterator[Any]:
    """In place of a path a path, in place of a file object a file object, whose bytes do not change any more."""
    if hasattr(file, "read"):
        start, end = file.tell(), file.seek(0, os.SEEK_END)
        file.seek(start)
        name = display(file.name) if isinstance(getattr(file, "name", None), str) else "a file"
        with PrivateCopy.of_stream(file, name, end - start) as copy:
            judge.file(copy, name)
            with copy.open() as held:
                yield held
                file.seek(start + held.tell())
        return
    if not isinstance(file, str | bytes | os.PathLike):
        raise LoadRefused(f"neither a path nor a file object, but {type(file).__name__}, which cannot be judged")
    path = os.fsdecode(file)
    if os.path.isdir(path):
        raise LoadRefused(f"{display(path)}: a directory, of which no copy is held while it is loaded")
    os.stat(path)  # what is not there is told as it would be without a guard
    try:
        copy = PrivateCopy.of(path, in_memory=False)  # some libraries ask for the real path
    except UsageError as error:
        raise LoadRefused(str(error)) from None
    with copy:
        judge.file(copy, display(path))
        yield copy.path


def clear(plain: Function, judge: Judge, argument: str) -> Function:
    """The function, which guarded unpicklers stop by themselves, with their refusal as the error, not as its cause."""

    @functools.wraps(plain)
    def guarded(*arguments: Any, **settings: Any) -> Any:
        try:
            return plain(*arguments, **settings)
        except Exception as error:
            cause: BaseException | None = error
            while cause is not None and not isinstance(cause, LoadRefused):
                cause = cause.__cause__ or cause.__context__
            if cause is None:
                raise
            raise cause from None

    return guarded


def joblib(plain: Function, judge: Judge, argument: str) -> Function:
    """joblib's `_unpickle`: its arrays stand between the opcodes, so that the whole rest of the file is held.

    Memory maps are made of the file itself, as the caller wants them; what runs comes from the copy.
    """

    @functools.wraps(plain)
    def guarded(file: Any, *arguments: Any, **settings: Any) -> Any:
        if sys._getframe(1).f_code.co_name == "load_temporary_memmap":
            return plain(file, *arguments, **settings)  # an array that one process of this program hands to another
        start = file.tell()
        file.seek(0)
        plain_file = isinstance(getattr(file, "raw", file), io.FileIO)
        size = os.fstat(file.fileno()).st_size if plain_file else judge.policy.limits.unpacked
        name = display(str(getattr(file, "name", None) or settings.get("filename") or "a joblib file"))
        with PrivateCopy.of_stream(file, name, size) as copy:
            reader = FileReader(copy.descriptor, copy.size).window(start, copy.size - start)
            _, names = judge.stream(reader, copy.size, name)
            before, thread.let_pass = thread.let_pass, names
            try:
                with copy.open() as held:
                    held.seek(start)
                    loaded = plain(held, *arguments, **settings)
                    file.seek(held.tell())
                    return loaded
            finally:
                thread.let_pass = before

    return guarded
