"""The dashboard asks for metrics that there are, in expressions that Prometheus reads."""

import json
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from garrison.serving.metrics.exposition import Exposition
from garrison.serving.metrics.tally import Tally

DASHBOARD = json.loads((files("garrison.serving.metrics") / "grafana.json").read_text())
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
READINGS = {"garrison_drift_ratio", "garrison_accuracy_ratio"}
"""Of parts of the guard that are there only when a model is watched."""


def test_panels_have_places_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_the_metrics_exist() -> None:
    known = {family.name for family in Exposition(Tally([])).collect()} | READINGS
    for name in re.findall(r"garrison_\w+", " ".join(EXPRESSIONS)):
        assert re.sub(r"_(total|bucket)$", "", name) in known


@pytest.mark.skipif(not shutil.which("promtool"), reason="Prometheus' tool is not installed")
def test_prometheus_reads_the_expressions(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(EXPRESSIONS)
    ]
    (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))  # JSON is YAML
    done = subprocess.run(["promtool", "check", "rules", str(tmp_path / "rules.json")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{len(EXPRESSIONS)} rules found" in done.stdout
