"""The parent believes its worker nothing."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from garrison.artifacts.disarm.contents import Left
from garrison.artifacts.disarm.rebuilding import Described, Plan
from garrison.artifacts.disarm.writing import write
from garrison.core.errors import ExaminationError, GarrisonError


def plan(*tensors: Described, **changes: Any) -> bytes:
    made = Plan("pickle", "np", list(tensors), "{}", {}, {}, [Left("", "x")], 0)
    return msgspec.json.encode(msgspec.structs.replace(made, **changes))


W = Described("w", "U8", (4,))


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b""],
        [b"{}"],
        [b"[1]"],
        [b"\xff"],
        [plan(W)],
        [plan(W), b"123"],
        [plan(W), b"1234", b"5"],
        [plan(W), b"12345"],
        [plan(), b"1"],
        [plan(W, W), b"12345678"],
        [plan(Described("__metadata__", "U8", (1,))), b"1"],
        [plan(Described("w", "U8", (-4,))), b"1234"],
        [plan(Described("w", "U8", (-2, -2))), b"1234"],
        [plan(Described("w", "X", (4,))), b"1234"],
        [plan(W).replace(b'"w"', b"7"), b"1234"],
    ],
)
def test_what_does_not_fit_its_promise_is_no_file(tmp_path: Path, pieces: list[bytes]) -> None:
    with pytest.raises(GarrisonError):
        write(str(tmp_path / "out"), iter(pieces))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"old")
    with pytest.raises(GarrisonError):
        write(str(tmp_path / "out"), iter([plan(W), b"1"]))
    assert (tmp_path / "out").read_bytes() == b"old"
    write(str(tmp_path / "out"), iter([plan(W), b"12", b"34"]))
    assert (tmp_path / "out").read_bytes().endswith(b"1234")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_header_has_an_end(tmp_path: Path) -> None:
    with pytest.raises(ExaminationError, match="header"):
        write(str(tmp_path / "out"), iter([plan(values="{" + " " * 100_000_000 + "}")]))
    assert list(tmp_path.iterdir()) == []
