"""Where attestations lie: each is there whole, none takes another's place, and hostile files stand in nobody's way."""

import os
import threading
from pathlib import Path

import pytest

from garrison.core.errors import UsageError
from garrison.provenance.attestations import Stored, directory_of, store, stored
from garrison.provenance.attestations import storage as module
from garrison.provenance.trust import Refused


def read(path: Path) -> list[Stored]:
    return list(stored(str(path)))


def test_what_is_stored_lies_beside_the_model_and_is_there_once(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    directory = directory_of(f"{model}/")
    assert directory == f"{model}.attestations"
    path = store(b'{"one": 1}', "scan", directory)
    assert store(b'{"one": 1}', "scan", directory) == path
    assert store(b'{"one": 2}', "scan", directory) != path
    assert sorted(one.data for one in stored(directory)) == [b'{"one": 1}', b'{"one": 2}']
    assert os.listdir(model) == [] and all(name.endswith(".sigstore.json") for name in os.listdir(directory))


def test_two_at_once_lose_none(tmp_path: Path) -> None:
    directory = str(tmp_path / "evidence")
    threads = [
        threading.Thread(target=store, args=(b"%d" % (number % 10), "approval", directory)) for number in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.data for one in stored(directory)) == [b"%d" % number for number in range(10)]
    assert len(os.listdir(directory)) == 10


def test_lines_are_attestations_each(tmp_path: Path) -> None:
    lines = tmp_path / "claims.jsonl"
    lines.write_bytes(b'{"a": 1}\n\n  {"b": 2}\r\n{"c": 3}')
    found = [(one.place, one.data) for one in stored(str(tmp_path))]
    assert found == [(f"{lines}:1", b'{"a": 1}'), (f"{lines}:3", b'{"b": 2}'), (f"{lines}:4", b'{"c": 3}')]
    assert read(tmp_path) == read(lines)


def test_other_files_and_hidden_ones_are_none(tmp_path: Path) -> None:
    (tmp_path / "README.md").touch()
    (tmp_path / ".draft.json").touch()
    (tmp_path / "more").mkdir()
    assert read(tmp_path) == []


def test_what_cannot_be_read_says_so_and_the_others_count(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"1")
    (tmp_path / "b.json").mkdir()
    (tmp_path / "c.json").symlink_to("nothing")
    os.mkfifo(tmp_path / "d.json")
    os.mkfifo(tmp_path / "e.jsonl")
    (tmp_path / "f.json").symlink_to("/dev/zero")
    (tmp_path / "g.json").write_bytes(b"2")
    found = read(tmp_path)
    assert [one.data for one in found] == [b"1", b"", b"", b"", b"", b"", b"2"]
    assert [bool(one.problem) for one in found] == [False, True, True, True, True, True, False]


def test_sizes_and_numbers_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUNDLE_BYTES", 10)
    monkeypatch.setattr(module, "_MOST", 3)
    (tmp_path / "a.json").write_bytes(b"x" * 11)
    (tmp_path / "b.jsonl").write_bytes(b"1\n" + b"y" * 100 + b"\n2\n")
    (tmp_path / "c.jsonl").write_bytes(b"1\n2\n3\n4\n")
    problems = [(one.place.removeprefix(f"{tmp_path}/"), one.problem) for one in read(tmp_path) if one.problem]
    assert problems == [
        ("a.json", "larger than 10 bytes"),
        ("b.jsonl:2", "larger than 10 bytes"),
        ("b.jsonl", "not read any further than line 2"),
        ("c.jsonl", "not read any further than line 3"),
    ]
    for name in "def":
        (tmp_path / f"{name}.json").touch()
    with pytest.raises(Refused, match="more than 3"):
        read(tmp_path)


def test_all_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 10)
    for name in "ab":
        (tmp_path / f"{name}.json").write_bytes(b"123456")
    with pytest.raises(Refused, match="more than 10 bytes"):
        read(tmp_path)


def test_places_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such"):
        read(tmp_path / "nothing")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        store(b"", "scan", str(tmp_path / "file" / "below"))
