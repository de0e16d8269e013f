"""Evidence in files: whatever lies there is read or named, and nothing makes the gate wait or run in circles."""

import os
from pathlib import Path

import pytest

from garrison.core.errors import UsageError
from garrison.core.gate_decision import PassedOver
from garrison.provenance.attestations import storage
from garrison.provenance.gate import Piece
from garrison.provenance.gate.sources.files import beside, in_path


def read(path: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    found = list(in_path(str(path)))
    pieces = {os.path.relpath(one.place, path): one.data for one in found if isinstance(one, Piece)}
    others = {os.path.relpath(one.place, path): one.reason for one in found if isinstance(one, PassedOver)}
    return pieces, others


def test_documents_and_lines(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_bytes(b"{}")
    (tmp_path / "a.jsonl").write_bytes(b"1\n\n2\n")
    (tmp_path / "notes.txt").write_bytes(b"no evidence")
    assert read(tmp_path) == ({"a.jsonl:1": b"1", "a.jsonl:3": b"2", "b.json": b"{}"}, {})


def test_what_is_beside_a_model(tmp_path: Path) -> None:
    model = tmp_path / "model.bin"
    model.write_bytes(b"")
    assert list(beside(str(model))) == []
    (tmp_path / "model.bin.sig").write_bytes(b"signature")
    (tmp_path / "model.bin.attestations").mkdir()
    (tmp_path / "model.bin.attestations" / "a.json").write_bytes(b"a")
    assert [one.data for one in beside(str(model)) if isinstance(one, Piece)] == [b"signature", b"a"]


def test_what_is_beside_a_directory(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.sig").write_bytes(b"signature")
    (tmp_path / "model.attestations").mkdir()
    (tmp_path / "model.attestations" / "a.json").write_bytes(b"a")
    assert [one.data for one in beside(f"{model}/") if isinstance(one, Piece)] == [b"signature", b"a"]


def test_places_are_named_as_the_model_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m").write_bytes(b"")
    Path("m.attestations").mkdir()
    Path("m.attestations/a.json").write_bytes(b"a")
    assert [one.place for one in beside("m")] == ["m.attestations/a.json"]


def test_pipes_links_and_directories_are_named_and_harm_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    os.mkfifo(tmp_path / "b.jsonl")
    (tmp_path / "c.json").symlink_to("d.json")
    (tmp_path / "d.json").symlink_to("c.json")
    (tmp_path / "e.json").symlink_to("/dev/zero")
    (tmp_path / "f.json").mkdir()
    (tmp_path / "g.json").symlink_to(tmp_path)
    (tmp_path / "h.json").symlink_to("nowhere")
    (tmp_path / "z.json").write_bytes(b"{}")
    pieces, others = read(tmp_path)
    assert pieces == {"z.json": b"{}"} and sorted(others) == [
        "a.json",
        "b.jsonl",
        *(f"{name}.json" for name in "cdefgh"),
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_may_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"{}")
    (tmp_path / "a.json").chmod(0)
    assert "ermission denied" in read(tmp_path)[1]["a.json"]


def test_a_directory_of_too_many_is_read_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_MOST", 100)
    for number in range(101):
        (tmp_path / f"{number}.json").touch()
    pieces, others = read(tmp_path)
    assert not pieces and "more than 100" in others["."]


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        list(in_path(str(tmp_path / "none")))
