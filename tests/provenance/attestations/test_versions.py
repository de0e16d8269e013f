"""Versions: what comes after a higher one is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from garrison.core.errors import UsageError
from garrison.provenance.attestations import Version
from garrison.provenance.attestations.versions import highest, remember
from garrison.provenance.trust import Refused
from tests.provenance.attestations.samples import NOW


def version(number: int, name: str = "digits") -> Version:
    return Version(created=NOW, name=name, version=number)


def test_versions_only_grow(tmp_path: Path) -> None:
    path = str(tmp_path / "seen.json")
    for number in (2, 2, 5):
        remember(version(number), path)
    with pytest.raises(Refused, match="version 4 of 'digits' is older than version 5"):
        remember(version(4), path)
    remember(version(1, "größer"), path)
    assert json.loads((tmp_path / "seen.json").read_text()) == {"digits": 5, "größer": 1}


@pytest.mark.parametrize("text", ["", "[]", '{"digits": "5"}', '{"digits": 1, "digits": 9}', '{"digits": 1.5}', "\x00"])
def test_a_memory_that_cannot_be_read_is_no_empty_one(text: str, tmp_path: Path) -> None:
    (tmp_path / "seen.json").write_text(text)
    with pytest.raises(Refused, match="seen versions"):
        remember(version(9), str(tmp_path / "seen.json"))
    assert (tmp_path / "seen.json").read_text() == text


def test_a_memory_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "seen.json")
    with pytest.raises(Refused, match="seen versions"):
        highest("digits", str(tmp_path / "seen.json"))


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        remember(version(1), str(tmp_path / "none" / "seen.json"))
    with pytest.raises(UsageError, match="cannot be written"):
        remember(version(1), str(tmp_path))


def test_several_at_once_lose_none(tmp_path: Path) -> None:
    code = """
import datetime, sys
from garrison.provenance.attestations import Version
from garrison.provenance.attestations.versions import remember
for number in range(1, 20):
    now = datetime.datetime.now(datetime.UTC)
    remember(Version(created=now, name=sys.argv[2], version=number), sys.argv[1])
"""
    path = str(tmp_path / "seen.json")
    processes = [subprocess.Popen([sys.executable, "-c", code, path, name]) for name in ("one", "two", "three")]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert json.loads(Path(path).read_text()) == {"one": 19, "two": 19, "three": 19}
