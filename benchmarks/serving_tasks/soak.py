"""Whether the guard's memory grows at full load.

    python benchmarks/serving_tasks/soak.py FOLDER [--minutes 10] [--clients 16] [--principals 200]

The command `garrison guard` with everything on but detectors (keys, roles, limits, schema, drift, queries and feedback,
rounding, a signed audit log whose segments are dropped, metrics) before a server that answers at once. Clients ask as
fast as they are answered: mostly rows of digits, none of which comes twice, of all principals in turn; some with
made-up keys, some bent, some that break off, and every hundredth on a connection of its own.

Each minute a line says how many requests were answered, what the guard's process holds (resident memory, open files),
and how much CPU a request took; the last line says by how much memory grew a minute in the second half. Results go to
`FOLDER/soak.json`. The log is verified at the end.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from garrison.serving.authenticate.key_file import create
from garrison.serving.observe.reference.reference import build
from garrison.serving.tensors.tensor import Tensor

CONFIG = """
[listen]
http = "127.0.0.1:{port}"
[backends.default]
http = "http://127.0.0.1:{backend}"
[authenticate]
keys = "keys.json"
[[authorise.roles.caller]]
actions = ["*", "feedback"]
models = ["digits"]
[record]
signing-key = "signing.pem"
segment-bytes = 16777216
keep-segments = 3
[metrics]
listen = "127.0.0.1:{metrics}"
[models.digits]
admit = {{rate = 10000, burst = 10000, queries-per-day = 100000000, concurrency = 1000}}
observe = {{reference = "reference", feedback = {{enabled = true}}}}
[[models.digits.protect.rules]]
digits = 3
[[models.digits.schema.inputs]]
name = "x"
datatype = "FP32"
shape = [-1, 64]
low = 0.0
high = 1.0
"""
SCORES = [0.91] + [0.01] * 9
ANSWER = json.dumps(
    {"model_name": "digits", "outputs": [{"name": "scores", "datatype": "FP64", "shape": [1, 10], "data": SCORES}]}
).encode()
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER) + ANSWER
PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


class Stub(asyncio.Protocol):
    """A server that answers every request with the same scores."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._came = b""

    def data_received(self, data: bytes) -> None:
        self._came += data
        while (end := self._came.find(b"\r\n\r\n")) >= 0:
            found = re.search(rb"content-length: (\d+)", self._came[:end])
            whole = end + 4 + (int(found[1]) if found else 0)
            if len(self._came) < whole:
                return
            self._came = self._came[whole:]
            self._transport.write(WHOLE)


def serve(port: int) -> None:
    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", port)
        await server.serve_forever()

    with asyncio.Runner(loop_factory=_loop()) as runner:
        runner.run(run())


def _loop() -> Any:
    import uvloop

    return uvloop.new_event_loop


class Client:
    """One of many that ask on and on."""

    def __init__(self, port: int, keys: list[str], rows: np.ndarray, seed: int, counts: Counter[str]) -> None:
        self._port = port
        self._keys = keys
        self._rows = rows
        self._random = np.random.default_rng(seed)
        self._counts = counts
        self._number = seed
        self._key = keys[0]
        self._last = ("", "")
        """The call that was answered last, and the key of its caller, who alone may label it."""

    def _body(self) -> bytes:
        row = self._rows[self._random.integers(len(self._rows))]
        row = np.clip(row + self._random.normal(0, 0.005, row.shape), 0, 1).round(4)
        entry = {"name": "x", "datatype": "FP32", "shape": [1, 64], "data": row.tolist()}
        return json.dumps({"inputs": [entry]}).encode()

    def _request(self) -> bytes:
        self._number += 1
        key = self._key = self._keys[self._number % len(self._keys)]
        path, body = "/v2/models/digits/infer", self._body()
        kind = self._number % 100
        if kind == 1:
            key = f"made-up-{self._number}"
        elif kind == 2:
            body = body[:-20]
        elif kind == 3:
            path = f"/v2/models/digits-{self._number}/infer"
        elif kind == 4 and self._last[0]:
            path = "/v2/models/digits/feedback"
            call, key = self._last
            body = json.dumps({"call": call, "labels": [0]}).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: guard\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n"
        return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body

    async def run(self, until: float) -> None:
        while time.monotonic() < until:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                await asyncio.sleep(0.1)
                continue
            try:
                for number in range(100):
                    sent = self._request()
                    if number == 99 and self._number % 3 == 0:
                        writer.write(sent[: len(sent) // 2])
                        self._counts["broken off"] += 1
                        break
                    writer.write(sent)
                    head = await reader.readuntil(b"\r\n\r\n")
                    found = re.search(rb"content-length: (\d+)", head)
                    await reader.readexactly(int(found[1]) if found else 0)
                    self._counts[head[9:12].decode()] += 1
                    named = re.search(rb"x-request-id: (\w+)", head)
                    if named and head[9:12] == b"200":
                        self._last = (named[1].decode(), self._key)
            except (OSError, asyncio.IncompleteReadError):
                self._counts["closed"] += 1
            finally:
                writer.close()


def ask(port: int, keys: list[str], clients: int, seconds: float, told: Connection) -> None:
    """Load, and a count of what was answered each second."""
    rows = load_digits().data[1200:] / 16

    async def run() -> None:
        counts: Counter[str] = Counter()
        until = time.monotonic() + seconds
        made = [Client(port, keys, rows, 1000 * seed, counts) for seed in range(clients)]
        tasks = [asyncio.create_task(one.run(until)) for one in made]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(1)
            told.send(dict(counts))
        await asyncio.gather(*tasks)
        told.send(None)

    with asyncio.Runner(loop_factory=_loop()) as runner:
        runner.run(run())


def held(process: int) -> tuple[float, int, float]:
    """MiB of resident memory, open files, and seconds of CPU."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return pages * PAGE / 2**20, len(os.listdir(f"/proc/{process}/fd")), (int(fields[11]) + int(fields[12])) / TICK


def prepared(folder: Path, principals: int) -> tuple[int, int, int, list[str]]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    keys = [create(str(folder / "keys.json"), f"caller-{n}", roles=("caller",))[1] for n in range(principals)]
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "signing.pem").write_bytes(key)
    (folder / "signing.pem").chmod(0o600)
    digits = load_digits()
    rows = (digits.data / 16).astype(np.float32)
    model = LogisticRegression(max_iter=300).fit(rows[:600], digits.target[:600])
    scores = model.predict_proba(rows[600:1200])
    inputs = Tensor("x", "FP32", rows[600:1200].shape, rows[600:1200], {})
    build(str(folder / "reference"), "digits", [inputs], [Tensor("scores", "FP64", scores.shape, scores, {})])
    port, backend, metrics = free_port(), free_port(), free_port()
    (folder / "guard.toml").write_text(CONFIG.format(port=port, backend=backend, metrics=metrics))
    return port, backend, metrics, keys


def soak(folder: Path, minutes: float, clients: int, principals: int) -> dict[str, Any]:
    port, backend, metrics, keys = prepared(folder, principals)
    context = multiprocessing.get_context("spawn")
    stub = context.Process(target=serve, args=(backend,), daemon=True)
    stub.start()
    command = [sys.executable, "-m", "garrison", "guard", "--config", "guard.toml"]
    lines: list[dict[str, Any]] = []
    with open(folder / "said", "w") as said, subprocess.Popen(command, cwd=folder, stderr=said) as guard:
        try:
            while "for REST" not in (folder / "said").read_text():
                assert guard.poll() is None, (folder / "said").read_text()
                time.sleep(0.1)
            receiving, telling = context.Pipe(duplex=False)
            load = context.Process(target=ask, args=(port, keys, clients, minutes * 60, telling), daemon=True)
            load.start()
            begun = time.monotonic()
            before = (0, held(guard.pid)[2])
            while (counts := receiving.recv()) is not None:
                if time.monotonic() - begun < 60 * (len(lines) + 1):
                    continue
                urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=60).read()
                memory, files, cpu = held(guard.pid)
                asked = sum(counts.values())
                share = (cpu - before[1]) / max(1, asked - before[0])
                lines.append({"minute": len(lines) + 1, "asked": asked, "mib": round(memory, 1), "files": files})
                lines[-1] |= {"cpu_us": round(share * 1e6, 1), "answers": counts}
                before = (asked, cpu)
                print(json.dumps(lines[-1]), flush=True)
            load.join()
        finally:
            guard.send_signal(signal.SIGTERM)
            ended = guard.wait(90)
            stub.kill()
            stub.join()
    half = [one["mib"] for one in lines[len(lines) // 2 :]]
    slope = float(np.polyfit(range(len(half)), half, 1)[0]) if len(half) > 1 else 0.0
    verify = [sys.executable, "-m", "garrison", "audit", "verify", "audit"]
    verified = subprocess.run(verify, cwd=folder, check=False, capture_output=True, text=True)
    result = {"minutes": lines, "mib_a_minute": round(slope, 2), "ended": ended, "verified": verified.returncode}
    result["said"] = (folder / "said").read_text().splitlines()[:20]
    print(json.dumps({name: value for name, value in result.items() if name != "minutes"}), verified.stdout[-400:])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--principals", type=int, default=200)
    arguments = parser.parse_args()
    result = soak(arguments.folder, arguments.minutes, arguments.clients, arguments.principals)
    (arguments.folder / "soak.json").write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
