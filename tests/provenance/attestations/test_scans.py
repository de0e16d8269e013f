"""Scans: a report is attested only if it saw every byte of the model."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from garrison.core.findings import Severity
from garrison.core.policy import Policy
from garrison.provenance.attestations import Scan, attested, scanned
from garrison.provenance.hashing import Manifest
from garrison.provenance.trust import Refused
from garrison.reporting import renderer
from garrison.scanning import scan
from tests.provenance.attestations.samples import LATER, NOW

EVIL = b"cposix\nsystem\n(S'id'\ntR."


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    (directory / "deep").mkdir(parents=True)
    (directory / "config.json").write_text("{}")
    (directory / "deep" / "größe.txt").write_text("plain")
    return directory


def report_of(path: "Path | str", **options: Any) -> bytes:
    return renderer("json")(scan(path, digests=True, jobs=1, **options)).encode()


def manifest_of(path: Path) -> Manifest:
    return next(one for one in attested(str(path), sha256=True) if one.serialization.algorithm == "sha256")


def said(report: bytes, path: Path, **options: Any) -> Scan:
    return scanned(report, manifest_of(path), created=NOW, **options)


def test_a_clean_scan(model: Path) -> None:
    report = report_of(model)
    found = said(report, model, expires=LATER)
    assert (found.allowed, found.verdict, found.findings.worst) == (True, "clean", None)
    assert (found.created, found.expires, found.threshold) == (NOW, LATER, Severity.HIGH)
    assert found.coverage.examined == 2 and found.scanner.name == "garrison"
    assert found.report.digest == {"sha256": hashlib.sha256(report).hexdigest()} and not found.report.content
    assert said(report, model, embed=True).report.content.encode() == report


def test_what_was_found_is_counted(model: Path) -> None:
    (model / "model.pkl").write_bytes(EVIL)
    found = said(report_of(model), model)
    assert not found.allowed and found.verdict == "denied" and found.reasons
    assert found.findings.worst is Severity.CRITICAL and found.findings.critical >= 1


def test_a_single_file(model: Path) -> None:
    file = model / "config.json"
    assert said(report_of(file), file).allowed
    with pytest.raises(Refused, match="did not see"):
        said(report_of(model / "deep"), file)


@pytest.mark.parametrize("spelling", ["model", "./model", "model/", "model//", "."])
def test_however_the_path_was_spelt(model: Path, spelling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model if spelling == "." else model.parent)
    assert said(report_of(spelling), model).allowed


def test_a_file_that_changed_since_the_scan(model: Path) -> None:
    report = report_of(model)
    (model / "config.json").write_text("[]")
    with pytest.raises(Refused, match=r"'config\.json' changed"):
        said(report, model)
    (model / "config.json").write_text("{}")
    assert said(report, model).allowed
    (model / "added.bin").touch()
    with pytest.raises(Refused, match=r"did not see all of 'added\.bin'"):
        said(report, model)


def test_what_the_policy_leaves_out_is_not_attested(model: Path) -> None:
    with pytest.raises(Refused, match="did not see all of 'deep/größe"):
        said(report_of(model, policy=Policy(exclude=("deep/*",))), model)


def test_names_that_only_look_alike_are_told_apart(model: Path, tmp_path: Path) -> None:
    other = tmp_path / "model2"
    other.mkdir()
    (other / "config.json").write_text("{}")
    with pytest.raises(Refused, match="subjects"):
        said(report_of([model, other]), model)  # type: ignore[arg-type]
    with pytest.raises(Refused, match="did not see"):
        said(report_of(other), model)


def altered(report: bytes, *path: Any, to: Any) -> bytes:
    document = json.loads(report)
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return json.dumps(document).encode()


def test_reports_that_are_none(model: Path) -> None:
    report = report_of(model)
    without = json.loads(report)
    for item in without["inventory"]:
        item.pop("sha256")
    cases = {
        "no digests": json.dumps(without).encode(),
        "interrupted": altered(report, "coverage", "interrupted", to=True),
        "schema": altered(report, "schema_version", to="2.0"),
        "subjects": altered(report, "subjects", to=[]),
        "report:": altered(report, "decision", "verdict", to="perfect"),
        "stands twice": report.replace(b'"decision"', b'"decision": {}, "decision"'),
        "NaN": report.replace(b'"seconds": 0', b'"seconds": NaN, "x": 0'),
        "nested too deep": b"[" * 100_000,
        "report": b"\xff",
        "missing required field": b"{}",
    }
    for reason, wrong in cases.items():
        with pytest.raises(Refused, match=reason):
            said(wrong, model)


def test_a_later_report_may_say_more(model: Path) -> None:
    report = altered(report_of(model), "schema_version", to="1.9")
    report = altered(report, "inventory", 0, "facts", to=[{"type": "unheard-of"}])
    assert said(altered(report, "coverage", "more", to=1), model).allowed


def test_checks_say_how_old_their_data_were(model: Path) -> None:
    check = {"name": "known vulnerabilities", "checked": 1, "total": 2, "data": "PyPI of 2026-01-01", "more": 1}
    (found,) = said(altered(report_of(model), "checks", to=[check]), model).checks
    assert (found.name, found.data, found.checked, found.gap) == (check["name"], check["data"], 1, False)
