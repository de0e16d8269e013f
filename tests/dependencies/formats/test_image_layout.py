"""A layout that is a directory is one image, read through descriptors of its blobs."""

import json
import os
from pathlib import Path

import garrison
from garrison.core.report import Report
from tests.dependencies.formats.test_image_archive import BASE, PICKLE, TOP
from tests.dependencies.images.builder import layout, tar


def written(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def severities(report: Report) -> dict[str, str]:
    return {finding.rule: finding.severity for finding in report.findings}


def test_a_layout_is_examined_as_one_image(tmp_path: Path) -> None:
    folder = written(tmp_path / "model", layout([BASE, TOP, tar({"app/m.pkl": PICKLE})]))
    report = garrison.scan(folder, jobs=1)
    assert severities(report) == {
        "dangerous-import": "critical",
        "deleted-secret": "high",
        "privileged-file": "info",
    }
    assert f"{folder}!/app/m.pkl" in {item.subject for item in report.inventory}
    assert report.coverage.failed == 0


def test_links_among_the_blobs_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "elsewhere"
    secret.write_bytes(tar({"app/m.pkl": PICKLE}))
    files = layout([BASE])
    manifest = json.loads(next(data for data in files.values() if b'"layers"' in data))
    name = f"blobs/sha256/{manifest['layers'][0]['digest'][7:]}"
    del files[name]
    folder = written(tmp_path / "model", files)
    os.symlink(secret, folder / name)
    report = garrison.scan(folder, jobs=1)
    assert report.coverage.failed == 2 and "dangerous-import" not in severities(report)


def test_a_layout_with_too_many_blobs_says_so(tmp_path: Path) -> None:
    files = layout([tar({"app/m.pkl": PICKLE})])
    files |= {f"blobs/sha256/{number:064x}": b"x" for number in range(300)}
    report = garrison.scan(written(tmp_path / "many", files), jobs=1)
    assert any("more than" in entry.reason for entry in report.coverage.entries)
