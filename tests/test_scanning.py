"""`garrison.scan` as a library: one call, one report, whatever lies below the path."""

import io
import json
import os
import pickle
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec
import pytest

import garrison
from garrison.core.errors import UsageError

HARMLESS = pickle.dumps({"weights": [1.0, 2.0]})
HOSTILE = b"cposix\nsystem\n(S'id'\ntR."


def test_a_directory(tmp_path: Path) -> None:
    (tmp_path / "good.pkl").write_bytes(HARMLESS)
    (tmp_path / "bad.pkl").write_bytes(HOSTILE)
    report = garrison.scan(tmp_path)
    assert not report.decision.allowed
    assert {finding.subject for finding in report.findings} == {str(tmp_path / "bad.pkl")}
    assert report.findings[0].severity == "critical"
    assert [item.subject for item in report.inventory] == [str(tmp_path / "bad.pkl"), str(tmp_path / "good.pkl")]
    assert report.coverage.examined == 2


def test_members_are_addressed_through_their_containers(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("data.pkl", HOSTILE)
    path = tmp_path / "outer.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("models/inner.zip", inner.getvalue())
    report = garrison.scan(path)
    subjects = {finding.subject for finding in report.findings if finding.severity == "critical"}
    assert subjects == {f"{path}!/models/inner.zip!/data.pkl"}


def test_several_paths_and_their_order(tmp_path: Path) -> None:
    for name in "cab":
        (tmp_path / name).write_bytes(HARMLESS)
    report = garrison.scan([tmp_path / "c", tmp_path / "a"])
    assert [item.subject for item in report.inventory] == [str(tmp_path / "c"), str(tmp_path / "a")]


def test_the_same_input_gives_the_same_report(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"{number}.pkl").write_bytes(HOSTILE if number % 7 == 0 else HARMLESS)
    first, second = garrison.scan(tmp_path, jobs=1), garrison.scan(tmp_path, jobs=4)
    assert first.findings == second.findings
    assert first.inventory == second.inventory


def test_digests_only_when_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(HARMLESS)
    assert garrison.scan(path).inventory[0].sha256 is None
    digest = garrison.scan(path, digests=True).inventory[0].sha256
    assert digest is not None and len(digest) == 64


def test_an_empty_file_and_an_empty_directory(tmp_path: Path) -> None:
    assert garrison.scan(tmp_path).decision.verdict == "incomplete"
    (tmp_path / "empty").write_bytes(b"")
    assert garrison.scan(tmp_path).coverage.examined == 1


def test_what_is_not_understood_is_counted_and_named(tmp_path: Path) -> None:
    path = tmp_path / "noise"
    path.write_bytes(bytes(range(200, 256)) * 3)
    report = garrison.scan(path)
    assert report.coverage.not_understood == 1
    assert report.coverage.entries[0].subject == str(path)
    assert report.decision.verdict == "incomplete"
    denied = garrison.scan(path, garrison.Policy(coverage="deny"))
    assert not denied.decision.allowed


def test_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        garrison.scan(tmp_path / "missing")


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int | None, str]] = []
    for name in "ab":
        (tmp_path / name).write_bytes(HARMLESS)
    garrison.scan([tmp_path / "a", tmp_path / "b"], progress=lambda *values: told.append(values))
    assert [(done, total) for done, total, _ in told] == [(1, 2), (2, 2)]


def test_the_report_survives_json(tmp_path: Path) -> None:
    (tmp_path / "bad.pkl").write_bytes(HOSTILE)
    report = garrison.scan(tmp_path)
    encoded = msgspec.json.encode(report)
    assert msgspec.json.decode(encoded, type=garrison.Report) == report
    document = json.loads(encoded)
    assert set(document) >= {"schema_version", "inventory", "findings", "coverage", "decision"}
    assert set(document["findings"][0]) >= {"rule", "severity", "subject", "place", "message", "fix", "references"}


def test_standard_input_through_a_pipe_and_from_a_file(tmp_path: Path) -> None:
    code = "import garrison; r = garrison.scan('-'); print(r.findings[0].severity, r.findings[0].subject)"
    piped = subprocess.run([sys.executable, "-c", code], input=HOSTILE, capture_output=True, check=True)
    assert piped.stdout == b"critical -\n", piped.stderr
    path = tmp_path / "bad.pkl"
    path.write_bytes(HOSTILE)
    with path.open("rb") as file:
        redirected = subprocess.run([sys.executable, "-c", code], stdin=file, capture_output=True, check=True)
    assert redirected.stdout == b"critical -\n", redirected.stderr


def test_interruption_reports_what_was_done(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(HOSTILE)
    (tmp_path / "b.pkl").write_bytes(HARMLESS)
    code = """
import sys, os, signal
import garrison
from garrison.scanning import ScanInterrupted
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
def progress(done, total, subject):
    os.kill(os.getpid(), signal.SIGINT)
try:
    garrison.scan(sys.argv[1], progress=progress, jobs=1)
except ScanInterrupted as stopped:
    print(stopped.report.coverage.interrupted, len(stopped.report.findings) > 0)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, timeout=20)
    assert done.stdout == b"True True\n", done.stderr


def test_nothing_that_is_examined_runs(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    (tmp_path / "bad.pkl").write_bytes(b"cposix\nsystem\n(S'touch " + os.fsencode(canary) + b"'\ntR.")
    garrison.scan(tmp_path)
    assert not canary.exists()
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


def test_links_out_of_the_directory_are_findings(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "elsewhere.json").write_text("{}")
    (tmp_path / "model" / "config.json").symlink_to("../elsewhere.json")
    (tmp_path / "model" / "vocab.txt").symlink_to("/etc/passwd")
    found = {item.rule: str(item.severity) for item in garrison.scan(tmp_path / "model").findings}
    assert found == {"link-out-of-directory": "low", "escaping-link": "high"}
