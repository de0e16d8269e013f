"""Before real servers, with the client that people use: what goes round REST's guard does not go round this one."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from sklearn.datasets import load_digits

from garrison.serving.calls import Action, Call
from garrison.serving.config.config import Backend, Listen, Model
from garrison.serving.grpc.forward import GrpcForward
from garrison.serving.grpc.gateway import Current, Gateway
from garrison.serving.grpc.messages import ModelInferRequest, ModelInferResponse, message
from garrison.serving.grpc.server import GrpcServer
from garrison.serving.guard import Guard
from garrison.serving.refusals import Reason, Refused
from tests.serving.grpc.guards import SERVICE, Looking, Records, asked, failure
from tests.serving.servers import Server, environment

UNLOAD = f"{SERVICE}RepositoryModelUnload"
LOAD = f"{SERVICE}RepositoryModelLoad"

CLIENT = """
import json, sys
import numpy as np
import tritonclient.grpc as triton
client = triton.InferenceServerClient(sys.argv[1])
said = {"live": client.is_server_live(), "ready": client.is_model_ready("digits")}
said["inputs"] = [one.name for one in client.get_model_metadata("digits").inputs]
x = triton.InferInput("x", [2, 64], "FP32")
x.set_data_from_numpy(np.zeros((2, 64), np.float32))
answer = client.infer("digits", [x], request_id="mine", headers={"authorization": "Bearer key"}, client_timeout=60)
said["shape"] = list(answer.as_numpy("predict_proba").shape)
said["id"] = answer.get_response().id
parts = []
client.start_stream(lambda result, error: parts.append(str(error) if error else list(result.as_numpy("predict").shape)),
                    headers={"authorization": "Bearer key"})
client.async_stream_infer("digits", [x])
x.set_data_from_numpy(np.full((2, 64), 99, np.float32))
client.async_stream_infer("digits", [x])
client.stop_stream()
said["stream"] = parts
try:
    client.load_model("digits", config="{}", headers={"authorization": "Bearer key"})
except triton.InferenceServerException as error:
    said["load"] = error.status()
try:
    client.infer("digits", [x])
except triton.InferenceServerException as error:
    said["anonymous"] = error.status()
print(json.dumps(said))
"""


def careful(call: Call) -> None:
    """What a guard's stages do, in short."""
    if call.action in (Action.MANAGE, Action.ADMINISTER, Action.REPOSITORY):
        raise Refused(Reason.FORBIDDEN, "not for you")
    if call.action is Action.INFER:
        if "authorization" not in call.headers:
            raise Refused(Reason.UNAUTHENTICATED, "who are you")
        if any(tensor.data.max() > 16 for tensor in call.tensors()):
            raise Refused(Reason.UNACCEPTABLE, "out of range")


class Before:
    """A guard before a real server."""

    def __init__(self, server: Server, records: Records, stage: Looking | None = None) -> None:
        self._server = server
        self._stage = stage or Looking(careful)
        self._records = records

    async def __aenter__(self) -> str:
        def failed(name: str, error: BaseException) -> None:
            raise AssertionError(f"{name} failed") from error

        guard = Guard({"digits": Model()}, lambda model: [self._stage], self._records, failed)
        self._forward = GrpcForward({"default": Backend(grpc=self._server.grpc)})
        self._guard = GrpcServer(Current(Gateway(guard, self._forward)), Listen(grpc="127.0.0.1:0"))
        await self._guard.start()
        return f"127.0.0.1:{self._guard.port}"

    async def __aexit__(self, *raised: object) -> None:
        await self._guard.stop(1)
        await self._forward.close()


@pytest.fixture(params=["mlserver", "triton"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


def digits(count: int, *, raw: bool) -> Any:
    data = (load_digits().data[1200 : 1200 + count] / 16).astype(np.float32)
    question = ModelInferRequest(model_name="digits")
    one = question.inputs.add(name="x", datatype="FP32", shape=data.shape)
    if raw:
        question.raw_input_contents.append(data.tobytes())
    else:
        one.contents.fp32_contents.extend(data.ravel().tolist())
    question.outputs.add(name="predict")
    question.outputs.add(name="predict_proba")
    return question


@pytest.mark.parametrize("raw", [True, False])
def test_answers_are_those_of_the_server(server: Server, raw: bool) -> None:
    body = digits(20, raw=raw).SerializeToString()
    records = Records()

    async def run() -> tuple[bytes, bytes]:
        async with Before(server, records) as address, grpc.aio.insecure_channel(address) as before:
            through = await asked(before, body, metadata=(("authorization", "Bearer key"),))
        async with grpc.aio.insecure_channel(server.grpc) as direct:
            return through, await asked(direct, body)

    through, direct = (ModelInferResponse.FromString(one) for one in asyncio.run(run()))
    assert through.outputs == direct.outputs
    assert through.raw_output_contents == direct.raw_output_contents
    assert [output.name for output in through.outputs] == ["predict", "predict_proba"]
    assert records.lines[0][0].inputs is not None


def test_anyone_unloads_a_model_of_the_bare_server_and_nobody_through_the_guard(server: Server) -> None:
    unload = message("RepositoryModelUnloadRequest")(model_name="digits").SerializeToString()
    load = message("RepositoryModelLoadRequest")(model_name="digits").SerializeToString()
    body = digits(1, raw=True).SerializeToString()

    async def run() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as direct:
            async with Before(server, Records()) as address, grpc.aio.insecure_channel(address) as before:
                paths = [UNLOAD, "/inference.model_repository.ModelRepositoryService/RepositoryModelUnload"]
                for path in paths:
                    assert (await failure(asked(before, unload, method=path)))[0] == "PERMISSION_DENIED"
                await asked(before, body, metadata=(("authorization", "Bearer key"),))
            await asked(direct, unload, method=UNLOAD)
            try:
                async with asyncio.timeout(60):
                    while True:
                        # Triton answers before the model is gone.
                        try:
                            await asked(direct, body)
                            await asyncio.sleep(0.05)
                        except grpc.aio.AioRpcError:
                            break
            finally:
                await asked(direct, load, method=LOAD)

    asyncio.run(run())


def test_the_client_of_triton_works_through_the_guard(triton: Server) -> None:
    records = Records()

    async def run() -> bytes:
        async with Before(triton, records) as address:
            process = await asyncio.create_subprocess_exec(
                environment("triton"), "-c", CLIENT, address, stdout=subprocess.PIPE
            )
            printed, _ = await process.communicate()
            return printed

    said = json.loads(asyncio.run(run()))
    assert said == {
        "live": True,
        "ready": True,
        "inputs": ["x"],
        "shape": [2, 10],
        "id": "mine",
        "stream": [[2, 1], "INVALID_ARGUMENT: out of range"],
        "load": "StatusCode.PERMISSION_DENIED",
        "anonymous": "StatusCode.UNAUTHENTICATED",
    }
    assert [call.operation for call, _, _ in records.lines] == [
        "server-live", "model-ready", "model-metadata", "infer", "infer", "infer", "load", "infer",
    ]  # fmt: skip


def test_the_bare_server_runs_a_strangers_python_and_not_through_the_guard(triton: Server, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    source = (
        f"open({str(proof)!r}, 'w').close()\nclass TritonPythonModel:\n    def execute(self, requests): return []\n"
    )
    tensor = {"data_type": "TYPE_FP32", "dims": [1]}
    config = {"backend": "python", "input": [tensor | {"name": "x"}], "output": [tensor | {"name": "y"}]}
    load = message("RepositoryModelLoadRequest")(model_name="evil")
    load.parameters["config"].string_param = json.dumps(config)
    load.parameters["file:1/model.py"].bytes_param = source.encode()
    body = load.SerializeToString()
    load.model_name = "digits"
    known = load.SerializeToString()

    async def run() -> None:
        for stage in (Looking(careful), Looking(lambda call: None)):
            guard = Before(triton, Records(), stage)
            async with guard as address, grpc.aio.insecure_channel(address) as before:
                for one in (body, known):
                    code, _ = await failure(asked(before, one, method=LOAD))
                    assert code in ("PERMISSION_DENIED", "NOT_FOUND")
        assert not proof.exists()
        async with grpc.aio.insecure_channel(triton.grpc) as direct:
            await asked(direct, body, method=LOAD)
            unload = message("RepositoryModelUnloadRequest")(model_name="evil")
            await asked(direct, unload.SerializeToString(), method=UNLOAD)

    asyncio.run(run())
    assert proof.exists()
