"""Trees of every shape: that any one change is named, and that odd ones are read or refused, never passed over."""

import hashlib
import os
import shutil
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.errors import UsageError
from garrison.provenance.hashing import DEFAULT_SERIALIZATION, Difference, Serialization, compare, digest
from garrison.provenance.hashing.folders import DEEPEST
from garrison.provenance.trust import Refused
from tests.provenance.hashing.models import made

SERIALIZATIONS = (
    DEFAULT_SERIALIZATION,
    Serialization(algorithm="sha256"),
    Serialization(method="shards", algorithm="blake2b", shard_size=3),
)
PARTS = st.one_of(
    st.sampled_from(["a", "b", "a.b", "a:0:3", ".git", "e\u0301", "\u00e9", "new\nline", " ", "-", "*", "\u202e"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\\\0"), min_size=1, max_size=4).filter(
        lambda part: part not in (".", "..")
    ),
)
PATHS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
DATA = st.binary(max_size=8)


@st.composite
def trees(draw: st.DrawFn) -> dict[str, bytes]:
    """Files by path, at least two, of which none is called like a directory of another, and none is ignored."""
    files: dict[str, bytes] = {}
    for path in draw(st.lists(PATHS, min_size=2, max_size=8, unique=True)):
        parents = {"/".join(path.split("/")[:count]) for count in range(1, path.count("/") + 1)}
        taken = any(one.startswith(f"{path}/") for one in files) or parents & files.keys()
        if not taken and path.split("/")[0] != ".git":
            files[path] = draw(DATA)
    return files or {"only": b""}


@settings(max_examples=60)
@given(files=trees(), data=st.data())
def test_any_one_change_is_named(files: dict[str, bytes], data: st.DataObject) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        before = digest(made(files, folder / "model"), SERIALIZATIONS)
        assert not any(
            compare(one, two) for one, two in zip(before, digest(folder / "model", SERIALIZATIONS), strict=True)
        )
        name = data.draw(st.sampled_from(sorted(files)))
        path = folder / "model" / name
        match data.draw(st.sampled_from(["changed", "added", "missing", "renamed"])):
            case "changed":
                path.write_bytes(data.draw(DATA.filter(lambda new: new != files[name])))
                expected = Difference(changed=(name,))
            case "added":
                path.with_name("something new").write_bytes(data.draw(DATA))
                expected = Difference(added=(name.removesuffix(path.name) + "something new",))
            case "missing":
                made({"always there": b""}, folder / "model")
                before = digest(folder / "model", SERIALIZATIONS)
                path.unlink()
                expected = Difference(missing=(name,))
            case _:
                path.rename(path.with_name("something new"))
                expected = Difference(missing=(name,), added=(name.removesuffix(path.name) + "something new",))
        for one, two in zip(before, digest(folder / "model", SERIALIZATIONS), strict=True):
            assert compare(one, two) == expected
    finally:
        shutil.rmtree(folder)


@settings(max_examples=40)
@given(files=trees())
def test_order_and_names(files: dict[str, bytes]) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        (manifest,) = digest(made(files, folder / "model"), [DEFAULT_SERIALIZATION])
    finally:
        shutil.rmtree(folder)
    assert [entry.name for entry in manifest.entries] == sorted(files)
    assert [entry.digest for entry in manifest.entries] == [
        hashlib.sha256(files[name]).hexdigest() for name in sorted(files)
    ]


LINKS = st.lists(
    st.tuples(
        st.sampled_from(["", "a/", "a/b/", "c/"]),
        st.sampled_from("klm"),
        st.lists(st.sampled_from(["a", "b", "c", "x", "y", "..", "..", "k", "l", "m", "."]), min_size=1, max_size=3),
    ),
    max_size=4,
)


@settings(max_examples=100)
@given(links=LINKS)
def test_links_lead_where_the_system_says(links: list[tuple[str, str, list[str]]]) -> None:
    root = Path(os.path.realpath(tempfile.mkdtemp())) / "model"
    try:
        made({"a/x": b"1", "a/b/y": b"2", "c/x": b"3", "y": b"4"}, root)
        for folder, name, target in links:
            if not os.path.lexists(root / folder / name):
                (root / folder / name).symlink_to("/".join(target))
        expected = _followed(root, root, [root])
        try:
            (manifest,) = digest(root, [Serialization(algorithm="sha256", follow_symlinks=True)])
        except Refused:
            assert expected is None
        else:
            assert {entry.name: entry.digest for entry in manifest.entries} == expected
    finally:
        shutil.rmtree(root.parent)


def _followed(folder: Path, root: Path, around: list[Path]) -> dict[str, str] | None:
    """The digests of all files by the system's own resolution; `None` where a link leads nowhere, out or around."""
    found: dict[str, str] = {}
    for path in folder.iterdir():
        real = Path(os.path.realpath(path))
        if not path.exists() or not real.is_relative_to(root) or real in around:
            return None
        if path.is_file():
            found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
            continue
        inner = _followed(path, root, [*around, real])
        if inner is None:
            return None
        found |= {f"{path.name}/{name}": digest for name, digest in inner.items()}
    return found


def test_normal_forms_are_different_names(tmp_path: Path) -> None:
    forms = [unicodedata.normalize(form, "modèle.bin") for form in ("NFC", "NFD")]
    (manifest,) = digest(made(dict.fromkeys(forms, b"1"), tmp_path / "model"), [DEFAULT_SERIALIZATION])
    assert {entry.name for entry in manifest.entries} == set(forms)
    (tmp_path / "model" / forms[0]).unlink()
    assert compare(manifest, digest(tmp_path / "model", [DEFAULT_SERIALIZATION])[0]).missing == (forms[0],)


def deep(folder: Path, depth: int) -> None:
    """Directories with long names one inside the other, and a file in the last."""
    folder.mkdir()
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d" * 100, dir_fd=descriptor)
        inner = os.open("d" * 100, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
    os.close(descriptor)


def test_paths_longer_than_the_system_takes(tmp_path: Path) -> None:
    deep(tmp_path / "model", DEEPEST - 1)
    (manifest,) = digest(tmp_path / "model", [DEFAULT_SERIALIZATION])
    assert manifest.entries[0].name == ("d" * 100 + "/") * (DEEPEST - 1) + "file"
    shutil.rmtree(tmp_path / "model")  # pytest's own tidying up follows paths


def test_directories_too_deep_are_refused(tmp_path: Path) -> None:
    deep(tmp_path / "model", DEEPEST)
    with pytest.raises(Refused, match="one inside the other"):
        digest(tmp_path / "model", [DEFAULT_SERIALIZATION])
    shutil.rmtree(tmp_path / "model")


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    made({"a/b/c/d": b"1", "a/e": b"2" * 300_000, "f/g": b"3"}, tmp_path / "model")
    os.mkfifo(tmp_path / "model/f/pipe")
    before = os.listdir("/proc/self/fd")
    digest(tmp_path / "model", [Serialization(ignored=("f/pipe",))])
    with pytest.raises(Refused):
        digest(tmp_path / "model", [DEFAULT_SERIALIZATION])
    assert os.listdir("/proc/self/fd") == before


def test_hard_links_are_files_of_their_own(tmp_path: Path) -> None:
    made({"one": b"1"}, tmp_path / "model")
    os.link(tmp_path / "model/one", tmp_path / "model/two")
    (manifest,) = digest(tmp_path / "model", [DEFAULT_SERIALIZATION])
    assert [entry.name for entry in manifest.entries] == ["one", "two"]


def test_sparse_files_are_their_zeros(tmp_path: Path) -> None:
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 50_000_000)
    (manifest,) = digest(tmp_path / "sparse", [DEFAULT_SERIALIZATION])
    assert manifest.entries[0].digest == hashlib.sha256(bytes(50_000_000)).hexdigest()


@pytest.mark.parametrize("name", ["a", "b/c", "b"])
def test_what_may_not_be_read_is_refused_by_name(name: str) -> None:
    folder = Path(tempfile.mkdtemp())
    made({"model/a": b"1", "model/b/c": b"2" * 300_000}, folder)
    folder.chmod(0o755)
    (folder / "model" / name).chmod(0)
    superuser = os.geteuid() == 0
    if superuser:
        os.seteuid(65534)  # who may not read everything
    try:
        with pytest.raises(Refused, match=f"'?{name}.*Permission denied"):
            digest(folder / "model", [DEFAULT_SERIALIZATION])
    finally:
        if superuser:
            os.seteuid(0)
        (folder / "model" / name).chmod(0o755)
        shutil.rmtree(folder)


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_what_the_disk_does_not_give_is_refused_by_name(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> int:
        raise OSError(5, "Input/output error")

    made({"weights/x": b"1" * size}, tmp_path / "model")
    monkeypatch.setattr(os, "read", broken)
    monkeypatch.setattr(os, "readv", broken)
    with pytest.raises(Refused, match="'weights/x' cannot be read: Input/output error"):
        digest(tmp_path / "model", [DEFAULT_SERIALIZATION])


def test_more_shards_than_can_be_held_are_refused(tmp_path: Path) -> None:
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", 1 << 40)
    with pytest.raises(Refused, match="shards of 1 bytes"):
        digest(tmp_path / "large", [Serialization(method="shards", shard_size=1)])


def test_an_interrupted_reading_ends(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    made({str(number): b"1" * 5_000_000 for number in range(4)}, tmp_path / "model")
    with pytest.raises(KeyboardInterrupt):
        digest(tmp_path / "model", [DEFAULT_SERIALIZATION], progress=interrupt, jobs=3)


def test_links_that_multiply_are_refused(tmp_path: Path) -> None:
    for number in range(40):
        made({f"{number}/file": b""}, tmp_path / "model")
        for name in ("one", "two"):
            (tmp_path / "model" / str(number) / name).symlink_to(f"../{number + 1}")
    made({"40/file": b""}, tmp_path / "model")
    with pytest.raises(Refused, match="symbolic links to directories"):
        digest(tmp_path / "model", [Serialization(algorithm="sha256", follow_symlinks=True)])


def test_the_model_s_own_name_decides_nothing(tmp_path: Path) -> None:
    path = made({"a": b"1"}, Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xff")))
    (manifest,) = digest(path, [DEFAULT_SERIALIZATION])
    assert manifest.name == "m\\udcff"
    (tmp_path / "other").symlink_to(path)
    (other,) = digest(tmp_path / "other", [DEFAULT_SERIALIZATION])
    assert (other.name, other.entries) == ("other", manifest.entries)


def test_a_directory_with_one_file_is_no_file(tmp_path: Path) -> None:
    made({"model/model": b"1", "file": b"1"}, tmp_path)
    file, folder = (digest(tmp_path / name, [DEFAULT_SERIALIZATION])[0] for name in ("file", "model"))
    assert compare(file, folder) == Difference(missing=(".",), added=("model",))
    assert not compare(folder, file)  # the bytes that were signed, wherever they lie now


@pytest.mark.parametrize("path", ["missing", "a\0b", "file/below"])
def test_what_is_not_there_is_wrong_usage(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError):
        digest(f"{tmp_path}/{path}", [DEFAULT_SERIALIZATION])
