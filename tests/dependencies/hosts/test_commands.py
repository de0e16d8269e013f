import time
from pathlib import Path

import pytest

from garrison.dependencies.hosts.commands import run


def program(folder: Path, text: str) -> None:
    path = folder / "tool"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_output_and_status_in_the_c_locale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    program(tmp_path, 'echo "$LC_ALL $1 [$HF_TOKEN]"; echo wrong >&2; exit 3')
    said = run(("tool", "a b"), 5, (str(tmp_path),))
    assert (said.argv, said.stdout, said.stderr, said.status) == ("tool a b", "C a b []\n", "wrong\n", "3")


def test_programs_are_looked_for_in_fixed_directories_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "echo hijacked")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(("tool",), 5).status == "absent"


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    program(tmp_path, "/bin/sleep 60 & echo $!; wait")
    said = run(("tool",), 0.3, (str(tmp_path),))
    assert said.status == "timed out"
    assert any(ended(int(said.stdout)) or time.sleep(0.01) for _ in range(500))


def ended(process: int) -> bool:
    """Whether it is gone, or waits only for somebody to ask how it went."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_command_that_prints_without_end_is_cut(tmp_path: Path) -> None:
    program(tmp_path, "exec /bin/cat /dev/zero")
    said = run(("tool",), 20, (str(tmp_path),))
    assert said.status == "too much output" and len(said.stdout) == 4 << 20
