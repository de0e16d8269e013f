"""The cache of digests: what it spares reading, and when it is not believed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from garrison.provenance.hashing import DEFAULT_SERIALIZATION, Manifest, Serialization, digest
from garrison.provenance.hashing.cache import Cache
from tests.provenance.hashing.models import made

OTHER = Serialization(algorithm="blake3", ignored=DEFAULT_SERIALIZATION.ignored)
FILES = {"a.bin": b"a" * 300_000, "b/c": b"c", "empty": b""}


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file of the test had been written an hour ago."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 3600 * 10**9)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return made(FILES, tmp_path / "model")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def read(model: Path, folder: Path, *serializations: Serialization) -> tuple[list[Manifest], int]:
    """The manifests, and how many bytes were read for them."""
    seen = [0]
    manifests = digest(
        model,
        serializations or [DEFAULT_SERIALIZATION],
        cache=Cache(str(folder)),
        progress=lambda done, total: seen.append(done),
    )
    assert manifests == digest(model, serializations or [DEFAULT_SERIALIZATION])
    return manifests, max(seen)


def test_what_is_unchanged_is_not_read_again(model: Path, folder: Path) -> None:
    assert read(model, folder)[1] == 300_001
    assert read(model, folder)[1] == 0
    assert read(model, folder, OTHER)[1] == 300_001
    assert read(model, folder, DEFAULT_SERIALIZATION, OTHER)[1] == 0
    (model / "new").write_bytes(b"12345")
    assert read(model, folder)[1] == 5
    (model / "new").unlink()
    assert read(model, folder)[1] == 0


CHANGES: dict[str, Callable[[Path], object]] = {
    "rewritten": lambda path: path.write_bytes(b"d"),
    "rewritten, its time put back": lambda path: back(path, lambda: path.write_bytes(b"d")),
    "replaced": lambda path: replace(path, b"d"),
    "replaced, its time put back": lambda path: back(path, lambda: replace(path, b"d")),
    "touched": lambda path: os.utime(path),
    "renamed and back": lambda path: (path.rename(f"{path}2"), Path(f"{path}2").rename(path)),
}


def replace(path: Path, data: bytes) -> None:
    path.with_name("other").write_bytes(data)
    path.with_name("other").rename(path)


def back(path: Path, change: Callable[[], object]) -> None:
    before = path.stat()
    change()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", CHANGES)
def test_what_may_have_changed_is_read_again(model: Path, folder: Path, change: str) -> None:
    read(model, folder)
    time.sleep(0.02)  # longer than a tick of the file system's clock
    CHANGES[change](model / "b/c")
    assert read(model, folder)[1] == 1


def test_exchanged_files_are_read_again(model: Path, folder: Path) -> None:
    (model / "b/d").write_bytes(b"d")
    read(model, folder)
    (model / "b/c").rename(model / "x")
    (model / "b/d").rename(model / "b/c")
    (model / "x").rename(model / "b/d")
    assert read(model, folder)[1] == 2


def test_fresh_files_are_not_remembered(model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert read(model, folder)[1] == 300_001
    assert read(model, folder)[1] == 300_001


def test_private(model: Path, folder: Path) -> None:
    read(model, folder)
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_what_others_could_write_is_not_believed(model: Path, folder: Path, mode: int) -> None:
    read(model, folder)
    (file,) = folder.iterdir()
    file.chmod(mode)
    assert read(model, folder)[1] == 300_001
    folder.chmod(0o777)
    assert read(model, folder)[1] == 300_001


def test_links_are_not_followed(model: Path, folder: Path) -> None:
    read(model, folder)
    (file,) = folder.iterdir()
    file.rename(folder.parent / "elsewhere")
    file.symlink_to(folder.parent / "elsewhere")
    assert read(model, folder)[1] == 300_001
    assert not file.is_symlink()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut": lambda data: data[:-10],
    "longer": lambda data: data + b" ",
    "one digit": lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
    "no JSON": lambda data: b"\xff" * 1000,
    "nested": lambda data: b"[" * 100_000,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_costs_time_only(model: Path, folder: Path, damage: str) -> None:
    read(model, folder)
    (file,) = folder.iterdir()
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    assert read(model, folder)[1] == 300_001
    assert read(model, folder)[1] == 0


def test_each_model_has_its_own(model: Path, folder: Path, tmp_path: Path) -> None:
    read(model, folder)
    made(FILES, tmp_path / "other")
    assert read(tmp_path / "other", folder)[1] == 300_001
    (tmp_path / "link").symlink_to("model")
    assert read(tmp_path / "link", folder)[1] == 0
    assert read(model / "a.bin", folder)[1] == 300_000
    assert read(model / "a.bin", folder)[1] == 0
    one, other = sorted(folder.iterdir())[:2]
    one.write_bytes(other.read_bytes())  # another model's, under this one's name
    read(model, folder)
    read(tmp_path / "other", folder)


def test_a_folder_that_cannot_be_written_costs_time_only(model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert read(model, tmp_path / "file" / "cache")[1] == 300_001


def test_two_processes_at_once(model: Path, folder: Path) -> None:
    code = (
        "import sys, time; now = time.time_ns; time.time_ns = lambda: now() + 3600 * 10**9\n"
        "from garrison.provenance.hashing import *\n"
        "from garrison.provenance.hashing.cache import Cache\n"
        "for _ in range(20):\n"
        "    for one in 'blake3', 'sha256':\n"
        "        digest(sys.argv[1], [Serialization(algorithm=one)], cache=Cache(sys.argv[2]))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(model), str(folder)]) for _ in range(3)]
    assert [one.wait() for one in running] == [0, 0, 0]
    (file,) = folder.iterdir()
    assert len(json.loads(file.read_bytes()[64:])["files"]) == len(FILES)
    read(model, folder)


def test_where_it_lies(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    digest(model, [DEFAULT_SERIALIZATION], cache=Cache())
    assert len(list((tmp_path / "caches/garrison/digests").iterdir())) == 1
