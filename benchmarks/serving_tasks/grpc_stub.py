"""A model server that answers by gRPC at once: `python grpc_stub.py PORT`."""

import asyncio
import sys
from typing import Any

import grpc.aio
import numpy as np
import uvloop

from garrison.serving.grpc.messages import ModelInferResponse

ANSWER = ModelInferResponse(
    model_name="digits",
    outputs=[{"name": "predict_proba", "datatype": "FP64", "shape": [1, 10]}],
    raw_output_contents=[np.full(10, 0.1).tobytes()],
).SerializeToString()


class Stub(grpc.GenericRpcHandler):
    def service(self, details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(answered)


async def answered(body: bytes, context: Any) -> bytes:
    return ANSWER


async def main() -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Stub(),))
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    await server.start()
    await server.wait_for_termination()


with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
