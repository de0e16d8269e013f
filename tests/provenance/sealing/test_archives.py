"""Directories as archives: they come back as they were, and no archive writes outside its directory."""

import contextlib
import io
import os
import shutil
import stat
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.errors import UsageError
from garrison.provenance.sealing import archives
from garrison.provenance.sealing.archives import Packed, unpacking
from garrison.provenance.trust import Refused

CONTENTS = {
    "config.json": b"{}",
    "empty": b"",
    "weights/a.bin": bytes(512),
    "weights/b.bin": bytes(range(256)) * 5000,
    "weights/deep/er/x": b"x",
    "n" * 200: b"a long name",
    "ü \n\\ odd": b"an odd name",
    os.fsdecode(b"not \xff utf-8"): b"",
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "nothing").mkdir(parents=True)
    for name, data in CONTENTS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "config.json").chmod(0o755)
    return folder


def packed(folder: Path) -> bytes:
    return io.BufferedReader(Packed(str(folder))).read()


def unpack(archive: bytes, target: Path, part: int = 1 << 20) -> None:
    with unpacking(str(target)) as file:
        for at in range(0, len(archive), part):
            file.write(archive[at : at + part])


def tree(folder: Path) -> dict[str, bytes | None]:
    return {os.path.relpath(path, folder): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize("part", [1, 511, 512, 1 << 20])
def test_a_directory_comes_back(model: Path, tmp_path: Path, part: int) -> None:
    if part == 1:
        (model / "weights" / "b.bin").unlink()
    unpack(packed(model), tmp_path / "again", part)
    assert tree(tmp_path / "again") == tree(model)
    assert stat.S_IMODE((tmp_path / "again" / "config.json").stat().st_mode) & 0o111
    assert not stat.S_IMODE((tmp_path / "again" / "empty").stat().st_mode) & 0o111
    assert stat.S_IMODE((tmp_path / "again").stat().st_mode) == stat.S_IMODE(model.stat().st_mode)


def test_the_same_directory_is_the_same_archive(model: Path, tmp_path: Path) -> None:
    first = packed(model)
    shutil.copytree(model, tmp_path / "copy")
    assert packed(tmp_path / "copy") == first
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        assert {member.name for member in archive if member.isfile()} == CONTENTS.keys()
        assert {(member.uid, member.gid, member.mtime, member.uname) for member in archive} == {(0, 0, 0, "")}


@pytest.mark.skipif(shutil.which("tar") is None, reason="tar is not installed")
@pytest.mark.parametrize("form", ["gnu", "pax", "ustar"])
def test_archives_of_tar_unpack(model: Path, tmp_path: Path, form: str) -> None:
    if form == "ustar":
        (model / ("n" * 200)).unlink()
    archive = subprocess.run(["tar", f"--format={form}", "-C", model, "-c", "."], capture_output=True, check=True)
    unpack(archive.stdout, tmp_path / "again")
    assert tree(tmp_path / "again") == tree(model)
    listed = subprocess.run(["tar", "-t"], input=packed(model), capture_output=True, check=True)
    assert listed.stdout.count(b"\n") == len(tree(model))


def test_links_to_files_inside_become_files_and_others_are_refused(model: Path, tmp_path: Path) -> None:
    (model / "link").symlink_to("weights/a.bin")
    unpack(packed(model), tmp_path / "again")
    assert (tmp_path / "again" / "link").read_bytes() == bytes(512)
    assert not (tmp_path / "again" / "link").is_symlink()
    (tmp_path / "secret").write_text("secret")
    for target, said in (
        ("../secret", "leaves"),
        ("/etc/hostname", "leaves"),
        ("weights", "link to a directory"),
        (".", "link to a directory"),
        ("weights/none", "No such file"),
        ("link", "symbolic links"),
    ):
        (model / "link").unlink()
        (model / "link").symlink_to(target)
        with pytest.raises(UsageError, match=said):
            packed(model)


def test_a_link_that_comes_meanwhile_is_not_followed(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "a.bin").write_bytes(b"secret")
    header = archives._header

    def late(name: str, *more: Any) -> bytes:
        if name == "weights":  # it was seen to be a directory, and is listed next
            shutil.rmtree(model / "weights")
            (model / "weights").symlink_to(tmp_path / "else")
        return header(name, *more)

    monkeypatch.setattr(archives, "_header", late)
    with pytest.raises(UsageError, match="weights"):
        packed(model)


def test_what_is_no_file_is_refused(model: Path) -> None:
    os.mkfifo(model / "pipe")
    with pytest.raises(UsageError, match="neither a file nor a directory"):
        packed(model)
    with pytest.raises(UsageError, match="no directory"):
        Packed(str(model / "empty"))


def test_what_is_too_deep_is_refused(tmp_path: Path) -> None:
    (tmp_path / "/".join("d" * 66)).mkdir(parents=True)
    with pytest.raises(UsageError, match="deep"):
        packed(tmp_path)


def test_what_is_packed_can_be_unpacked_however_deep(tmp_path: Path) -> None:
    place = tmp_path / "in" / "/".join("d" * 63)
    place.mkdir(parents=True)
    (place / "file").write_bytes(b"x")
    unpack(packed(tmp_path / "in"), tmp_path / "out")
    assert tree(tmp_path / "out") == tree(tmp_path / "in")
    (place / "deeper").mkdir()
    (place / "deeper" / "file").write_bytes(b"x")
    with pytest.raises(UsageError, match="deep"):
        packed(tmp_path / "in")


def test_what_is_packed_can_be_unpacked_however_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_MEMBERS", 3)
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / "in" / (str(number) + "n" * 200)).touch()  # names that take headers of their own
    unpack(packed(tmp_path / "in"), tmp_path / "out")
    (tmp_path / "in" / "one").touch()
    with pytest.raises(UsageError, match="more than 3"):
        packed(tmp_path / "in")


def test_what_is_still_written_after_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    files = archive(*((f"{number}", b"", {}) for number in range(5000)))
    writer: list[threading.Thread] = []

    def write(target: io.RawIOBase) -> None:
        with contextlib.suppress(ValueError):
            target.write(files)

    def interrupted() -> None:
        with unpacking(str(tmp_path / "model")) as target:
            writer.append(threading.Thread(target=write, args=(target,)))
            writer[0].start()
            while not any(tmp_path.glob("*.part/100")):
                time.sleep(0.001)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    writer[0].join()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("change", [b"", b"longer than before", b"equal"])
def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path: Path, change: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"begun")
    os.utime(file, (1, 1))
    reader = Packed(str(tmp_path))
    assert len(reader.read(512) or b"") == 512
    assert reader.read(5) == b"begun"
    file.write_bytes(change)
    with pytest.raises(UsageError, match="changed"):
        reader.read(1)


def archive(*members: tuple[str, bytes, dict[str, object]], form: int = tarfile.GNU_FORMAT) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as file:
        for name, data, more in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for key, value in more.items():
                setattr(member, key, value)
            file.addfile(member, io.BytesIO(data))
    return target.getvalue()


def raw(name: bytes, size: bytes = b"00000000001\0", kind: bytes = b"0", data: bytes = b"x") -> bytes:
    """A member with fields that no library writes."""
    block = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + size.ljust(12, b"\0") + b"00000000000\0"
    block += b" " * 8 + kind + bytes(100) + b"ustar\x0000"
    block = block.ljust(512, b"\0")
    checksum = b"%06o\0 " % sum(block)
    return block[:148] + checksum + block[156:] + data.ljust(512, b"\0") + bytes(1024)


PLAIN = archive(("file", b"x", {}))
HOSTILE = {
    "a parent": archive(("../out", b"x", {})),
    "a parent within": archive(("a/../../out", b"x", {})),
    "an absolute name": archive(("/tmp/out", b"x", {})),
    "an absolute name in an extended header": archive(
        ("x" * 120, b"x", {"pax_headers": {"path": "/tmp/out"}}), form=tarfile.PAX_FORMAT
    ),
    "a parent in a long name": archive(("../" + "x" * 120, b"x", {})),
    "no name": raw(b""),
    "a dot": raw(b"."),
    "an empty part": raw(b"a//b"),
    "a file called as a directory": raw(b"a/", kind=b"7"),
    "too deep": archive(("/".join("d" * 100), b"x", {})),
    "a link": archive(("link", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc"})),
    "a link to itself": archive(("link", b"", {"type": tarfile.SYMTYPE, "linkname": "link"})),
    "a hard link": archive(("file", b"x", {}), ("link", b"", {"type": tarfile.LNKTYPE, "linkname": "file"})),
    "a pipe": archive(("pipe", b"", {"type": tarfile.FIFOTYPE})),
    "a device": archive(("device", b"", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3})),
    "a sparse file": raw(b"sparse", kind=b"S"),
    "a sparse file of pax": archive(("s", b"x", {"pax_headers": {"GNU.sparse.major": "1"}}), form=tarfile.PAX_FORMAT),
    "an unknown kind": raw(b"file", kind=b"Z"),
    "a directory with data": raw(b"d", kind=b"5"),
    "a file twice": archive(("file", b"x", {}), ("file", b"y", {})),
    "a file as a directory": archive(("file", b"x", {}), ("file/a", b"y", {})),
    "a directory as a file": archive(("d", b"", {"type": tarfile.DIRTYPE}), ("d", b"y", {})),
    "a negative size": raw(b"file", size=b"\xff" * 12),
    "a size that is no number": raw(b"file", size=b"zzz"),
    "a huge extended header": raw(b"x", size=b"\x80" + (1 << 40).to_bytes(11, "big"), kind=b"x"),
    "a malformed extended header": raw(b"x", size=b"00000000012\0", kind=b"x", data=b"9999 path=x"),
    "an extended header without length": raw(b"x", size=b"00000000012\0", kind=b"x", data=b"path=xxxxx"),
    "two extended headers": raw(b"x", size=b"00000000012\0", kind=b"x", data=b"10 path=x\n")[:1024]
    + raw(b"x", size=b"00000000012\0", kind=b"x", data=b"10 path=y\n"),
    "a wrong checksum": b"g" + PLAIN[1:],
    "cut off in a header": PLAIN[:100],
    "cut off in a file": archive(("file", b"x" * 5000, {}))[:1024],
    "cut off behind a file": PLAIN[:1024],
    "something behind": PLAIN + b"more",
    "nothing": b"",
    "no archive": b"weights" * 1000,
}


@pytest.mark.parametrize("how", HOSTILE)
@pytest.mark.parametrize("part", [100, 1 << 20])
def test_hostile_archives_are_refused_and_leave_nothing(tmp_path: Path, how: str, part: int) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(Refused):
        unpack(HOSTILE[how], tmp_path / "in" / "model", part)
    assert os.listdir(tmp_path) == ["in"]
    assert os.listdir(tmp_path / "in") == []


def test_the_number_of_members_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_MEMBERS", 3)
    with pytest.raises(Refused, match="more than 3"):
        unpack(archive(*((str(number), b"", {}) for number in range(4))), tmp_path / "model")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=600), st.integers(0, 1500))
def test_noise_in_an_archive_never_leaves_its_directory(noise: bytes, at: int) -> None:
    import tempfile

    altered = PLAIN[:at] + noise + PLAIN[at + len(noise) :]
    with tempfile.TemporaryDirectory() as name:
        try:
            unpack(altered, Path(name) / "model")
        except (Refused, UsageError):
            assert os.listdir(name) == []
        else:
            assert os.listdir(name) == ["model"]


@pytest.mark.parametrize("prepare", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_what_is_there_stays(tmp_path: Path, prepare: Callable[[Path], None]) -> None:
    prepare(tmp_path / "model")
    with pytest.raises(UsageError, match="already"):
        unpack(PLAIN, tmp_path / "model")


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        unpack(archive(("ü" * 200, b"x", {})), tmp_path / "model")
    assert os.listdir(tmp_path) == []
    with pytest.raises(UsageError, match="cannot be written"):
        unpack(PLAIN, tmp_path / "no" / "model")
