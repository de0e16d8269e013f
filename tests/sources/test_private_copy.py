"""A private copy: the bytes as they were, which nobody changes any more."""

import io
import mmap
import os
import sys
from pathlib import Path

import pytest

from garrison.core.errors import UsageError
from garrison.sources import private_copy
from garrison.sources.private_copy import PrivateCopy


@pytest.fixture(params=["in memory", "on disk"])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "on disk":
        monkeypatch.setattr(private_copy, "_SEALED", False)
    return str(request.param)


def test_what_happens_to_the_file_does_not_happen_to_the_copy(where: str, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"as it was")
    with PrivateCopy.of(str(path)) as copy:
        path.write_bytes(b"as it is now")
        with copy.open() as file:
            assert file.read() == b"as it was"
        assert os.pread(copy.descriptor, 100, 0) == b"as it was"
        assert copy.size == 9
        assert os.path.basename(copy.path) == "model.bin"
        with mmap.mmap(copy.descriptor, 0, access=mmap.ACCESS_READ) as mapped:
            assert mapped[:2] == b"as"
    assert not os.path.exists(os.path.dirname(copy.path))


@pytest.mark.skipif(sys.platform != "linux", reason="sealing is Linux's")
def test_a_copy_in_memory_is_sealed() -> None:
    with PrivateCopy.of_stream(io.BytesIO(b"bytes"), "name", 5) as copy:
        with pytest.raises(OSError, match="not permitted"):
            os.truncate(f"/proc/self/fd/{copy.descriptor}", 0)
        with open(copy.path, "r+b", buffering=0) as file, pytest.raises(OSError, match="not permitted"):
            file.write(b"others")
        with copy.open() as file:
            assert file.read() == b"bytes"


def test_a_copy_on_disk_is_for_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_copy, "_SEALED", False)
    with PrivateCopy.of_stream(io.BytesIO(b"bytes"), "name", 5) as copy:
        assert os.stat(os.path.dirname(copy.path)).st_mode & 0o777 == 0o700
        assert os.stat(copy.path).st_mode & 0o777 == 0o400


def test_large_files_are_not_held_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_copy, "_IN_MEMORY", 4)
    with PrivateCopy.of_stream(io.BytesIO(b"bytes"), "name", 5) as copy:
        assert not os.path.islink(copy.path)


def test_a_stream_that_is_shorter_or_longer(where: str) -> None:
    with PrivateCopy.of_stream(io.BytesIO(b"bytes"), "name", 3) as copy, copy.open() as file:
        assert (copy.size, file.read()) == (3, b"byt")
    with PrivateCopy.of_stream(io.BytesIO(b"bytes"), "name", 30) as copy, copy.open() as file:
        assert (copy.size, file.read()) == (5, b"bytes")


def test_only_regular_files_are_copied(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "absent", "", "with\0nul"):
        with pytest.raises(UsageError):
            PrivateCopy.of(str(tmp_path / name))
