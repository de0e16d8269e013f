"""One stream is taken from a file, and the file stands where an ordinary load leaves it."""

import fcntl
import gzip
import io
import os
import pickle
import socket
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.artifacts.protecting.capture import captured

VALUES: list[Any] = [
    {"a": [1.5, None, True]},
    "x" * 100_000,
    OrderedDict(a=b"y" * 300),
    (1, 2**70, -5),
    {"\n", "é"},
    [],
]


def take(file: Any) -> bytes:
    found = captured(file)
    end = 0
    data = found.reader.pread(0, 1 << 24)
    with io.BytesIO(data) as probe:
        pickle.load(probe)
        end = probe.tell()
    return found.take(end)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", ["memory", "buffered", "raw", "pipe", "gzip", "socket"])
def test_streams_one_after_another(kind: str, protocol: int, tmp_path: Path) -> None:
    streams = [pickle.dumps(value, protocol) for value in VALUES if not (protocol < 1 and isinstance(value, bytes))]
    data = b"".join(streams) + b"behind"
    path = tmp_path / "streams"
    path.write_bytes(gzip.compress(data) if kind == "gzip" else data)
    match kind:
        case "memory":
            file: Any = io.BytesIO(b"before" + data)
            file.seek(6)
        case "gzip":
            file = gzip.open(path)  # noqa: SIM115
        case "pipe":
            reading, writing = os.pipe()
            with open(writing, "wb") as end:
                fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 1 << 20)
                end.write(data)
            file = open(reading, "rb")  # noqa: SIM115
        case "socket":
            ours, theirs = socket.socketpair()
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
            ours.sendall(data)
            ours.close()
            file = theirs.makefile("rb")
            theirs.close()
        case _:
            file = open(path, "rb", buffering=-1 if kind == "buffered" else 0)  # noqa: SIM115
    with file:
        assert [take(file) for _ in streams] == streams
        assert file.read() == b"behind"


class OneByteAtATime:
    """What a pickle file must at least be."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int) -> bytes:
        return self._file.read(min(size, 1))

    def readline(self) -> bytes:
        return self._file.readline()

    def rest(self) -> bytes:
        return self._file.read()


@given(st.lists(st.none() | st.integers() | st.text() | st.binary() | st.floats()), st.integers(0, 5))
def test_no_byte_too_many(value: object, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    file = OneByteAtATime(data + b"behind")
    assert take(file) == data
    assert file.rest() == b"behind"


@given(st.binary(max_size=200))
def test_what_is_no_pickle_ends(data: bytes) -> None:
    found = captured(OneByteAtATime(data))
    assert data.startswith(found.take(len(data)))
