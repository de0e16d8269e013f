"""The whole guard inside a real MLServer: what is open on REST and on gRPC without it is closed on both."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from garrison.cli.main import main
from garrison.serving.grpc.messages import ModelInferResponse
from garrison.serving.grpc.messages import message as kind
from tests.serving.mlserver.asking import message, question, remote, rest
from tests.serving.mlserver.conftest import GUARD, SOURCES, Embedded, embedded, settings
from tests.serving.servers import Server, environment

UNLOAD = "/v2/repository/models/digits/unload"
UNLOADING: bytes = kind("RepositoryModelUnloadRequest")(model_name="digits").SerializeToString()
INFER = "/v2/models/digits/infer"


def test_what_is_open_without_it(mlserver: Server) -> None:
    port = int(mlserver.http.rpartition(":")[2])
    assert rest(port, UNLOAD, {})[0] == 200
    assert rest(port, INFER, question())[0] != 200
    assert rest(port, UNLOAD.replace("unload", "load"), {})[0] == 200
    assert remote(mlserver.grpc, "RepositoryModelUnload", UNLOADING)[0] == "OK"
    assert rest(port, INFER, question())[0] != 200
    assert rest(port, UNLOAD.replace("unload", "load"), {})[0] == 200
    assert rest(port, INFER, question())[0] == 200


def test_whoever_has_a_key_infers_by_both_ways(inside: Embedded) -> None:
    status, answer = rest(inside.http, INFER, question(rows=3), inside.key)
    assert status == 200 and answer["outputs"][0]["shape"] == [3, 1]
    for raw in (False, True):
        name, body = remote(f"127.0.0.1:{inside.grpc}", "ModelInfer", message(raw=raw), inside.key)
        assert name == "OK"
        assert ModelInferResponse.FromString(body).outputs[0].shape == [1, 1]


@pytest.mark.parametrize("keyed", [False, True])
def test_models_are_not_unloaded_through_it(inside: Embedded, keyed: bool) -> None:
    key = inside.key if keyed else ""
    target = f"127.0.0.1:{inside.grpc}"
    for action in ("unload", "load"):
        assert rest(inside.http, UNLOAD.replace("unload", action), {}, key)[0] == (403 if keyed else 401)
    assert rest(inside.http, "/v2/repository/index", {}, key)[0] == (403 if keyed else 401)
    for method in ("RepositoryModelUnload", "RepositoryModelLoad", "RepositoryIndex"):
        sent = b"" if method.endswith("Index") else UNLOADING
        assert remote(target, method, sent, key)[0] == ("PERMISSION_DENIED" if keyed else "UNAUTHENTICATED")
    assert rest(inside.http, INFER, question(), inside.key)[0] == 200


def test_what_nobody_lists_is_not_there(inside: Embedded) -> None:
    for path in ("/v2/docs", "/v2/docs/dataplane.json", "/v2/models/digits/docs", "/metrics", "/", "/v2/models/../x"):
        assert rest(inside.http, path, key=inside.key)[0] in (400, 404)
    target = f"127.0.0.1:{inside.grpc}"
    for method in ("Nothing", "ModelStreamInfer", "../x"):
        assert remote(target, method, message(), inside.key)[0] == "UNIMPLEMENTED"


def test_what_the_model_does_not_take_is_refused_by_both_ways(inside: Embedded) -> None:
    target = f"127.0.0.1:{inside.grpc}"
    assert rest(inside.http, INFER, question())[0] == 401
    assert remote(target, "ModelInfer", message())[0] == "UNAUTHENTICATED"
    assert rest(inside.http, INFER, question(1.5), inside.key)[0] == 422
    assert remote(target, "ModelInfer", message(1.5), inside.key)[0] == "INVALID_ARGUMENT"
    assert rest(inside.http, INFER, question(columns=63), inside.key)[0] in (400, 422)
    assert rest(inside.http, INFER, b'{"inputs": [', inside.key)[0] == 400
    assert rest(inside.http, INFER, b"{}", inside.key, **{"content-length": str(5 << 20)})[0] == 413
    liar = question()
    liar["inputs"][0]["shape"] = [-1, 64]
    assert rest(inside.http, INFER, liar, inside.key)[0] == 400


def test_failures_of_the_model_server_stay_failures(inside: Embedded) -> None:
    asked = question() | {"outputs": [{"name": "nothing"}]}
    assert 400 <= rest(inside.http, INFER, asked, inside.key)[0] < 600
    assert rest(inside.http, INFER.replace("digits", "other"), question(), inside.key)[0] in (403, 404)


def test_it_ends_as_told_and_its_log_verifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with embedded(tmp_path, "mlserver_sklearn.SKLearnModel", {}, guard=True) as server:
        assert rest(server.http, INFER, question(), server.key)[0] == 200
        assert rest(server.http, UNLOAD, {}, server.key)[0] == 403
        assert remote(f"127.0.0.1:{server.grpc}", "ModelInfer", message(), server.key)[0] == "OK"
        assert remote(f"127.0.0.1:{server.grpc}", "RepositoryModelUnload", UNLOADING)[0] == "UNAUTHENTICATED"
    assert main(["audit", "verify", str(tmp_path / "audit")]) == 0
    capsys.readouterr()
    assert main(["audit", "show", str(tmp_path / "audit"), "--format", "json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    calls = [line for line in lines if line["kind"] == "call" and line["operation"] not in ("model-ready", "")]
    assert [(one["transport"], one["operation"], one["status"]) for one in calls] == [
        ("http", "infer", 200), ("http", "unload", 403), ("grpc", "infer", 200), ("grpc", "unload", 401),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "more, guard, said",
    [
        ({"parallel_workers": 1}, GUARD, "set parallel_workers to 0"),
        ({"kafka_enabled": True}, GUARD, "requests by Kafka would go around the guard"),
        ({}, GUARD + "[nonsense]\n", "nonsense"),
        ({}, GUARD.replace("keys.json", "none.json"), "none.json: No such file"),
    ],
)
def test_a_server_that_cannot_be_guarded_is_not_served(
    tmp_path: Path, more: dict[str, object], guard: str, said: str
) -> None:
    python = environment("mlserver")
    settings(tmp_path, {"implementation": "mlserver_sklearn.SKLearnModel"}, **more)
    (tmp_path / "guard.toml").write_text(guard)
    (tmp_path / "keys.json").write_text('{"version": 1, "keys": []}')
    os.chmod(tmp_path / "keys.json", 0o600)
    command = [python, "-m", "garrison.serving.mlserver", tmp_path, "--guard", tmp_path / "guard.toml"]
    ended = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": SOURCES}, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_killed_one_leaves_a_log_that_verifies(tmp_path: Path) -> None:
    with embedded(tmp_path, "mlserver_sklearn.SKLearnModel", {}, guard=True) as server:
        assert rest(server.http, INFER, question(), server.key)[0] == 200
        os.kill(server.process, signal.SIGKILL)
    assert main(["audit", "verify", str(tmp_path / "audit")]) == 0
