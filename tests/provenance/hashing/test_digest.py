"""Manifests of models: what counts, what is refused, and that they are what model-signing makes of the same files."""

import hashlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from blake3 import blake3
from model_signing import hashing as reference

from garrison.core.errors import UsageError
from garrison.provenance.hashing import DEFAULT_SERIALIZATION, Manifest, Serialization, compare, digest
from garrison.provenance.trust import Refused
from tests.provenance.hashing.models import made

FILES = {
    "config.json": b"{}",
    "config/inner.json": b"[1]",
    "weights/a b.bin": b"\x00" * 300_000,
    "weights/ü:1:2\n.bin": b"one",
    "weights/empty": b"",
    "weights/deeper/x": b"x" * 5000,
}
SHARDS = Serialization(method="shards", algorithm="sha256", shard_size=1000)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return made(FILES, tmp_path / "model")


def entries(manifest: Manifest) -> dict[str, str]:
    return {entry.name: entry.digest for entry in manifest.entries}


def refused(path: Path, serialization: Serialization = DEFAULT_SERIALIZATION) -> str:
    with pytest.raises(Refused) as caught:
        digest(path, [serialization])
    return str(caught.value)


@pytest.mark.parametrize("algorithm", ["blake3", "sha256", "blake2b"])
def test_names_and_bytes_of_all_files(model: Path, algorithm: str) -> None:
    (manifest,) = digest(model, [msgspec.convert({"algorithm": algorithm}, Serialization)])
    hashed = {"blake3": blake3, "sha256": hashlib.sha256, "blake2b": hashlib.blake2b}[algorithm]
    assert entries(manifest) == {name: hashed(data).hexdigest() for name, data in FILES.items()}
    assert [entry.name for entry in manifest.entries] == sorted(FILES)
    assert manifest.name == "model"
    raw = b"".join(bytes.fromhex(entry.digest) for entry in manifest.entries)
    assert manifest.root == hashlib.sha256(raw).hexdigest()


def test_same_as_the_reference(model: Path) -> None:
    ours = digest(model, [msgspec.structs.replace(DEFAULT_SERIALIZATION, algorithm="sha256"), SHARDS])
    theirs = [
        reference.Config().use_file_serialization(hashing_algorithm="sha256").hash(model),
        reference.Config().use_shard_serialization(hashing_algorithm="sha256", shard_size=1000).hash(model),
    ]
    for mine, other in zip(ours, theirs, strict=True):
        found = {one.identifier: one.digest.digest_hex for one in other.resource_descriptors()}
        assert {name: value for name, value in entries(mine).items() if not name.endswith(":0:0")} == found


def test_several_serializations_agree_with_one_at_a_time(model: Path) -> None:
    several = [
        DEFAULT_SERIALIZATION,
        Serialization(algorithm="sha256"),
        Serialization(algorithm="blake2b", ignored=("config",)),
        SHARDS,
        Serialization(method="shards", algorithm="blake3", shard_size=7000),
    ]
    together = digest(model, several)
    assert together == [digest(model, [one])[0] for one in several]
    assert together == digest(model, several, jobs=1) == digest(model, several, jobs=5)


def test_single_file(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"abc")
    (manifest,) = digest(path, [DEFAULT_SERIALIZATION])
    assert (manifest.name, entries(manifest)) == ("model.bin", {".": hashlib.sha256(b"abc").hexdigest()})
    theirs = reference.Config().use_file_serialization(hashing_algorithm="sha256").hash(path)
    assert [one.identifier for one in theirs.resource_descriptors()] == ["."]


@pytest.mark.parametrize(("size", "algorithm"), [(0, "sha256"), ((1 << 30) - 6, "sha256"), ((1 << 30) - 5, "blake3")])
def test_large_models_are_hashed_with_what_is_faster(model: Path, size: int, algorithm: str) -> None:
    before = sum(path.stat().st_size for path in model.rglob("*") if path.is_file())
    with open(model / "large", "wb") as file:
        file.truncate(max(0, size - before + 5))
    (manifest,) = digest(model, [DEFAULT_SERIALIZATION])
    assert {manifest.serialization.algorithm, *(entry.algorithm for entry in manifest.entries)} == {algorithm}


@pytest.mark.parametrize("name", ["model.bin", "."])
def test_single_file_may_be_called_otherwise(tmp_path: Path, name: str) -> None:
    path = tmp_path / "renamed.bin"
    path.write_bytes(b"abc")
    (found,) = digest(path, [DEFAULT_SERIALIZATION])
    entry = msgspec.structs.replace(found.entries[0], name=name)
    assert not compare(msgspec.structs.replace(found, entries=(entry,)), found)
    wrong = msgspec.structs.replace(entry, digest="00" * 32)
    assert compare(msgspec.structs.replace(found, entries=(wrong,)), found).changed == (".",)


def test_ignored_paths_are_exact_and_told(model: Path) -> None:
    made({".git/config": b"1", ".gitignore": b"2", "weights/.git/config": b"3", ".github2": b"4"}, model)
    (manifest,) = digest(model, [DEFAULT_SERIALIZATION])
    assert entries(manifest).keys() - FILES.keys() == {"weights/.git/config", ".github2"}
    assert manifest.passed_over == (".git", ".gitignore")


@pytest.mark.parametrize("ignored", [".", "..", "", "/", "*", "weights/", "./config.json", "../model"])
def test_ignoring_nothing_that_is_no_exact_path(model: Path, ignored: str) -> None:
    (manifest,) = digest(model, [Serialization(ignored=(ignored,))])
    assert entries(manifest).keys() == FILES.keys()


def test_shards(tmp_path: Path) -> None:
    model = made({"a": b"x" * 2500, "b": b"", "c": b"y" * 1000}, tmp_path / "model")
    (manifest,) = digest(model, [SHARDS])
    assert list(entries(manifest)) == ["a:0:1000", "a:1000:2000", "a:2000:2500", "b:0:0", "c:0:1000"]
    assert entries(manifest)["a:2000:2500"] == hashlib.sha256(b"x" * 500).hexdigest()


def test_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model" / "empty").mkdir(parents=True)
    assert "no file" in refused(tmp_path / "model")
    made({".git/config": b"1"}, tmp_path / "model")
    assert "no file" in refused(tmp_path / "model")
    with pytest.raises(UsageError, match="No such file"):
        digest(tmp_path / "missing", [DEFAULT_SERIALIZATION])


def test_names_that_are_no_text_are_refused(model: Path) -> None:
    Path(os.fsdecode(os.fsencode(model) + b"/weights/\xff.bin")).write_bytes(b"")
    assert "\\xff.bin" in refused(model)


def test_no_name_is_no_model() -> None:
    with pytest.raises(UsageError, match="empty"):
        digest("", [DEFAULT_SERIALIZATION])


def test_backslashes_are_refused(model: Path) -> None:
    (model / "..\\x").write_bytes(b"")
    assert "backslash" in refused(model)


def test_what_is_no_file_is_refused(model: Path) -> None:
    os.mkfifo(model / "weights/pipe")
    assert "'weights/pipe' is neither" in refused(model)
    (model / "weights/pipe").unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(model / "talk"))
        assert "'talk' is neither" in refused(model)


def test_links_are_refused_by_name(model: Path) -> None:
    (model / "weights/link").symlink_to("a b.bin")
    assert refused(model) == "'weights/link' is a symbolic link"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("../../outside", "out of the model"),
        ("../weights/../../model/config.json", "out of the model"),
        ("/etc/passwd", "out of the model"),
        ("missing", "No such file"),
        ("link", "without an end"),
        (".", "directory that it lies in"),
        ("..", "directory that it lies in"),
        ("empty/x", "no directory"),
        ("empty/.", "no directory"),
        ("pipe", "neither a file nor a directory"),
    ],
)
def test_links_that_cannot_be_followed(model: Path, target: str, said: str) -> None:
    (model.parent / "outside").write_bytes(b"secret")
    os.mkfifo(model / "weights/pipe")
    (model / "weights/link").symlink_to(target)
    assert said in refused(model, Serialization(follow_symlinks=True, ignored=("weights/pipe",)))


def test_followed_links(model: Path) -> None:
    (model / "to file").symlink_to("weights/../weights/a b.bin")
    (model / "to link").symlink_to("to file")
    (model / "to folder").symlink_to("weights/deeper/")
    (manifest,) = digest(model, [Serialization(follow_symlinks=True)])
    found = entries(manifest)
    assert found["to file"] == found["to link"] == found["weights/a b.bin"]
    assert found["to folder/x"] == found["weights/deeper/x"]
    assert len(found) == len(FILES) + 3


def test_links_to_each_other_are_refused(model: Path) -> None:
    (model / "weights/up").symlink_to("../config")
    (model / "config/up").symlink_to("../weights")
    assert "lies in" in refused(model, Serialization(follow_symlinks=True))


@pytest.mark.parametrize("serialization", [DEFAULT_SERIALIZATION, SHARDS])
def test_each_change_is_named(model: Path, serialization: Serialization) -> None:
    (before,) = digest(model, [serialization])
    made({"weights/a b.bin": b"\x00" * 299_999 + b"\x01", "new": b"", "config/new:0:0": b"1"}, model)
    (model / "weights/empty").unlink()
    difference = compare(before, digest(model, [serialization])[0])
    assert difference.changed == ("weights/a b.bin",)
    assert difference.added == ("config/new:0:0", "new")
    assert difference.missing == ("weights/empty",)
    assert not compare(before, before)


def meanwhile(path: Path, change: Callable[[], object], *, jobs: int = 2) -> str:
    """What is said when something changes after the first bytes were read."""
    pending = [change]

    def progress(done: int, total: int) -> None:
        assert 0 < done <= total
        if pending:
            pending.pop()()

    with pytest.raises(Refused) as caught:
        digest(path, [DEFAULT_SERIALIZATION], progress=progress, jobs=jobs)
    return str(caught.value)


def replaced(path: Path, away: Path) -> None:
    path.parent.rename(away)
    made({path.name: path.parent.name.encode() * 2_000_000}, path.parent)


def led_away(path: Path, away: Path) -> None:
    path.parent.rename(away)
    path.parent.symlink_to(away)


def another(path: Path, kind: Callable[[Path], object]) -> None:
    path.unlink()
    kind(path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "rewritten": lambda path: path.write_bytes(b"b" * 2_000_000),
    "longer": lambda path: os.truncate(path, 2_000_001),
    "shorter": lambda path: os.truncate(path, 1000),
    "touched": lambda path: os.utime(path, (1, 1)),
    "gone": lambda path: path.unlink(),
    "replaced": lambda path: (path.parent / "../../elsewhere").rename(path),
    "a link": lambda path: another(path, lambda path: path.symlink_to("../../elsewhere")),
    "a pipe": lambda path: another(path, os.mkfifo),
    "a directory": lambda path: another(path, os.mkdir),
    "its directory is a link": lambda path: led_away(path, path.parent / "../../away"),
    "its directory is replaced": lambda path: replaced(path, path.parent / "../../away"),
    "something beside it": lambda path: (path.parent / "third").write_bytes(b"3"),
}


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("case", CHANGES)
def test_what_changes_while_it_is_read_is_refused(tmp_path: Path, case: str, jobs: int) -> None:
    files = {"model/a/first": b"a" * 3_000_000, "model/b/second": b"b" * 2_000_000, "elsewhere": b"b" * 2_000_000}
    for path in list(made(files, tmp_path).rglob("*")):
        os.utime(path, (1000, 1000))  # a clock that ticks slowly could give what changes at once the same time
    said = meanwhile(tmp_path / "model", lambda: CHANGES[case](tmp_path / "model/b/second"), jobs=jobs)
    assert "was changed while" in said
    assert "'b/third'" in said if case == "something beside it" else "'b" in said
