"""Walking names every file once, follows links as loaders do, and leaves nothing out in silence."""

import os
from pathlib import Path

import pytest

from garrison.core.errors import UsageError
from garrison.sources.paths import File, Omitted, display, walk


def test_files_below_a_directory_in_order(tmp_path: Path) -> None:
    for name in ("b/two", "a/one", "zero"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = [os.path.relpath(item.subject, tmp_path) for item in walk([str(tmp_path)])]
    assert found == ["zero", "a/one", "b/two"]


def test_links_to_files_are_followed_and_links_to_directories_are_named(tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    (tmp_path / "blob").write_bytes(b"weights")
    (snapshot / "model.bin").symlink_to("../blob")
    (snapshot / "loop").symlink_to("../snapshot")
    (snapshot / "nowhere").symlink_to("../missing")
    items = {os.path.basename(item.subject): item for item in walk([str(snapshot)])}
    assert isinstance(items["model.bin"], File)
    assert isinstance(items["loop"], Omitted) and items["loop"].state == "skipped"
    assert isinstance(items["nowhere"], Omitted) and items["nowhere"].state == "failed"


def test_special_files_version_control_and_exclusions_are_listed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / ".git").mkdir()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "x").write_bytes(b"")
    items = list(walk([str(tmp_path)], ("cache",)))
    assert all(isinstance(item, Omitted) and item.state == "skipped" for item in items)
    assert len(items) == 3


def test_a_path_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        list(walk([str(tmp_path / "missing")]))
    with pytest.raises(UsageError):
        list(walk(["nul\0byte"]))


def test_names_that_are_no_text(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9"
    with open(path, "wb"):
        pass
    (item,) = walk([str(tmp_path)])
    assert item.subject.endswith("caf\\xe9")
    assert display("plain/ünïcode") == "plain/ünïcode"


def test_links_that_leave_the_directory_are_told_from_those_of_a_cache(tmp_path: Path) -> None:
    repository = tmp_path / "models--org--name"
    snapshot = repository / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "blobs" / "digest").write_bytes(b"weights")
    (tmp_path / "secret").write_bytes(b"key")
    (snapshot / "model.bin").symlink_to("../../blobs/digest")
    (snapshot / "vocab.txt").symlink_to("../../../secret")
    (snapshot / "inner.txt").symlink_to("config.json")
    (snapshot / "config.json").write_bytes(b"{}")
    leading = {
        os.path.basename(item.subject): item.leads_to for item in walk([str(snapshot)]) if isinstance(item, File)
    }
    assert leading == {
        "config.json": "",
        "inner.txt": "",
        "model.bin": "",
        "vocab.txt": os.path.realpath(tmp_path / "secret"),
    }
    whole = [item.leads_to for item in walk([str(repository)]) if isinstance(item, File) and "model" in item.path[-9:]]
    assert whole == [""]
