"""The command `garrison guard` in a process of its own, and plain ways of asking it and of looking at it."""

import http.client
import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from garrison.serving.authenticate.key_file import create
from tests.serving.servers import free_ports

GRANTS = """
[[authorise.roles.caller]]
actions = ["*"]
models = ["*"]

[[authorise.roles.admin]]
actions = ["*", "repository", "manage", "administer"]
models = ["*"]
"""

SCHEMA = """
[[models.digits.schema.inputs]]
name = "x"
datatype = "FP32"
shape = [-1, 64]
low = 0.0
high = 1.0
"""


class Guard:
    """A guard that runs, the ports that it listens at, and the keys of its callers."""

    def __init__(self, process: subprocess.Popen[str], folder: Path, port: int, grpc: int) -> None:
        self.process = process
        self.folder = folder
        self.port = port
        self.grpc = f"127.0.0.1:{grpc}"
        self.http = f"http://127.0.0.1:{port}"
        self.said: list[str] = []

    @property
    def log(self) -> str:
        """Where the audit log is."""
        return str(self.folder / "audit")

    def key(self, role: str = "caller") -> str:
        return (self.folder / f"{role}.key").read_text()

    def ask(self, path: str, sent: object = None, role: str = "caller", **headers: str) -> tuple[int, Any]:
        """Ask with the key of a role; `sent` is a body, or what JSON is made of."""
        return ask(self.http, path, sent, {"x-api-key": self.key(role), **headers})[:2]


def ask(
    address: str, path: str, sent: object = None, headers: Mapping[str, str] | None = None, timeout: float = 60
) -> tuple[int, Any, Mapping[str, str]]:
    """The status, the JSON and the headers of an answer; GET where nothing is sent."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=timeout)
    body = sent if sent is None or isinstance(sent, bytes) else json.dumps(sent).encode()
    try:
        named = {"content-type": "application/json", **(headers or {})}
        connection.request("GET" if body is None else "POST", path, body, named)
        with connection.getresponse() as response:
            text = response.read()
            with suppress(ValueError):
                text = json.loads(text)
            return response.status, text, {name.lower(): value for name, value in response.getheaders()}
    finally:
        connection.close()


def keyed(folder: Path) -> None:
    """Make a file of keys, with one for each role."""
    if not (folder / "keys.json").exists():
        for role in ("caller", "admin"):
            _, text = create(str(folder / "keys.json"), role, roles=(role,))
            (folder / f"{role}.key").write_text(text)


@contextmanager
def guarding(
    folder: Path, text: str, *, grpc: bool = False, listen: str = "", authenticate: str = ""
) -> Iterator[Guard]:
    """A guard with a configuration; `listen` and `authenticate` are further lines of those tables."""
    keyed(folder)
    port, other = free_ports(2)
    head = f'[listen]\nhttp = "127.0.0.1:{port}"\n' + (f'grpc = "127.0.0.1:{other}"\n' if grpc else "") + listen
    (folder / "guard.toml").write_text(f'{head}\n[authenticate]\nkeys = "keys.json"\n{authenticate}\n{GRANTS}\n{text}')
    with started(folder, port, other, "for gRPC" if grpc else "for REST") as guard:
        yield guard


@contextmanager
def started(folder: Path, port: int, grpc: int, last: str = "for REST") -> Iterator[Guard]:
    """The command, from when it listens until it has ended."""
    command = [sys.executable, "-m", "garrison", "guard", "--config", "guard.toml"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder)
    guard = Guard(process, folder, port, grpc)
    listening = threading.Event()
    assert process.stderr is not None

    def listen(lines: Any) -> None:
        for line in lines:
            guard.said.append(line)
            if last in line:
                listening.set()
        listening.set()

    # Read to its end, so that a guard that says much never waits for its reader.
    thread = threading.Thread(target=listen, args=(process.stderr,))
    thread.start()
    try:
        listening.wait(60)
        assert process.poll() is None and any(last in line for line in guard.said), guard.said
        yield guard
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(60)
        finally:
            process.kill()
            process.wait()
            thread.join()
            process.stderr.close()


def calls(log: str) -> list[dict[str, Any]]:
    """The calls in an audit log, as far as its lines are whole."""
    found = []
    for path in sorted(Path(log).glob("audit-*")):
        for line in path.read_bytes().split(b"\n"):
            with suppress(ValueError):
                entry = json.loads(line)
                if entry.get("kind") == "call":
                    found.append(entry)
    return found


def most_memory(process: int) -> int:
    """MiB that a process has held at most since `forget_memory`."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    assert found is not None
    return int(found[1]) >> 10


def forget_memory(process: int) -> int:
    """Let the most that a process has held be what it holds now, in MiB, which is returned."""
    Path(f"/proc/{process}/clear_refs").write_text("5")
    return most_memory(process)


class Relay:
    """Passes bytes on to a server and back, and knows what came for it."""

    def __init__(self, address: str) -> None:
        host, _, port = address.removeprefix("http://").rpartition(":")
        self._to = (host, int(port))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.received = b""
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> "Relay":
        self._threads[0].start()
        return self

    def __exit__(self, *raised: object) -> None:
        for one in (self._listening, *self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in (self._listening, *self._sockets):
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.create_connection(self._to)
            self._sockets += [near, far]
            for source, target, note in ((near, far, True), (far, near, False)):
                thread = threading.Thread(target=self._pass, args=(source, target, note))
                self._threads.append(thread)
                thread.start()

    def _pass(self, source: socket.socket, target: socket.socket, note: bool) -> None:
        with suppress(OSError):
            while part := source.recv(1 << 16):
                if note:
                    self.received += part
                target.sendall(part)
            target.shutdown(socket.SHUT_WR)
