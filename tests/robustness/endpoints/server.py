"""A model server on loopback, for tests: answers as it is told to, also wrongly."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from numpy.typing import NDArray

Fault = Callable[["Handler"], bool]
"""Handles a request in place of the server, unless it returns False."""


class Server(ThreadingHTTPServer):
    """A linear model over four features with three classes; counts what it is asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.metadata: dict[str, Any] = {
            "name": "m",
            "platform": "test",
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
            "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
        }
        self.scores: Callable[[NDArray[Any]], Any] = logits
        self.faults: list[Fault] = []
        """For the next requests, one each."""
        self.asked = 0
        self.requests: list[tuple[str, dict[str, str], Any]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def model(self) -> str:
        return f"{self.address}/v2/models/m"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no error of the tests."""


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        self.reply(self.server.metadata)

    def do_POST(self) -> None:
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, dict(self.headers), document))
        if self.server.faults and self.server.faults.pop(0)(self):
            return
        if self.path.partition("?")[0].endswith("/infer"):
            tensor = document["inputs"][0]
            inputs = np.array(tensor["data"]).reshape(tensor["shape"])
            answer = self.server.scores(inputs)
            self.server.asked += len(inputs)
            flat = np.array(answer)
            self.reply(
                {"outputs": [{"name": "y", "datatype": "FP32", "shape": flat.shape, "data": flat.ravel().tolist()}]}
            )
        else:
            inputs = np.array(document["instances"])
            self.server.asked += len(inputs)
            self.reply({"predictions": np.array(self.server.scores(inputs)).tolist()})

    def reply(self, document: object, status: int = 200, **headers: str) -> None:
        self.raw(json.dumps(document).encode(), status, **headers)

    def raw(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


WEIGHTS = np.array([[1.0, -1.0, 0.5], [0.5, 1.0, -1.0], [-1.0, 0.5, 1.0], [0.2, -0.3, 0.1]])


def logits(inputs: NDArray[Any]) -> Any:
    return inputs.reshape(len(inputs), 4) @ WEIGHTS * 3


def probabilities(inputs: NDArray[Any]) -> Any:
    shifted = np.exp(logits(inputs))
    return shifted / shifted.sum(1, keepdims=True)


def decisions(inputs: NDArray[Any]) -> Any:
    return logits(inputs).argmax(1)


def status(code: int, text: str = "no", **headers: str) -> Fault:
    def fault(handler: Handler) -> bool:
        handler.raw(text.encode(), code, **headers)
        return True

    return fault


def body(data: bytes, **headers: str) -> Fault:
    def fault(handler: Handler) -> bool:
        handler.raw(data, **headers)
        return True

    return fault


def reset(handler: Handler) -> bool:
    """End the connection without an answer."""
    handler.close_connection = True
    handler.connection.close()
    return True


def slow(seconds: float) -> Fault:
    def fault(handler: Handler) -> bool:
        time.sleep(seconds)
        return False

    return fault


def drip(handler: Handler) -> bool:
    """A byte now and then, for ever."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    for _ in range(50):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)
    return True


def answer(rows: object, shape: list[int]) -> Fault:
    """An answer of the V2 protocol with other rows than were asked for."""

    def fault(handler: Handler) -> bool:
        handler.reply({"outputs": [{"name": "y", "datatype": "FP32", "shape": shape, "data": rows}]})
        return True

    return fault


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
