"""Real model servers on loopback, with one model of handwritten digits: input `x`, outputs `predict` (the label) and
`predict_proba`.

Both pin what garrison's own environment has otherwise, so each lives in one of its own: the interpreter that
GARRISON_TEST_MLSERVER or GARRISON_TEST_TRITON names, or a virtual environment `.venv-mlserver` or `.venv-triton` in the
repository's root or beside it. Tests are skipped where there is none.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TRAIN = """
import sys, joblib
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
digits = load_digits()
joblib.dump(LogisticRegression(max_iter=300).fit(digits.data[:1200] / 16, digits.target[:1200]), sys.argv[1])
"""

TRITON_MODEL = """
import sys
sys.path[:0] = {path!r}
import joblib
import numpy as np
import triton_python_backend_utils as backend

class TritonPythonModel:
    def initialize(self, arguments):
        self.model = joblib.load({model!r})

    def execute(self, requests):
        responses = []
        for request in requests:
            x = backend.get_input_tensor_by_name(request, "x").as_numpy()
            outputs = [
                backend.Tensor("predict", self.model.predict(x).astype(np.int64)[:, None]),
                backend.Tensor("predict_proba", self.model.predict_proba(x).astype(np.float64)),
            ]
            responses.append(backend.InferenceResponse(outputs))
        return responses
"""

TRITON_CONFIG = """
name: "digits"
backend: "python"
max_batch_size: 1024
input [{ name: "x", data_type: TYPE_FP32, dims: [64] }]
output [
  { name: "predict", data_type: TYPE_INT64, dims: [1] },
  { name: "predict_proba", data_type: TYPE_FP64, dims: [10] }
]
"""

PLACES = """
import os, sysconfig
print(sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("py_version_short"), sysconfig.get_path("purelib"))
"""


@dataclass(frozen=True)
class Server:
    """A server that runs, and has the model `digits` loaded."""

    kind: str
    """`mlserver` or `triton`."""
    http: str
    """`http://127.0.0.1:PORT`."""
    grpc: str
    """`127.0.0.1:PORT`."""
    process: int
    python: Path
    """The interpreter of its environment, which has its client libraries."""
    folder: Path
    """Where its settings and models lie."""


def interpreter(kind: str) -> Path | None:
    """The interpreter of the environment that has this server, if there is one."""
    named = os.environ.get(f"GARRISON_TEST_{kind.upper()}")
    places = [Path(named)] if named else [parent / f".venv-{kind}/bin/python" for parent in (ROOT, ROOT.parent)]
    return next((place for place in places if place.exists()), None)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def start_mlserver(python: Path, folder: Path) -> Iterator[Server]:
    """MLServer, without worker processes."""
    http, grpc, metrics = free_ports(3)
    settings = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics}
    settings |= {"parallel_workers": 0, "debug": False}
    model = {"name": "digits", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./m.joblib"}}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    subprocess.run([python, "-c", TRAIN, folder / "m.joblib"], check=True)
    with running([python, "-m", "mlserver.cli.main", "start", folder], folder, http) as process:
        yield Server("mlserver", f"http://127.0.0.1:{http}", f"127.0.0.1:{grpc}", process, python, folder)


@contextmanager
def start_triton(python: Path, folder: Path) -> Iterator[Server]:
    """Triton with its Python backend, in the mode where clients may load and unload models."""
    printed = subprocess.run([python, "-c", PLACES], check=True, capture_output=True, text=True).stdout
    libraries, version, packages = printed.split()
    wheel = Path(packages) / "pytriton/tritonserver"
    backend = folder / "backends/python"
    shutil.copytree(wheel / "backends/python", backend)
    # The wheel leaves out which interpreter the backend shall run, and the bits that say what can be executed.
    stub = backend / "triton_python_backend_stub"
    shutil.copyfile(wheel / "python_backend_stubs" / version / "triton_python_backend_stub", stub)
    stub.chmod(0o755)
    binary = folder / "tritonserver"
    shutil.copyfile(wheel / "bin/tritonserver", binary)
    binary.chmod(0o755)

    model = folder / "models/digits"
    (model / "1").mkdir(parents=True)
    (model / "config.pbtxt").write_text(TRITON_CONFIG)
    subprocess.run([python, "-c", TRAIN, folder / "m.joblib"], check=True)
    source = TRITON_MODEL.format(path=[packages], model=str(folder / "m.joblib"))
    (model / "1/model.py").write_text(source)

    http, grpc, metrics = free_ports(3)
    command: list[str | Path] = [binary, "--model-repository", folder / "models"]
    command += ["--backend-directory", folder / "backends", "--exit-timeout-secs", "5"]
    command += ["--model-control-mode", "explicit", "--load-model", "digits"]
    for name, port in (("http", http), ("grpc", grpc), ("metrics", metrics)):
        command += [f"--{name}-address", "127.0.0.1", f"--{name}-port", str(port)]
    search = f"{libraries}:{Path(packages) / 'nvidia_pytriton.libs'}"
    with running(command, folder, http, {"LD_LIBRARY_PATH": search}) as process:
        yield Server("triton", f"http://127.0.0.1:{http}", f"127.0.0.1:{grpc}", process, python, folder)


@contextmanager
def running(
    command: Sequence[str | Path], folder: Path, http: int, environment: dict[str, str] | None = None, key: str = ""
) -> Iterator[int]:
    """A server from when its model is ready, as who has the key sees it, until all its processes are gone."""
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=log,
            stderr=log,
            env=os.environ | threads | (environment or {}),
            start_new_session=True,
        )
    try:
        until = time.monotonic() + 240
        while not ready(http, key):
            assert process.poll() is None, (folder / "log").read_text()[-2000:]
            assert time.monotonic() < until, (folder / "log").read_text()[-2000:]
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(60)
        finally:
            # What it started has its session, and must not outlive it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def ready(port: int, key: str = "") -> bool:
    question = urllib.request.Request(f"http://127.0.0.1:{port}/v2/models/digits/ready")
    if key:
        question.add_header("x-api-key", key)
    try:
        with urllib.request.urlopen(question, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def environment(kind: str) -> Path:
    python = interpreter(kind)
    if python is None:
        pytest.skip(f"no environment with {kind}: see GARRISON_TEST_{kind.upper()}")
    return python


@pytest.fixture(scope="session")
def mlserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_mlserver(environment("mlserver"), tmp_path_factory.mktemp("mlserver")) as server:
        yield server


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_triton(environment("triton"), tmp_path_factory.mktemp("triton")) as server:
        yield server
