"""Asks a server by gRPC, each client one call after the other: `python grpc_load.py FOLDER PORT CLIENTS SECONDS`.

Prints calls, seconds, the median and the 99th hundredth of their durations in milliseconds, and how many failed.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

import grpc.aio
import numpy as np
import uvloop

from garrison.serving.grpc.messages import ModelInferRequest

folder, port, clients, seconds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
rows = np.load(folder / "data.npz")["x"]
bodies = [
    ModelInferRequest(
        model_name="digits",
        inputs=[{"name": "x", "datatype": "FP32", "shape": [1, 64]}],
        raw_input_contents=[row.tobytes()],
    ).SerializeToString()
    for row in rows
]
metadata = (("x-api-key", (folder / "key").read_text()),)


async def main() -> None:
    durations: list[float] = []
    failed = 0
    until = time.monotonic() + seconds

    async def client(number: int) -> None:
        nonlocal failed
        async with grpc.aio.insecure_channel(
            f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            ask = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            at = number
            while time.monotonic() < until:
                started = time.monotonic()
                try:
                    await ask(bodies[at % len(bodies)], metadata=metadata)
                except grpc.aio.AioRpcError:
                    failed += 1
                durations.append(time.monotonic() - started)
                at += clients

    started = time.monotonic()
    await asyncio.gather(*(client(number) for number in range(clients)))
    spent = time.monotonic() - started
    median, late = (float(one) * 1000 for one in np.quantile(durations, [0.5, 0.99]))
    result = {"requests": len(durations), "duration": spent * 1e6, "median": median * 1000, "late": late * 1000}
    print(f"RESULT{json.dumps({**result, 'failed': failed})}")


with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
