"""`garrison scan`: what goes where, and which exit code says what."""

import json
import os
import pickle
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from garrison.cli.main import main
from garrison.reporting import RENDERERS

HARMLESS = pickle.dumps({"weights": [1.0, 2.0]})
HOSTILE = b"cposix\nsystem\n(S'id'\ntR."


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    Path("good.pkl").write_bytes(HARMLESS)
    Path("bad.pkl").write_bytes(HOSTILE)


def garrison(*arguments: str, **options: object) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "garrison", *arguments]
    return subprocess.run(command, capture_output=True, timeout=60, **options)  # type: ignore[call-overload,no-any-return]


def test_what_passes_and_what_is_denied(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "good.pkl"]) == 0
    assert "CLEAN" in capsys.readouterr().out
    assert main(["scan", "."]) == 1
    said = capsys.readouterr().out
    assert "DENIED" in said and "bad.pkl" in said and "posix" in said


def test_the_threshold_of_the_command_line_counts() -> None:
    assert main(["scan", "bad.pkl", "--threshold", "info", "--quiet"]) == 1
    Path("garrison.toml").write_text('rules = {malformed = {severity = "low"}}')
    assert main(["scan", "good.pkl", "--threshold", "critical", "--quiet"]) == 0


def test_the_policy_is_read_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    Path("policy.toml").write_text('denied-formats = ["pickle"]')
    assert main(["scan", "good.pkl", "--policy", "policy.toml"]) == 1
    said = capsys.readouterr().out
    assert "a denied format" in said and "policy.toml" in said


def test_a_broken_policy_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    Path("garrison.toml").write_text('treshold = "low"')
    assert main(["scan", "good.pkl"]) == 2
    assert "garrison.toml" in capsys.readouterr().err
    assert main(["scan", "good.pkl", "--policy", "missing.toml"]) == 2


@pytest.mark.parametrize("name", RENDERERS)
def test_every_format_goes_to_standard_output_or_a_file(name: str) -> None:
    printed = garrison("scan", ".", "--format", name, "--jobs", "1")
    assert printed.returncode == 1 and printed.stderr == b""
    assert b"bad.pkl" in printed.stdout
    written = garrison("scan", ".", "--format", name, "--output", "report")
    assert written.returncode == 1 and written.stdout == b""
    assert written.stderr.startswith(b"DENIED") and written.stderr.count(b"\n") == 1
    assert b"bad.pkl" in Path("report").read_bytes()
    assert sorted(os.listdir()) == ["bad.pkl", "good.pkl", "report"]


def test_quiet_leaves_only_the_exit_code() -> None:
    done = garrison("scan", ".", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")
    done = garrison("scan", ".", "--quiet", "--format", "json", "--output", "report")
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")
    assert json.loads(Path("report").read_text())["decision"]["verdict"] == "denied"


@pytest.mark.parametrize("path", ["no/such/directory/report", ".", "file/report"])
def test_an_output_that_cannot_be_written_is_said_before_the_work(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_text("")
    assert main(["scan", "good.pkl", "--output", path]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_report_that_was_there_is_replaced_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("report").write_text("before")
    Path("link").symlink_to("report")
    assert main(["scan", "good.pkl", "--output", "link", "--quiet"]) == 0
    assert "CLEAN" in Path("report").read_text() and Path("link").is_symlink()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    assert main(["scan", "bad.pkl", "--output", "report", "--quiet"]) == 2
    assert "CLEAN" in Path("report").read_text()
    assert not [name for name in os.listdir() if name.endswith(".part")]


def test_output_to_a_device() -> None:
    done = garrison("scan", "good.pkl", "--output", "/dev/stdout")
    assert done.returncode == 0 and b"CLEAN" in done.stdout


def test_standard_input() -> None:
    done = garrison("scan", "-", input=HOSTILE)
    assert done.returncode == 1
    assert b"DENIED" in done.stdout


def test_digests() -> None:
    document = json.loads(garrison("scan", "good.pkl", "--digests", "--format", "json").stdout)
    assert len(document["inventory"][0]["sha256"]) == 64


def test_hostile_file_names_reach_no_terminal() -> None:
    name = b"a\x1b[2J\xff\n\xe2\x80\xae.pkl"
    Path(os.fsdecode(name)).write_bytes(HOSTILE)
    for shape in RENDERERS:
        done = garrison("scan", ".", "--format", shape)
        assert done.returncode == 1, done.stderr
        assert done.stdout.decode().replace("\n", "").isprintable(), shape


def test_a_reader_that_leaves_is_no_failure() -> None:
    for number in range(400):
        Path(f"bad-{number}.pkl").write_bytes(HOSTILE)
    command = f"{sys.executable} -m garrison scan . --format json | head -c 10; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60)
    assert done.stderr == b""
    assert done.stdout.endswith(b"1\n"), "the verdict still is the exit code"


def test_a_full_disk_behind_standard_output_is_said() -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m garrison scan good.pkl > /dev/full"], capture_output=True, timeout=60
    )
    assert done.returncode == 2 and b"cannot be written" in done.stderr


def test_colours_follow_the_terminal_and_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    assert b"\x1b[" not in garrison("scan", ".").stdout
    assert b"\x1b[" in garrison("scan", ".", env={**os.environ, "FORCE_COLOR": "1"}).stdout
    assert b"\x1b[" in in_terminal("scan", ".")
    assert b"\x1b[" not in in_terminal("scan", ".", "--no-color")
    monkeypatch.setenv("NO_COLOR", "1")
    assert b"\x1b[" not in in_terminal("scan", ".")


def test_a_terminal_without_unicode_still_gets_its_report() -> None:
    for number in range(9):
        Path(f"bad-{number}.pkl").write_bytes(HOSTILE)
    done = garrison("scan", ".", env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert done.returncode == 1
    assert done.stdout.isascii()


def test_progress_appears_on_a_terminal_when_it_takes_time_and_goes_again() -> None:
    code = """
import time
from garrison.cli.terminal import progress
with progress() as told:
    told(3, 10, "models/a.pt\\x1b[2J")
    time.sleep(0.8)
print("done")
"""
    shown = in_terminal(code=code)
    assert b"3 of 10" in shown and b"models/a.pt\\x1b[2J" in shown
    assert shown.rstrip().endswith(b"\r\x1b[Kdone")
    quick = in_terminal(code=code.replace("0.8", "0.01"))
    assert b"of 10" not in quick


def test_ctrl_c_stops_at_once_and_says_what_was_done() -> None:
    for number in range(2000):
        Path(f"{number}.pkl").write_bytes(HOSTILE)
    code = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
import garrison.scanning
from garrison.cli import main
scan = garrison.scanning.scan
def interrupted(*arguments, **options):
    options["progress"] = lambda done, total, subject: os.kill(os.getpid(), signal.SIGINT)
    return scan(*arguments, **options)
garrison.scanning.scan = interrupted
sys.exit(main.main(["scan", ".", "--format", "json"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert done.returncode == 130, done.stderr
    assert b"Traceback" not in done.stderr
    document = json.loads(done.stdout)
    assert document["coverage"]["interrupted"] is True


def test_ctrl_c_from_outside_ends_without_a_traceback() -> None:
    read, write = os.pipe()
    code = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from garrison.cli import main
sys.exit(main.main(["scan", "-"]))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdin=read, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    os.close(read)
    os.close(write)
    assert process.returncode in (130, -signal.SIGINT)
    assert not re.search(rb"Traceback", said) or process.returncode == -signal.SIGINT


def in_terminal(*arguments: str, code: str = "") -> bytes:
    """What a command, or some code, writes to a terminal."""
    command = [sys.executable, *(["-c", code] if code else ["-m", "garrison", *arguments])]
    environment = {**os.environ, "TERM": "xterm"}
    main_side, terminal = pty.openpty()
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment)
    os.close(terminal)
    shown = b""
    try:
        while data := os.read(main_side, 65536):
            shown += data
    except OSError:  # the terminal's other side is closed
        pass
    process.wait(60)
    os.close(main_side)
    return shown
