"""The servers that other tests stand the guard before answer alike, and leave nothing behind."""

import json
import os
import urllib.request
from pathlib import Path

import pytest
from sklearn.datasets import load_digits

from tests.serving.servers import Server, environment, start_triton


@pytest.mark.parametrize("kind", ["mlserver", "triton"])
def test_each_tells_digits_apart(kind: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(kind)
    digits = load_digits()
    data = (digits.data[1200:1250] / 16).tolist()
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [50, 64], "data": data}]}
    body["outputs"] = [{"name": "predict"}, {"name": "predict_proba"}]
    question = urllib.request.Request(
        f"{server.http}/v2/models/digits/infer", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(question, timeout=30) as answer:
        outputs = {output["name"]: output for output in json.load(answer)["outputs"]}
    assert outputs["predict_proba"]["shape"] == [50, 10]
    labels = outputs["predict"]["data"]
    assert sum(a == b for a, b in zip(labels, digits.target[1200:1250], strict=True)) > 40


def test_triton_stops_with_all_its_processes(tmp_path: Path) -> None:
    with start_triton(environment("triton"), tmp_path) as server:
        group = os.getpgid(server.process)
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)
