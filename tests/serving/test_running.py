"""The guard as a process, before a server that answers at once: put together, reloaded, stopped, replayed."""

import asyncio
import http.client
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from garrison.cli.main import main
from garrison.core.errors import UsageError
from garrison.serving.assembly import Assembled
from garrison.serving.authenticate.key_file import create
from garrison.serving.config.reading import read
from garrison.serving.replay import replay
from garrison.serving.running import Running

CONFIG = """
[listen]
http = "127.0.0.1:{port}"

[backends.default]
http = "{backend}"

[authenticate]
keys = "keys.json"

[[authorise.roles.caller]]
actions = ["*"]
models = ["digits"]

[models.digits]
admit.rate = {rate}
[[models.digits.schema.inputs]]
name = "x"
datatype = "FP32"
shape = [-1, 2]
low = 0.0
high = 1.0
"""


class Stub(http.server.ThreadingHTTPServer):
    """Answers every inference with two scores."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.headers: list[dict[str, str]] = []
        self.pause = 0.0


class Answering(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Stub

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        time.sleep(self.server.pause)
        outputs = [{"name": "scores", "datatype": "FP64", "shape": [1, 2], "data": [0.25, 0.75]}]
        body = json.dumps({"model_name": "digits", "outputs": outputs}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stub() -> Iterator[Stub]:
    with Stub() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def configured(folder: Path, stub: Stub, *, rate: float = 1000, more: str = "") -> tuple[str, int]:
    port = free_port()
    (folder / "guard.toml").write_text(CONFIG.format(port=port, backend=stub.address, rate=rate) + more)
    if not (folder / "keys.json").exists():
        _, text = create(str(folder / "keys.json"), "ana", roles=("caller",))
        (folder / "key").write_text(text)
    return str(folder / "guard.toml"), port


def body(*values: float) -> bytes:
    entry = {"name": "x", "datatype": "FP32", "shape": [1, len(values)], "data": values}
    return json.dumps({"inputs": [entry]}).encode()


def asked(
    port: int, key: str = "", path: str = "/v2/models/digits/infer", sent: bytes | None = None
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        headers = {"content-type": "application/json", **({"x-api-key": key} if key else {})}
        connection.request("POST", path, body(0.5, 0.5) if sent is None else sent, headers)
        with connection.getresponse() as response:
            return response.status, json.loads(response.read() or b"null")
    finally:
        connection.close()


@contextmanager
def guarding(path: str, port: int) -> Iterator[subprocess.Popen[str]]:
    """The command, in a process of its own."""
    command = [sys.executable, "-m", "garrison", "guard", "--config", path]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=os.path.dirname(path))
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "for REST" in line:
                break
        else:
            raise AssertionError("it did not begin to listen")
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)


def test_a_guard_lets_in_who_may_and_keeps_a_log_that_verifies(
    tmp_path: Path, stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    path, port = configured(tmp_path, stub)
    key = (tmp_path / "key").read_text()
    with guarding(path, port):
        assert asked(port)[0] == 401
        status, answer = asked(port, key)
        assert (status, answer["outputs"][0]["data"]) == (200, [0.25, 0.75])
        assert "x-api-key" not in stub.headers[0]
        assert asked(port, key, sent=body(0.5, 1.5))[0] == 422
        assert asked(port, key, sent=b"{")[0] == 400
        assert asked(port, key, "/v2/repository/models/digits/unload", b"")[0] == 403
        assert asked(port, key, "/v2/models/other/infer")[0] == 403
        assert asked(port, key, "/metrics")[0] == 404
    assert len(stub.headers) == 1
    assert main(["audit", "verify", str(tmp_path / "audit")]) == 0
    assert main(["audit", "show", str(tmp_path / "audit"), "--format", "json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    calls = [line for line in lines if line["kind"] == "call"]
    assert [(one["status"], one.get("refused", "")) for one in calls] == [
        (401, "unauthenticated"), (200, ""), (422, "unacceptable"), (400, "malformed"), (403, "forbidden"),
        (403, "forbidden"), (404, "unknown"),
    ]  # fmt: skip


def test_a_reload_drops_no_request_and_a_bad_one_changes_nothing(tmp_path: Path, stub: Stub) -> None:
    path, port = configured(tmp_path, stub)
    key = (tmp_path / "key").read_text()
    statuses: list[int] = []
    done = threading.Event()

    def ask_on() -> None:
        while not done.is_set():
            statuses.append(asked(port, key)[0])

    with guarding(path, port) as process:
        threads = [threading.Thread(target=ask_on) for _ in range(3)]
        for thread in threads:
            thread.start()
        good = Path(path).read_text()
        assert process.stderr is not None
        for text in (good + "[nonsense]\n", good.replace("high = 1.0", "high = 0.4"), good):
            Path(path).write_text(text)
            process.send_signal(signal.SIGHUP)
            line = process.stderr.readline()
            assert "reloaded" in line
            if "0.4" in text:
                assert asked(port, key)[0] == 422
        done.set()
        for thread in threads:
            thread.join()
    assert set(statuses) <= {200, 422}
    assert 200 in statuses


def test_a_guard_that_is_told_to_end_answers_what_has_begun(tmp_path: Path, stub: Stub) -> None:
    path, port = configured(tmp_path, stub)
    key = (tmp_path / "key").read_text()
    stub.pause = 1.0
    found: list[int] = []
    with guarding(path, port) as process:
        thread = threading.Thread(target=lambda: found.append(asked(port, key)[0]))
        thread.start()
        while not stub.headers:
            time.sleep(0.01)
        process.terminate()
        thread.join()
        assert process.wait(60) == 0
    assert found == [200]


def test_a_log_is_replayed_by_another_configuration(
    tmp_path: Path, stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    path, port = configured(tmp_path, stub)
    key = (tmp_path / "key").read_text()
    with guarding(path, port):
        assert [asked(port, key)[0] for _ in range(10)] == [200] * 10
        assert asked(port)[0] == 401
    log = str(tmp_path / "audit")
    same = replay([log], read(path))
    assert (same.calls, same.same, same.not_decided, same.changed) == (11, 10, 1, ())
    text = Path(path).read_text()
    for old, new, reason in (
        ("admit.rate = 1000", "admit.queries-per-day = 4", "limited"),
        ('models = ["digits"]', 'models = ["other"]', "forbidden"),
        ("[models.digits", "[models.renamed", "unknown"),
    ):
        Path(path).write_text(text.replace(old, new))
        (changed,) = replay([log], read(path)).changed
        assert (changed.principal, changed.was, changed.now) == ("ana", "", reason)
        assert changed.calls == (6 if reason == "limited" else 10)
    assert main(["guard", "replay", log, "--config", path]) == 1
    assert "10 of ana (infer digits): let through before, unknown now" in capsys.readouterr().out
    main(
        ["guard", "key", "revoke", json.loads((tmp_path / "keys.json").read_text())["keys"][0]["id"], "--config", path]
    )
    Path(path).write_text(text)
    assert [one.now for one in replay([log], read(path)).changed] == ["unauthenticated"]


def test_what_only_a_restart_changes_is_said(tmp_path: Path, stub: Stub) -> None:
    path, _ = configured(tmp_path, stub)

    async def run() -> None:
        running = Running(read(path), say=lambda text: None)
        await running.start()
        try:
            Path(path).write_text(Path(path).read_text().replace("127.0.0.1:", "localhost:", 1))
            with pytest.raises(UsageError, match=r"\[listen\] changes only when the guard starts again"):
                await running.reload(read(path))
        finally:
            await running.stop()

    asyncio.run(run())


def test_reloads_come_one_after_the_other_and_none_after_the_end(tmp_path: Path, stub: Stub) -> None:
    path, _ = configured(tmp_path, stub, more="[models.digits.observe.feedback]\nenabled = true\n")

    async def run() -> None:
        running = Running(read(path), say=lambda text: None)
        await running.start()
        before = asyncio.all_tasks()
        await asyncio.gather(*(running.reload(read(path)) for _ in range(5)))
        # Of the configurations that have gone nothing goes on but their closing.
        assert len(asyncio.all_tasks()) <= len(before) + 5
        await asyncio.gather(running.stop(), _refused(running.reload(read(path))))
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def _refused(reload: Any) -> None:
        with pytest.raises(UsageError, match="is ending"):
            await reload

    asyncio.run(run())


def test_a_reload_that_fails_halfway_changes_nothing_and_leaves_nothing(
    tmp_path: Path, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = configured(tmp_path, stub, more="[models.digits.observe.feedback]\nenabled = true\n")

    async def run() -> None:
        running = Running(read(path), say=lambda text: None)
        await running.start()
        before, tasks = running.assembled, len(asyncio.all_tasks())
        start = Assembled.start

        def fails(assembled: Assembled) -> None:
            start(assembled)
            if assembled is not before:
                raise UsageError("cannot be")

        monkeypatch.setattr(Assembled, "start", fails)
        with pytest.raises(UsageError, match="cannot be"):
            await running.reload(read(path))
        assert running.assembled is before and running.http.gateway is before.http
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == tasks
        monkeypatch.undo()
        await running.reload(read(path))
        assert running.assembled is not before
        await running.stop()

    asyncio.run(run())


def test_a_reload_goes_on_with_the_calls_whose_labels_are_waited_for(tmp_path: Path, stub: Stub) -> None:
    path, port = configured(tmp_path, stub, more="[models.digits.observe.feedback]\nenabled = true\n")
    text = Path(path).read_text().replace('actions = ["*"]', 'actions = ["*", "feedback"]')
    Path(path).write_text(text)
    key = (tmp_path / "key").read_text()

    def told(call: str) -> int:
        sent = json.dumps({"call": call, "labels": [1]}).encode()
        return int(asked(port, key, "/v2/models/digits/feedback", sent)[1]["rows"])

    def identified() -> str:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request(
                "POST",
                "/v2/models/digits/infer",
                body(0.5, 0.5),
                {"x-api-key": key, "content-type": "application/json"},
            )
            response = connection.getresponse()
            response.read()
            return response.headers["x-request-id"]
        finally:
            connection.close()

    async def run() -> None:
        running = Running(read(path), say=lambda text: None)
        await running.start()
        try:
            call = await asyncio.to_thread(identified)
            await running.reload(read(path))
            assert await asyncio.to_thread(told, call) == 1
        finally:
            await running.stop()

    asyncio.run(run())


def test_a_check_says_what_is_wrong_and_what_is_unwise(
    tmp_path: Path, stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = configured(tmp_path, stub)
    assert main(["guard", "check", "--config", path]) == 1
    printed = capsys.readouterr().out
    assert "could run, with digits" in printed
    assert "record.signing-key: the log is chained and not signed" in printed
    text = Path(path).read_text()
    for old, new, said in (
        ("shape = [-1, 2]", "shape = [-2, 2]", "models.digits.schema"),
        ('datatype = "FP32"', 'datatype = "FP33"', "no datatype 'FP33'"),
        ("[backends.default]", "[backends.other]", "models.digits.backend: no backend named 'default'"),
        ('keys = "keys.json"', 'keys = "none.json"', "none.json: No such file or directory"),
        ("admit.rate = 1000", "admit.rate = -1", "models"),
    ):
        Path(path).write_text(text.replace(old, new))
        assert main(["guard", "check", "--config", path]) == 2, new
        assert said in capsys.readouterr().err
    assert main(["guard", "check", "--config", str(tmp_path / "none")]) == 2
