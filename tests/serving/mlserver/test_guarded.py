"""A runtime that guards another, inside a real MLServer: by REST and by gRPC, and not what it cannot reach."""

import json
from collections.abc import Iterator

import pytest

from garrison.cli.main import main
from garrison.serving.grpc.messages import ModelInferResponse
from tests.serving.mlserver.asking import message, question, remote, rest
from tests.serving.mlserver.conftest import Embedded, embedded

INFER = "/v2/models/digits/infer"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    extra = {"implementation": "mlserver_sklearn.SKLearnModel", "guard": "./guard.toml"}
    folder = tmp_path_factory.mktemp("guarded")
    runtime = "garrison.serving.mlserver.guarded.GuardedRuntime"
    with embedded(folder, runtime, extra, guard=False) as server:
        yield server


def test_who_has_a_key_is_answered_by_both_ways(guarded: Embedded) -> None:
    status, answer = rest(guarded.http, INFER, question(rows=3), guarded.key)
    assert (status, answer["outputs"][0]["shape"]) == (200, [3, 1])
    name, body = remote(f"127.0.0.1:{guarded.grpc}", "ModelInfer", message(), guarded.key)
    assert (name, list(ModelInferResponse.FromString(body).outputs[0].shape)) == ("OK", [1, 1])


def test_who_has_none_is_not(guarded: Embedded) -> None:
    assert rest(guarded.http, INFER, question())[0] == 401
    assert remote(f"127.0.0.1:{guarded.grpc}", "ModelInfer", message())[0] != "OK"
    claimed = {**question(), "parameters": {"headers": {"x-api-key": guarded.key}}}
    assert rest(guarded.http, INFER, claimed)[0] == 401


def test_inputs_are_held_to_the_schema(guarded: Embedded) -> None:
    assert rest(guarded.http, INFER, question(1.5), guarded.key)[0] == 422
    assert rest(guarded.http, INFER, question(columns=63), guarded.key)[0] == 400
    assert rest(guarded.http, INFER, question(name="y"), guarded.key)[0] == 400
    named = {**question(), "parameters": {"content_type": "pd"}}
    assert rest(guarded.http, INFER, named, guarded.key)[0] == 400


def test_calls_are_on_record(guarded: Embedded, capsys: pytest.CaptureFixture[str]) -> None:
    rest(guarded.http, INFER, question(), guarded.key)
    assert main(["audit", "show", str(guarded.folder / "audit"), "--format", "json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    calls = [line for line in lines if line["kind"] == "call"]
    assert {"ana"} <= {one.get("principal", "") for one in calls}
    assert {one["transport"] for one in calls} == {"runtime"}
    assert main(["audit", "verify", str(guarded.folder / "audit")]) == 0
