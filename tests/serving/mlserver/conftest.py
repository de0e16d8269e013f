"""An MLServer with the model `digits` and the guard inside."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from garrison.serving.authenticate.key_file import create
from tests.serving.servers import ROOT, TRAIN, environment, free_ports, running

SOURCES = str(ROOT / "src")

GUARD = """
[authenticate]
keys = "keys.json"

[[authorise.roles.caller]]
actions = ["*"]
models = ["digits"]

[models.digits]
[[models.digits.schema.inputs]]
name = "x"
datatype = "FP32"
shape = [-1, 64]
low = 0.0
high = 1.0
"""


@dataclass(frozen=True)
class Embedded:
    """A server with a guard in it."""

    http: int
    grpc: int
    key: str
    folder: Path
    process: int


def settings(folder: Path, model: dict[str, Any], **more: Any) -> tuple[int, int]:
    """Write what MLServer reads, with the model's file `m.joblib`; the ports for REST and gRPC."""
    http, grpc = free_ports(2)
    said = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_endpoint": None}
    (folder / "settings.json").write_text(json.dumps(said | {"parallel_workers": 0, "debug": False} | more))
    parameters = {"uri": "./m.joblib"} | model.pop("parameters", {})
    (folder / "model-settings.json").write_text(json.dumps({"name": "digits", "parameters": parameters} | model))
    return http, grpc


def trained(folder: Path) -> Path:
    """The interpreter with MLServer, which has made `m.joblib`."""
    python = environment("mlserver")
    subprocess.run([python, "-c", TRAIN, folder / "m.joblib"], check=True)
    return python


@contextmanager
def embedded(folder: Path, implementation: str, extra: dict[str, str], *, guard: bool) -> Iterator[Embedded]:
    """`guard`: the whole server is guarded, by the guard.toml in the folder."""
    python = trained(folder)
    http, grpc = settings(folder, {"implementation": implementation, "parameters": {"extra": extra}})
    (folder / "guard.toml").write_text(GUARD)
    _, key = create(str(folder / "keys.json"), "ana", roles=("caller",))
    command: list[str | Path] = [python, "-m", "mlserver.cli.main", "start", folder]
    if guard:
        command = [python, "-m", "garrison.serving.mlserver", folder, "--guard", folder / "guard.toml"]
    with running(command, folder, http, {"PYTHONPATH": SOURCES}, key if guard else "") as process:
        yield Embedded(http, grpc, key, folder, process)


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    folder = tmp_path_factory.mktemp("inside")
    with embedded(folder, "mlserver_sklearn.SKLearnModel", {}, guard=True) as server:
        yield server
