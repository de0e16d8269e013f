"""A real MLServer on loopback, attacked within a budget, killed and resumed.

It pins old releases of what garrison's own environment has newer, so it lives in one of its own: the interpreter that
GARRISON_TEST_MLSERVER names, or a virtual environment `.venv-mlserver` in the repository's root or beside it.
"""

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from garrison.core.errors import UsageError
from garrison.robustness.attacks.square import Square
from garrison.robustness.endpoints.endpoint import endpoint
from garrison.robustness.endpoints.transport import EndpointError

ROOT = Path(__file__).parents[3]
MODEL = """
import sys, joblib
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
digits = load_digits()
joblib.dump(LogisticRegression(max_iter=300).fit(digits.data[:1200] / 16, digits.target[:1200]), sys.argv[1])
"""


def interpreter() -> Path | None:
    named = os.environ.get("GARRISON_TEST_MLSERVER")
    places = [Path(named)] if named else [parent / ".venv-mlserver/bin/python" for parent in (ROOT, ROOT.parent)]
    return next((place for place in places if place.exists()), None)


PYTHON = interpreter()
pytestmark = pytest.mark.skipif(PYTHON is None, reason="no environment with MLServer: see GARRISON_TEST_MLSERVER")


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlserver")
    http, grpc, metrics = free_ports(3)
    settings = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics}
    settings |= {"parallel_workers": 0, "debug": False}
    model = {"name": "digits", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./m.joblib"}}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    assert PYTHON is not None
    subprocess.run([PYTHON, "-c", MODEL, folder / "m.joblib"], check=True)
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [PYTHON, "-m", "mlserver.cli.main", "start", folder], cwd=folder, stdout=log, stderr=log
        )
    try:
        until = time.monotonic() + 240
        while not ready(http):
            assert process.poll() is None, (folder / "log").read_text()[-2000:]
            assert time.monotonic() < until, (folder / "log").read_text()[-2000:]
            time.sleep(0.2)
        yield f"http://127.0.0.1:{http}/v2/models/digits"
    finally:
        process.terminate()
        process.wait(60)


def ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/models/digits/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def data(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    digits = load_digits()
    rows = slice(1200, 1200 + count)
    return torch.tensor(digits.data[rows] / 16, dtype=torch.float32), torch.tensor(digits.target[rows])


def test_an_attack_keeps_to_its_budget_and_a_run_that_is_repeated_asks_only_what_is_new(
    address: str, tmp_path: Path
) -> None:
    inputs, labels = data(20)

    def attacked(budget: int) -> tuple[int, str, int]:
        classifier = endpoint(
            address, inputs[:8].numpy(), classes=10, output="predict_proba", budget=budget, journal=str(tmp_path / "j")
        )
        assert classifier.outputs == "probabilities"
        outcome = Square(queries=60)(classifier, inputs, labels, [0.25], seed=0)
        return int(outcome.success.sum()), outcome.incomplete, classifier.forward.asked  # type: ignore[attr-defined]

    few, why, asked = attacked(150)
    assert "budget of 150 queries" in why
    assert asked == 150
    more, why, asked_again = attacked(5000)
    assert why == ""
    assert more > few
    assert asked < asked_again < 8 + 20 * 61
    assert attacked(5000) == (more, "", asked_again)


def test_without_the_name_of_an_output_it_gives_decisions(address: str) -> None:
    inputs, labels = data(50)
    classifier = endpoint(address, inputs[:4].numpy(), classes=10)
    assert classifier.outputs == "labels"
    assert (classifier.labels(inputs) == labels).float().mean() > 0.85


def test_what_it_does_not_take_is_said(address: str) -> None:
    with pytest.raises(EndpointError, match=r"answers (400|500): "):
        endpoint(address, np.zeros((2, 5), np.float32), classes=10)
    with pytest.raises(UsageError, match="the data has 7"):
        endpoint(address, data(2)[0].numpy(), classes=7, output="predict_proba")
    with pytest.raises(EndpointError, match=r"answers 404: .*not found"):
        endpoint(address.replace("digits", "none"), data(2)[0].numpy(), classes=10)
