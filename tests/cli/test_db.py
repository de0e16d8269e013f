"""`garrison db`: what is said, where the database is, and which exit code says what."""

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from garrison.cli.main import main
from garrison.dependencies.advisories.database import Database


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.delenv("GARRISON_DATABASE", raising=False)


def advisories(name: str = "advisories.json", days_old: int = 1, ecosystem: str = "PyPI", **more: Any) -> str:
    """A file with one advisory that was modified so many days ago."""
    modified = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days_old)
    document = {
        "id": "A-1",
        "modified": modified.isoformat(),
        "affected": [{"package": {"ecosystem": ecosystem, "name": "example"}, "versions": ["1.0"]}],
        **more,
    }
    Path(name).write_text(json.dumps(document))
    return name


def test_update_and_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["db", "update", "--from", advisories()]) == 0
    path = "share/garrison/advisories.sqlite"
    assert capsys.readouterr().out == f"advisories.json: 1 advisory, 1 new\nwritten: {path}\n"
    assert (tmp_path / path).is_file()
    assert main(["db", "status"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"{path}: ") and said.err == ""
    assert "PyPI: 1 advisory, newest of " in said.out and "fetched today" in said.out
    assert main(["db", "status", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_the_policy_the_environment_and_the_option_say_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["db", "update", "--quiet", "--from", advisories()]
    monkeypatch.setenv("GARRISON_DATABASE", "environment.sqlite")
    assert main(command) == 0
    Path("garrison.toml").write_text('[packages]\ndatabase = "policy.sqlite"\n')
    assert main(command) == 0
    assert main([*command, "--database", "option.sqlite"]) == 0
    assert sorted(name for name in os.listdir() if name.endswith(".sqlite")) == [
        "environment.sqlite",
        "option.sqlite",
        "policy.sqlite",
    ]
    assert capsys.readouterr() == ("", "")


def test_without_a_database_status_says_how_to_get_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["db", "status"]) == 1
    assert "garrison db update" in capsys.readouterr().err


def test_old_advisories_are_said_and_policy_decides(capsys: pytest.CaptureFixture[str]) -> None:
    old = advisories("old.json", days_old=40)
    assert main(["db", "update", "--quiet", "--from", old]) == 0
    assert main(["db", "status", "--quiet"]) == 1
    assert "the advisories of PyPI are 40 days old, and policy allows 30" in capsys.readouterr().err
    Path("garrison.toml").write_text("[packages]\ndatabase-days = 50\n")
    assert main(["db", "status", "--quiet"]) == 0
    Path("garrison.toml").unlink()
    # Of each ecosystem the freshest source counts.
    assert main(["db", "update", "--quiet", "--from", advisories("new.json")]) == 0
    assert main(["db", "status", "--quiet"]) == 0
    assert main(["db", "update", "--quiet", "--from", advisories("npm.json", days_old=99, ecosystem="npm")]) == 0
    assert main(["db", "status", "--quiet"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_damaged_database_is_a_failure_that_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    Path("db.sqlite").write_bytes(b"garbage" * 100)
    assert main(["db", "status", "--database", "db.sqlite"]) == 3
    assert main(["db", "update", "--database", "db.sqlite", "--from", advisories()]) == 3
    said = capsys.readouterr().err
    assert said.count("\n") == 2 and "--fresh" in said and "Traceback" not in said
    assert main(["db", "update", "--database", "db.sqlite", "--from", advisories(), "--fresh", "--quiet"]) == 0
    # A row that is damaged where opening does not look.
    data = bytearray(Path("db.sqlite").read_bytes())
    page = int.from_bytes(data[16:18], "big")
    data[4 * page : 4 * page + 8] = bytes(8)
    Path("db.sqlite").write_bytes(data)
    assert main(["db", "status", "--database", "db.sqlite"]) == 3


def test_a_source_that_fails(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("garrison.dependencies.advisories.fetching._PAUSE_SECONDS", 0)
    Path("bad\x1b[2J").write_text("no advisories")
    assert main(["db", "update", "--from", "bad\x1b[2J", "--from", advisories()]) == 3
    said = capsys.readouterr()
    assert "no export of OSV" in said.err and "\x1b" not in said.err + said.out
    assert "written: " in said.out
    assert main(["db", "update", "--from", "https://127.0.0.1:1/x", "--database", "other.sqlite"]) == 3
    assert "refused" in capsys.readouterr().err
    assert not os.path.exists("other.sqlite")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["db"], "ACTION"),
        (["db", "upgrade"], "ACTION|choice"),
        (["db", "update", "--from", "no/such"], "no such file"),
        (["db", "update", "--from", "http://example.org/x"], "only https"),
        (["db", "update", "--ecosystem", "pip"], "no ecosystem named 'pip'"),
        (["db", "update", "--ecosystem", "PyPI", "--from", "."], "--from replaces"),
        (["db", "update", "--sha256", "0" * 64], "--sha256 needs --from"),
        (["db", "update", "--sha256", "0", "--from", "."], "64 hexadecimal"),
        (["db", "status", "--fresh"], "--fresh belongs to"),
        (["db", "status", "--policy", "no/such"], "no/such"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert any(part in error for part in said.split("|")), error


def test_an_update_that_is_killed_leaves_the_database_as_it_was() -> None:
    assert main(["db", "update", "--quiet", "--database", "db.sqlite", "--from", advisories()]) == 0
    before = Path("db.sqlite").read_bytes()
    code = """
import os, sys
from garrison.dependencies.advisories import updating
updating._publish = lambda *_: os._exit(9)
from garrison.cli.main import main
main(["db", "update", "--database", "db.sqlite", "--from", sys.argv[1]])
"""
    later = advisories("later.json", id="A-2")
    assert subprocess.run([sys.executable, "-c", code, later], capture_output=True, timeout=60).returncode == 9
    assert Path("db.sqlite").read_bytes() == before and os.path.exists("db.sqlite.draft")
    assert main(["db", "update", "--quiet", "--database", "db.sqlite", "--from", later]) == 0
    with Database.open("db.sqlite") as database:
        assert len(database.affected("PyPI", ["example"])["example"]) == 2
    assert not os.path.exists("db.sqlite.draft")
