"""What real model servers let through, each shown open on the bare server and closed by the guard before it.

The guard is the command in a process of its own, with REST and gRPC; a relay between it and the server's REST port
tells what has reached the server.
"""

import asyncio
import base64
import json
import os
import struct
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from garrison.serving.grpc.messages import ModelInferRequest, message
from tests.serving.grpc.guards import INFER, SERVICE, asked
from tests.serving.guarded import (
    SCHEMA,
    Guard,
    Relay,
    ask,
    calls,
    forget_memory,
    guarding,
    most_memory,
)
from tests.serving.servers import Server

INFERENCE = "/v2/models/digits/infer"
GOOD = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 64], "data": [0.5] * 64}]}


@contextmanager
def before(server: Server, folder: Path) -> Iterator[tuple[Guard, Relay]]:
    with Relay(server.http) as relay:
        text = f'[backends.default]\nhttp = "{relay.address}"\ngrpc = "{server.grpc}"\n{SCHEMA}'
        with guarding(folder, text, grpc=True) as guard:
            yield guard, relay


@pytest.fixture(scope="module")
def before_mlserver(mlserver: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Guard, Relay]]:
    with before(mlserver, tmp_path_factory.mktemp("guard")) as found:
        yield found


@pytest.fixture(scope="module")
def before_triton(triton: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Guard, Relay]]:
    with before(triton, tmp_path_factory.mktemp("guard")) as found:
        yield found


def over_grpc(address: str, method: str, body: Any, key: str = "") -> str:
    """The name of the status that a server answers with."""

    async def run() -> str:
        async with grpc.aio.insecure_channel(address) as channel:
            metadata = (("x-api-key", key),) if key else ()
            try:
                await asked(channel, body.SerializeToString(), method=method, metadata=metadata, timeout=60)
            except grpc.aio.AioRpcError as error:
                return str(error.code().name)
            return "OK"

    return asyncio.run(run())


def ready(server: Server) -> bool:
    return ask(server.http, "/v2/models/digits/ready")[0] == 200


def until(server: Server, wanted: bool) -> None:
    """Triton answers before a model is gone, or back."""
    latest = time.monotonic() + 60
    while ready(server) is not wanted:
        assert time.monotonic() < latest
        time.sleep(0.02)


@pytest.mark.parametrize("way", ["rest", "grpc"])
@pytest.mark.parametrize("kind", ["mlserver", "triton"])
def test_anyone_unloads_a_model(kind: str, way: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(kind)
    guard, relay = request.getfixturevalue(f"before_{kind}")
    unload = message("RepositoryModelUnloadRequest")(model_name="digits")
    for key, rest, other in (("", 401, "UNAUTHENTICATED"), (guard.key(), 403, "PERMISSION_DENIED")):
        if way == "rest":
            headers = {"x-api-key": key} if key else {}
            assert ask(guard.http, "/v2/repository/models/digits/unload", b"", headers)[0] == rest
        else:
            assert over_grpc(guard.grpc, f"{SERVICE}RepositoryModelUnload", unload, key) == other
    assert b"unload" not in relay.received
    assert ready(server) and guard.ask(INFERENCE, GOOD)[0] == 200
    try:
        if way == "rest":
            assert ask(server.http, "/v2/repository/models/digits/unload", b"")[0] == 200
        else:
            assert over_grpc(server.grpc, f"{SERVICE}RepositoryModelUnload", unload) == "OK"
        until(server, False)
    finally:
        assert ask(server.http, "/v2/repository/models/digits/load", b"")[0] == 200
        until(server, True)


def tensor(data: Any, shape: list[int], datatype: str = "FP32") -> dict[str, Any]:
    return {"inputs": [{"name": "x", "datatype": datatype, "shape": shape, "data": data}]}


MALFORMED = {
    "one value too few": tensor([0.5] * 63, [1, 64]),
    "texts": tensor(["a"] * 64, [1, 64]),
    "beyond FP32": tensor([1e308] * 64, [1, 64]),
    "nulls": tensor([None] * 64, [1, 64]),
    "ragged rows": tensor([[0.5] * 64, [0.5]], [2, 64]),
    "no rows": tensor([], [0, 64]),
    "another width": tensor([0.5] * 32, [1, 32]),
    "another datatype": tensor(["a"] * 64, [1, 64], "BYTES"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_tensors_fail_the_server(name: str, mlserver: Server, before_mlserver: tuple[Guard, Relay]) -> None:
    guard, relay = before_mlserver
    status, _, _ = ask(mlserver.http, INFERENCE, MALFORMED[name])
    assert status == 500
    relay.received = b""
    assert guard.ask(INFERENCE, MALFORMED[name])[0] in (400, 422)
    assert relay.received == b""


@pytest.mark.parametrize("shape", [[1, -64], [-1, 64]])
def test_negative_shapes_are_taken_by_the_server(
    shape: list[int], mlserver: Server, before_mlserver: tuple[Guard, Relay]
) -> None:
    guard, relay = before_mlserver
    assert ask(mlserver.http, INFERENCE, tensor([0.5] * 64, shape))[0] == 200
    relay.received = b""
    assert guard.ask(INFERENCE, tensor([0.5] * 64, shape))[0] in (400, 422)
    assert relay.received == b""


def question(values: int, *, raw: bool = False, datatype: str = "FP32", shape: tuple[int, ...] = (1, 64)) -> Any:
    asking = ModelInferRequest(model_name="digits")
    one = asking.inputs.add(name="x", datatype=datatype, shape=shape)
    if raw:
        asking.raw_input_contents.append(struct.pack(f"<{values}f", *[0.5] * values))
    else:
        one.contents.fp32_contents.extend([0.5] * values)
    return asking


@pytest.mark.parametrize("raw", [False, True])
def test_malformed_tensors_over_grpc(raw: bool, mlserver: Server, before_mlserver: tuple[Guard, Relay]) -> None:
    guard, _ = before_mlserver
    assert over_grpc(guard.grpc, INFER, question(64, raw=raw), guard.key()) == "OK"
    seen = len(calls(guard.log))
    for wrong in (question(63, raw=raw), question(64, raw=raw, shape=(1, -64)), question(64, raw=raw, shape=(2, 64))):
        assert over_grpc(mlserver.grpc, INFER, wrong) in ("OK", "UNKNOWN", "INTERNAL")
        assert over_grpc(guard.grpc, INFER, wrong, guard.key()) == "INVALID_ARGUMENT"
    assert [one["refused"] in ("malformed", "unacceptable") for one in calls(guard.log)[seen:]] == [True] * 3


def test_eighty_megabytes_take_the_servers_memory(mlserver: Server, before_mlserver: tuple[Guard, Relay]) -> None:
    guard, relay = before_mlserver
    count = 40 << 20
    body = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,64],"data":[' + b"1," * (count - 1) + b"1]}]}"
    assert len(body) >= 80 << 20
    relay.received = b""
    held, guards = forget_memory(mlserver.process), forget_memory(guard.process.pid)
    # The guard reads on for a while so that its answer arrives, and need not for ever.
    with suppress(ConnectionError):
        assert guard.ask(INFERENCE, body)[0] == 413
    assert [(one["status"], one["refused"]) for one in calls(guard.log)[-1:]] == [(413, "too-large")]
    assert relay.received == b""
    assert most_memory(guard.process.pid) - guards < 40
    assert most_memory(mlserver.process) - held < 40
    ask(mlserver.http, INFERENCE, body)
    assert most_memory(mlserver.process) - held > 500


def test_eighty_megabytes_over_grpc(mlserver: Server, before_mlserver: tuple[Guard, Relay]) -> None:
    guard, _ = before_mlserver
    large = question(64, raw=True)
    large.raw_input_contents[0] = bytes(80 << 20)
    held, guards = forget_memory(mlserver.process), forget_memory(guard.process.pid)
    assert over_grpc(guard.grpc, INFER, large, guard.key()) == "RESOURCE_EXHAUSTED"
    assert most_memory(guard.process.pid) - guards < 120
    assert most_memory(mlserver.process) - held < 40


def stranger(proof: Path) -> tuple[dict[str, Any], Any]:
    """A request to load a model that brings its own Python along: by REST, and by gRPC."""
    source = (
        f"open({str(proof)!r}, 'w').close()\nclass TritonPythonModel:\n    def execute(self, requests): return []\n"
    )
    one = {"data_type": "TYPE_FP32", "dims": [1]}
    config = json.dumps({"backend": "python", "input": [one | {"name": "x"}], "output": [one | {"name": "y"}]})
    encoded = base64.b64encode(source.encode()).decode()
    load = message("RepositoryModelLoadRequest")(model_name="strange")
    load.parameters["config"].string_param = config
    load.parameters["file:1/model.py"].bytes_param = source.encode()
    return {"parameters": {"config": config, "file:1/model.py": encoded}}, load


@pytest.mark.parametrize("way", ["rest", "grpc"])
def test_a_stranger_runs_python_in_triton(
    way: str, triton: Server, before_triton: tuple[Guard, Relay], tmp_path: Path
) -> None:
    guard, relay = before_triton
    proof = tmp_path / "proof"
    rest, load = stranger(proof)
    relay.received = b""
    seen = len(calls(guard.log))
    for model in ("strange", "digits"):
        load.model_name = model
        for role in ("", "caller", "admin"):
            if way == "rest":
                headers = {"x-api-key": guard.key(role)} if role else {}
                status = ask(guard.http, f"/v2/repository/models/{model}/load", rest, headers)[0]
                assert 400 <= status < 500
            else:
                found = over_grpc(guard.grpc, f"{SERVICE}RepositoryModelLoad", load, guard.key(role) if role else "")
                assert found in ("UNAUTHENTICATED", "PERMISSION_DENIED", "NOT_FOUND", "INVALID_ARGUMENT")
    assert relay.received == b""
    assert all(one["refused"] for one in calls(guard.log)[seen:])
    assert not proof.exists()
    load.model_name = "strange"
    if way == "rest":
        assert ask(triton.http, "/v2/repository/models/strange/load", rest)[0] == 200
        assert ask(triton.http, "/v2/repository/models/strange/unload", b"")[0] == 200
    else:
        assert over_grpc(triton.grpc, f"{SERVICE}RepositoryModelLoad", load) == "OK"
        unload = message("RepositoryModelUnloadRequest")(model_name="strange")
        assert over_grpc(triton.grpc, f"{SERVICE}RepositoryModelUnload", unload) == "OK"
    assert proof.exists()


def test_an_administrator_loads_what_the_server_has(before_triton: tuple[Guard, Relay]) -> None:
    guard, _ = before_triton
    assert guard.ask("/v2/repository/models/digits/load", b"", "admin")[0] == 200
    load = message("RepositoryModelLoadRequest")(model_name="digits")
    assert over_grpc(guard.grpc, f"{SERVICE}RepositoryModelLoad", load, guard.key("admin")) == "OK"


ADMINISTRATION = {
    "log": ("/v2/logging", None),
    "setting of the log": ("/v2/logging", {"log_info": True}),
    "traces": ("/v2/trace/setting", None),
    "setting of traces": ("/v2/trace/setting", {"trace_rate": "1000"}),
    "statistics": ("/v2/models/stats", None),
    "shared memory": ("/v2/systemsharedmemory/status", None),
    "end of shared memory": ("/v2/systemsharedmemory/unregister", b""),
    "index": ("/v2/repository/index", b"{}"),
}


@pytest.mark.parametrize("name", ADMINISTRATION)
def test_anyone_administers_triton(name: str, triton: Server, before_triton: tuple[Guard, Relay]) -> None:
    guard, relay = before_triton
    path, sent = ADMINISTRATION[name]
    assert ask(triton.http, path, sent)[0] == 200
    relay.received = b""
    assert ask(guard.http, path, sent)[0] == 401
    assert guard.ask(path, sent)[0] == 403
    assert relay.received == b""


def test_anyone_has_triton_read_shared_memory(triton: Server, before_triton: tuple[Guard, Relay]) -> None:
    guard, relay = before_triton
    region = f"garrison-test-{uuid.uuid4().hex}"
    place = Path("/dev/shm") / region
    place.write_bytes(struct.pack("<64f", *[0.5] * 64))
    register = f"/v2/systemsharedmemory/region/{region}/register"
    sent = {"key": f"/{region}", "offset": 0, "byte_size": 256}
    used = {"shared_memory_region": region, "shared_memory_byte_size": 256, "shared_memory_offset": 0}
    asking = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 64], "parameters": used}]}
    try:
        relay.received = b""
        assert guard.ask(register, sent)[0] == 403
        assert guard.ask(INFERENCE, asking)[0] in (400, 422)
        assert relay.received == b""
        assert ask(triton.http, register, sent)[0] == 200
        assert ask(triton.http, INFERENCE, asking)[0] == 200
    finally:
        ask(triton.http, f"/v2/systemsharedmemory/region/{region}/unregister", b"")
        os.unlink(place)


SERVICES = {
    "LogSettings": "LogSettingsRequest",
    "TraceSetting": "TraceSettingRequest",
    "SystemSharedMemoryStatus": "SystemSharedMemoryStatusRequest",
    "SystemSharedMemoryUnregister": "SystemSharedMemoryUnregisterRequest",
    "ModelStatistics": "ModelStatisticsRequest",
    "RepositoryIndex": "RepositoryIndexRequest",
}


@pytest.mark.parametrize("method", SERVICES)
def test_anyone_administers_triton_over_grpc(method: str, triton: Server, before_triton: tuple[Guard, Relay]) -> None:
    guard, _ = before_triton
    body = message(SERVICES[method])()
    assert over_grpc(triton.grpc, SERVICE + method, body) == "OK"
    assert over_grpc(guard.grpc, SERVICE + method, body) == "UNAUTHENTICATED"
    assert over_grpc(guard.grpc, SERVICE + method, body, guard.key()) == "PERMISSION_DENIED"


def test_no_caller_may_have_the_log_written_to_a_file_of_their_choice(
    before_triton: tuple[Guard, Relay], tmp_path: Path
) -> None:
    guard, relay = before_triton
    relay.received = b""
    for path, name in (("/v2/logging", "log_file"), ("/v2/trace/setting", "trace_file")):
        assert guard.ask(path, {name: str(tmp_path / "written")}, "admin")[0] in (400, 403)
    assert relay.received == b""


@pytest.mark.parametrize("kind", ["mlserver", "triton"])
def test_a_guard_on_rest_alone_is_walked_around_over_grpc(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server: Server = request.getfixturevalue(kind)
    beyond = question(64, raw=True)
    beyond.raw_input_contents[0] = struct.pack("<64f", *[99.0] * 64)
    rest = {"inputs": [{**GOOD["inputs"][0], "data": [99.0] * 64}]}
    with guarding(tmp_path, f'[backends.default]\nhttp = "{server.http}"\n{SCHEMA}') as alone:
        assert alone.ask(INFERENCE, rest)[0] == 422
        assert ask(alone.http, INFERENCE, GOOD)[0] == 401
        # The server's other port is open to whoever can reach it: neither a key nor a range counts there.
        assert over_grpc(server.grpc, INFER, beyond) == "OK"
        assert not [one for one in calls(alone.log) if one["transport"] == "grpc"]
    both, _ = request.getfixturevalue(f"before_{kind}")
    assert over_grpc(both.grpc, INFER, beyond) == "UNAUTHENTICATED"
    assert over_grpc(both.grpc, INFER, beyond, both.key()) == "INVALID_ARGUMENT"
    assert [one["refused"] for one in calls(both.log)[-2:]] == ["unauthenticated", "unacceptable"]
