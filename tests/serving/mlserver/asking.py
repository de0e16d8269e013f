"""Asks servers by REST and by gRPC, with and without a key."""

import asyncio
import http.client
import json
from typing import Any

import grpc
import grpc.aio
import numpy as np

from garrison.serving.grpc.messages import ModelInferRequest

SERVICE = "/inference.GRPCInferenceService/"


def rest(
    port: int, path: str, sent: object = None, key: str = "", *, method: str = "", **headers: str
) -> tuple[int, Any]:
    """The status and what the body says."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        named = {"content-type": "application/json", **headers, **({"x-api-key": key} if key else {})}
        body = sent if isinstance(sent, bytes) else b"" if sent is None else json.dumps(sent).encode()
        connection.request(method or ("GET" if sent is None else "POST"), path, body or None, named)
        with connection.getresponse() as response:
            said = response.read()
            return response.status, json.loads(said) if said[:1] in (b"{", b"[") else said
    finally:
        connection.close()


def question(value: float = 0.5, rows: int = 1, *, name: str = "x", columns: int = 64) -> dict[str, Any]:
    data = [value] * (rows * columns)
    return {"inputs": [{"name": name, "datatype": "FP32", "shape": [rows, columns], "data": data}]}


def message(value: float = 0.5, *, name: str = "x", raw: bool = False) -> bytes:
    asked = ModelInferRequest(model_name="digits")
    one = asked.inputs.add(name=name, datatype="FP32", shape=[1, 64])
    if raw:
        asked.raw_input_contents.append(np.full(64, value, np.float32).tobytes())
    else:
        one.contents.fp32_contents.extend([value] * 64)
    return bytes(asked.SerializeToString())


def remote(target: str, method: str, body: bytes, key: str = "", **metadata: str) -> tuple[str, bytes]:
    """The name of the status and the answer of a method of gRPC."""

    async def ask() -> tuple[str, bytes]:
        async with grpc.aio.insecure_channel(target) as channel:
            pairs = (*metadata.items(), *([("x-api-key", key)] if key else []))
            try:
                answer: bytes = await channel.unary_unary(SERVICE + method)(
                    body, metadata=pairs, timeout=30, wait_for_ready=True
                )
            except grpc.aio.AioRpcError as error:
                return error.code().name, error.details().encode()
            return "OK", answer

    return asyncio.run(ask())
