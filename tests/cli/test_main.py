"""The command itself: help, version, mistakes in one line, and failures that say so."""

import subprocess
import sys
from typing import Any

import pytest

from garrison import __version__
from garrison.cli.main import COMMANDS, main

HEAVY = {"msgspec", "jinja2", "yaml", "numpy", "zstandard", "lz4", "argparse", "inspect", "dataclasses"}


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in COMMANDS)
    assert "Exit codes" in said


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert f"usage: garrison {name}" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"garrison {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["scna"], "did you mean 'scan'?"),
        (["--frobnicate"], "no option named '--frobnicate'"),
        (["scan"], "PATH"),
        (["scan", "x", "--format", "xml"], "--format"),
        (["scan", "x", "--threshold", "severe"], "--threshold"),
        (["scan", "x", "--jobs", "0"], "whole number from 1"),
        (["scan", "no/such/path"], "no/such/path: no such file or directory"),
        (["explain", "malformd"], "did you mean 'malformed'?"),
        (["explain", "zzz"], "garrison rules"),
        (["completion", "tcsh"], "bash, zsh or fish|SHELL"),
        (["scan", "bad\x1b[2Jname"], r"bad\\x1b\[2Jname"),
    ],
)
def test_wrong_usage_ends_in_one_line_and_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert re.search(said, captured.err) or said in captured.err
    assert "\x1b" not in captured.err


def test_nothing_asked_for_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage: garrison" in capsys.readouterr().err


def test_a_failure_of_garrison_itself(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("garrison.scanning.scan", broken)
    assert main(["scan", "."]) == 3
    said = capsys.readouterr().err
    assert "RuntimeError: a bug" in said and len(said.splitlines()) == 1
    assert main(["scan", ".", "--debug"]) == 3
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_nothing_heavy(option: str) -> None:
    code = f"import sys; from garrison.cli.main import main; main([{option!r}]); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, env=_environment())
    assert done.returncode == 0, done.stderr
    assert HEAVY.isdisjoint(done.stderr.split())


def _environment() -> dict[str, str]:
    """`-S` keeps out what the site's own start-up files import, and with them the path to garrison."""
    from pathlib import Path

    import garrison

    return {"PYTHONPATH": str(Path(garrison.__file__).parents[1])}
