"""The guard before real model servers."""

import asyncio
import json
import struct

import pytest

from garrison.serving.config.config import Backend
from garrison.serving.http.pool import Pool
from garrison.serving.tensors.codecs import CODECS
from tests.serving.http.guards import exchange, gateway, serving
from tests.serving.servers import Server

VALUES = [[0.5] * 64]


def ask(server: Server, *requests: bytes) -> list[bytes]:
    async def run() -> list[bytes]:
        pool = Pool(Backend(http=server.http))
        try:
            made = gateway(pool.ask, models=("digits",), codecs=CODECS)
            async with serving(made) as guard:
                return [await exchange(guard.port, request) for request in requests]
        finally:
            await pool.close()

    return asyncio.run(run())


def request(line: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"{line} HTTP/1.1", "host: guard", "connection: close", *headers]
    if line.startswith("POST"):
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


INFER = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 64], "data": VALUES}]}).encode()


def outputs(answer: bytes) -> dict[str, list[int]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), answer
    return {output["name"]: output["data"] for output in json.loads(body)["outputs"]}


@pytest.fixture(params=["mlserver", "triton"])
def server(request: pytest.FixtureRequest) -> Server:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Server)
    return found


def test_numbers_in_json(server: Server) -> None:
    (answer,) = ask(server, request("POST /v2/models/digits/infer", INFER, "content-type: application/json"))
    assert len(outputs(answer)["predict"]) == 1
    assert b"\r\nserver:" not in answer.lower()


def test_what_servers_say_of_themselves_and_their_models(server: Server) -> None:
    answers = ask(
        server,
        request("GET /v2"),
        request("GET /v2/health/ready"),
        request("GET /v2/models/digits"),
        request("GET /v2/models/digits/ready"),
        request("POST /v2/repository/index", b"{}", "content-type: application/json"),
    )
    assert [answer[:13] for answer in answers] == [b"HTTP/1.1 200 "] * 5
    assert json.loads(answers[2].partition(b"\r\n\r\n")[2])["name"] == "digits"


def test_failures_of_the_server_are_its_own(server: Server) -> None:
    (answer,) = ask(
        server, request("POST /v2/models/digits/versions/77/infer", INFER, "content-type: application/json")
    )
    assert b" 200 " not in answer[:13]
    assert b"\r\nx-request-id: " in answer


def test_binary_tensors_to_triton(triton: Server) -> None:
    data = struct.pack("<64f", *VALUES[0])
    description = json.dumps(
        {
            "inputs": [
                {"name": "x", "datatype": "FP32", "shape": [1, 64], "parameters": {"binary_data_size": len(data)}}
            ],
            "outputs": [{"name": "predict", "parameters": {"binary_data": True}}],
        }
    ).encode()
    length = f"inference-header-content-length: {len(description)}"
    octets = "content-type: application/octet-stream"
    binary, text = ask(
        triton,
        request("POST /v2/models/digits/infer", description + data, length, octets),
        request("POST /v2/models/digits/infer", INFER),
    )
    head, _, body = binary.partition(b"\r\n\r\n")
    assert b"inference-header-content-length: " in head.lower()
    assert struct.unpack("<q", body[-8:]) == tuple(outputs(text)["predict"])
