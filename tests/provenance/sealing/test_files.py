"""Files appear whole or not at all, and overwrite nothing that nobody said to overwrite."""

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from garrison.core.errors import UsageError
from garrison.provenance.sealing.files import appearing, opened


@pytest.fixture(params=["nameless", "named"])
def drafts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """File systems that have files without names, and those that have not."""
    if request.param == "named":
        real = os.open

        def without(path: str, flags: int, *rest: int, **more: int) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, "not supported")
            return real(path, flags, *rest, **more)

        monkeypatch.setattr(os, "open", without)
    return str(request.param)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.usefixtures("drafts")
def test_a_file_appears_when_it_is_whole(tmp_path: Path, force: bool) -> None:
    before = os.umask(0o027)
    try:
        with appearing(str(tmp_path / "new"), force=force) as file:
            file.write(b"whole")
            assert not (tmp_path / "new").exists()
    finally:
        os.umask(before)
    assert (tmp_path / "new").read_bytes() == b"whole"
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["new"]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.usefixtures("drafts")
def test_nothing_is_left_of_what_fails(tmp_path: Path, force: bool) -> None:
    with pytest.raises(ZeroDivisionError), appearing(str(tmp_path / "new"), force=force) as file:
        file.write(b"part")
        raise ZeroDivisionError
    with pytest.raises(UsageError, match="No space left"), appearing(str(tmp_path / "new"), force=force) as file:
        raise OSError(errno.ENOSPC, "No space left on device")
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("drafts")
def test_what_is_there_stays_unless_it_is_said(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_bytes(b"old")
    with pytest.raises(UsageError, match="--force"), appearing(str(there), force=False):
        raise AssertionError
    assert there.read_bytes() == b"old"
    with appearing(str(there), force=True) as file:
        file.write(b"new")
    assert there.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["there"]


@pytest.mark.usefixtures("drafts")
def test_what_comes_in_the_meantime_stays(tmp_path: Path) -> None:
    there = tmp_path / "there"
    with pytest.raises(UsageError, match="--force"), appearing(str(there), force=False) as file:
        file.write(b"ours")
        there.write_bytes(b"theirs")
    assert there.read_bytes() == b"theirs"
    assert os.listdir(tmp_path) == ["there"]


@pytest.mark.usefixtures("drafts")
def test_of_two_at_once_one_wins(tmp_path: Path) -> None:
    gate, failures = threading.Barrier(2), []

    def write(text: bytes) -> None:
        try:
            with appearing(str(tmp_path / "one"), force=False) as file:
                gate.wait()
                file.write(text)
        except UsageError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(text,)) for text in (b"a", b"b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 1
    assert (tmp_path / "one").read_bytes() in (b"a", b"b")
    assert os.listdir(tmp_path) == ["one"]


@pytest.mark.usefixtures("drafts")
def test_a_link_is_no_way_round(tmp_path: Path) -> None:
    target, link, dangling = tmp_path / "target", tmp_path / "link", tmp_path / "dangling"
    target.write_bytes(b"old")
    link.symlink_to(target)
    dangling.symlink_to(tmp_path / "nowhere")
    for path in (link, dangling):
        with pytest.raises(UsageError, match="--force"), appearing(str(path), force=False):
            raise AssertionError
    with appearing(str(link), force=True) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    for path, said in (
        (tmp_path, "directory"),
        (tmp_path / "no" / "such", "No such file"),
        (Path("/proc/new"), "/proc"),
    ):
        with pytest.raises(UsageError, match=said), appearing(str(path), force=True):
            raise AssertionError


def test_a_device_is_written_as_it_is() -> None:
    with appearing("/dev/null", force=False) as file:
        file.write(b"gone")
    assert not os.path.isfile("/dev/null")


def test_a_process_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\nfrom garrison.provenance.sealing.files import appearing\n"
        "with appearing(sys.argv[1], force=False) as file:\n"
        "    file.write(b'part')\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "new")], check=False)
    assert done.returncode == -9
    assert os.listdir(tmp_path) == []


def test_inputs_that_cannot_be_read(tmp_path: Path) -> None:
    for path, said in ((tmp_path, "directory"), (tmp_path / "none", "No such file")):
        with pytest.raises(UsageError, match=said):
            opened(str(path))
    if os.path.exists("/proc/self/mem"):
        with opened("/proc/self/mem") as file, pytest.raises(UsageError, match="cannot be read"):
            file.read(1)
