"""What stands in place of `pickle.load`, `pickle.loads` and the two unpicklers while a process is protected.

Each `load` first captures one stream, asks the judge about it, and then runs the real unpickler over what was
captured. What the stream resolves must be what the judge saw; other names, which a subclass may map old ones to, must
be known to be harmless.
"""

import _pickle
import io
import json
import os
import pickle
import sys
import threading
from typing import TYPE_CHECKING, Any

from garrison.artifacts.loading.restricted import Names, own
from garrison.artifacts.protecting.capture import PickleFile, captured
from garrison.artifacts.protecting.judging import Follower, Judge
from garrison.sources.paths import display

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

CUnpickler = _pickle.Unpickler
PythonUnpickler: Any = pickle._Unpickler

_BUFFER = 1 << 17
_STATE = "_garrison"


class _Thread(threading.local):
    inside_trusted = 0
    """How deep in streams that processes of one program send each other."""
    let_pass: Names | None = None
    """What may be resolved now, by a judgement that was made of the whole file."""


thread = _Thread()


def trusted_callers() -> frozenset[str]:
    """Modules whose streams come from processes of the same program."""
    with open(os.path.join(os.path.dirname(__file__), "trusted_callers.json"), "rb") as file:
        return frozenset(json.load(file))


class _Replay(io.RawIOBase):
    """Gives an unpickler what was captured, and nothing else."""

    def __init__(self) -> None:
        self.view = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        length = min(len(buffer), len(self.view))
        buffer[:length] = self.view[:length]
        self.view = self.view[length:]
        return length


class _State:
    """What one guarded unpickler knows: its file, and what the stream at hand may resolve."""

    def __init__(self, file: PickleFile) -> None:
        self.file = file
        self.replay = _Replay()
        self.names: Names = frozenset()
        self._follower = Follower()
        self._before = 0
        """Bytes of the streams that were loaded before."""

    def prepare(self, judge: Judge) -> None:
        """Capture and judge the next stream. Raises `LoadRefused`, and `UnpicklingError` for what is none."""
        found = captured(self.file)
        name = getattr(self.file, "name", None)
        name = display(name) if isinstance(name, str) and name else "a pickle"
        ending, self.names = judge.stream(found.reader, found.size, name, self._follower)
        length = ending.position - self._before
        if not ending.stopped:
            if found.reader.pread(length, 1):
                raise pickle.UnpicklingError(f"the pickle {ending.detail}")
            length = 1 << 62  # it ends too early: the real unpickler says so, in its own words
        data = found.take(length)
        self._follower.keep(data)
        self._before += len(data)
        self.replay.view = memoryview(data)


class Guards:
    """The guarded functions and classes of one judge."""

    def __init__(self, judge: Judge) -> None:
        trusted = trusted_callers()

        class Slotless(CUnpickler):
            """Adds no slot, so that classes that were derived from the C unpickler before can be put on top of it."""

            __slots__ = ()

            def __init__(self, file: PickleFile, *arguments: Any, **settings: Any) -> None:
                state = _State(file)
                setattr(self, _STATE, state)
                super().__init__(io.BufferedReader(state.replay, _BUFFER), *arguments, **settings)

            def load(self) -> Any:
                state: _State = getattr(self, _STATE)
                state.prepare(judge)
                return super().load()

            def find_class(self, module: str, name: str, /) -> Any:
                allow(self, module, name)
                return own(super().find_class(module, name), module, name)

        class Unpickler(Slotless):
            """`pickle.Unpickler`, guarded."""

        def allow(unpickler: Any, module: str, name: str) -> None:
            state: _State | None = getattr(unpickler, _STATE, None)
            names = state.names if state is not None else thread.let_pass or frozenset()
            if (module, name) not in names:
                judge.name(module, name)

        def initialise(self: Any, file: PickleFile, *arguments: Any, **settings: Any) -> None:
            if _reads_between(self):
                plain_init(self, file, *arguments, **settings)
                return
            state = _State(file)
            setattr(self, _STATE, state)
            plain_init(self, io.BufferedReader(state.replay, _BUFFER), *arguments, **settings)

        def load_python(self: Any) -> Any:
            state: _State | None = getattr(self, _STATE, None)
            if state is not None:
                state.prepare(judge)
            return plain_load(self)

        def find_class_python(self: Any, module: str, name: str) -> Any:
            allow(self, module, name)
            return own(plain_find_class(self, module, name), module, name)

        plain_init, plain_load = PythonUnpickler.__init__, PythonUnpickler.load
        plain_find_class = PythonUnpickler.find_class
        Unpickler.__module__ = Slotless.__module__ = "pickle"
        Unpickler.__qualname__ = "Unpickler"
        self.base = Slotless
        self.unpickler = Unpickler
        self.python_methods = {"__init__": initialise, "load": load_python, "find_class": find_class_python}

        def load(file: PickleFile, **settings: Any) -> Any:
            return Unpickler(file, **settings).load()

        def loads(data: Any, /, **settings: Any) -> Any:
            return Unpickler(io.BytesIO(data), **settings).load()

        self.load = _Load(_pickle.load, load, trusted)
        self.loads = _Loads(_pickle.loads, loads, trusted)


def _reads_between(unpickler: Any) -> bool:
    """Whether it reads raw data from its file between the opcodes, as joblib's does: its file is judged as a whole."""
    return any(kind.__module__ == "joblib.numpy_pickle" for kind in type(unpickler).__mro__)


class _Load:
    """A function that is not bound when it is the attribute of a class, as a built-in one is not."""

    def __init__(self, plain: "Callable[..., Any]", guarded: "Callable[..., Any]", trusted: frozenset[str]) -> None:
        self.plain = plain
        self.guarded = guarded
        self._trusted = trusted
        self.__name__ = self.__qualname__ = plain.__name__
        self.__doc__ = plain.__doc__
        self.__module__ = "pickle"

    def __call__(self, /, *source: Any, **settings: Any) -> Any:
        if not self._from_trusted():
            return self.guarded(*source, **settings)
        thread.inside_trusted += 1
        try:
            return self.plain(*source, **settings)
        finally:
            thread.inside_trusted -= 1

    def _from_trusted(self) -> bool:
        return _module_of(sys._getframe(2)) in self._trusted

    def __reduce__(self) -> str:
        return self.__name__


class _Loads(_Load):
    def _from_trusted(self) -> bool:
        # What a trusted stream unpickles in turn (a function that cloudpickle wrote) is part of it.
        return bool(thread.inside_trusted) or _module_of(sys._getframe(2)) in self._trusted


def _module_of(frame: "FrameType") -> str:
    """The module that a frame belongs to, by its own name where it is run with `python -m`."""
    name = frame.f_globals.get("__name__", "")
    if name == "__main__":
        name = getattr(frame.f_globals.get("__spec__"), "name", name)
    return str(name)
