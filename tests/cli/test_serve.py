"""One command that verifies, loads and serves a model, or says why not."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from garrison.cli.main import main
from tests.serving.mlserver.asking import message, question, remote, rest
from tests.serving.mlserver.conftest import SOURCES
from tests.serving.servers import TRAIN, environment, free_ports

INFER = "/v2/models/digits/infer"


class Serving:
    """The command, in a process of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        python = environment("mlserver")
        self.http, self.grpc = free_ports(2)
        addresses = ["--listen", f"127.0.0.1:{self.http}", "--grpc", f"127.0.0.1:{self.grpc}"]
        command = [sys.executable, "-m", "garrison", "serve", *options, "--mlserver", str(python), *addresses]
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": SOURCES, "TMPDIR": str(folder)} | threads,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.key = ""

    def begun(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("garrison_"):
                self.key = line.strip()
                return
        raise AssertionError(self.process.stderr.read() if self.process.stderr else "")

    def ended(self) -> tuple[int, str]:
        _, said = self.process.communicate(timeout=120)
        return self.process.returncode, said


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Serving]:
    found = Serving(folder, *options)
    try:
        yield found
    finally:
        if found.process.poll() is None:
            found.process.terminate()
        found.process.communicate(timeout=120)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "digits.joblib"
    subprocess.run([environment("mlserver"), "-c", TRAIN, path], check=True)
    return path


def children(process: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def test_a_model_is_served_behind_a_key_and_ends_as_told(tmp_path: Path, model: Path) -> None:
    with serving(tmp_path, str(model)) as server:
        server.begun()
        asked = question(name="input")
        assert rest(server.http, INFER, asked)[0] == 401
        status, answer = rest(server.http, INFER, asked, server.key)
        assert (status, answer["outputs"][0]["shape"]) == (200, [1, 1])
        assert rest(server.http, INFER, question(name="input", columns=63), server.key)[0] in (400, 422)
        assert rest(server.http, "/v2/repository/models/digits/unload", {}, server.key)[0] == 403
        target = f"127.0.0.1:{server.grpc}"
        assert remote(target, "ModelInfer", message(name="input"), server.key)[0] == "OK"
        assert remote(target, "ModelInfer", message(name="input"))[0] == "UNAUTHENTICATED"
        # Who is on the machine and finds the server's own sockets is not answered, either.
        (folder,) = (path.parent for path in tmp_path.glob("garrison-*/secret"))
        assert folder.stat().st_mode & 0o077 == 0
        assert behind(folder / "rest") == 403
        unload = remote(f"unix:{folder / 'grpc:0'}", "RepositoryModelUnload", b"")
        assert unload[0] == "PERMISSION_DENIED"
        assert rest(server.http, INFER, asked, server.key)[0] == 200
        (child,) = children(server.process.pid)
        server.process.terminate()
        code, _ = server.ended()
        assert code == 0
        assert not Path(f"/proc/{child}").exists()
    assert not list(tmp_path.glob("garrison-*"))
    assert main(["audit", "verify", str(tmp_path / "audit")]) == 0


def behind(path: Path) -> int:
    """What the server's own socket says to a stranger."""

    async def ask() -> int:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b"GET /v2 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return int(line.split()[1])

    return asyncio.run(ask())


def test_when_the_server_dies_the_command_ends_with_an_error(tmp_path: Path, model: Path) -> None:
    with serving(tmp_path, str(model)) as server:
        server.begun()
        (child,) = children(server.process.pid)
        os.kill(child, signal.SIGKILL)
        code, said = server.ended()
    assert code == 3
    assert "MLServer has ended, with exit status -9" in said


def test_when_the_command_is_killed_the_server_ends_too(tmp_path: Path, model: Path) -> None:
    with serving(tmp_path, str(model)) as server:
        server.begun()
        (child,) = children(server.process.pid)
        server.process.kill()
        server.ended()
        for _ in range(600):
            if not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split()[2]:
                break
            time.sleep(0.1)
        else:
            os.kill(child, signal.SIGKILL)
            raise AssertionError("the server outlives who started it")


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    path = tmp_path / "digits.pkl"
    touched = tmp_path / "touched"
    path.write_bytes(b"cos\nsystem\n(Vtouch " + str(touched).encode() + b"\ntR.")
    return path


def test_what_the_scan_finds_is_not_served(tmp_path: Path, evil: Path) -> None:
    with serving(tmp_path, str(evil)) as server:
        code, said = server.ended()
    assert code == 1
    assert said.count("\n") == 1 and said.startswith("garrison: ") and "system" in said
    assert not (tmp_path / "touched").exists()
    assert not (tmp_path / "audit").exists()


def test_without_the_signature_that_is_asked_for_nothing_is_served(tmp_path: Path, model: Path) -> None:
    assert main(["key", "generate", "--output", str(tmp_path / "release.key")]) == 0
    with serving(tmp_path, str(model), "--public-key", "release.key.pub") as server:
        code, said = server.ended()
    assert code == 1
    assert said.count("\n") == 1 and "sign" in said


@pytest.mark.parametrize(
    "options, said",
    [
        (["none.joblib"], "none.joblib: no such file"),
        (["digits.pkl", "--name", "../x"], "is no name of a model"),
        (["digits.pkl", "--mlserver", "no-such-python"], "no interpreter that can be run"),
        (["digits.pkl", "--config", "guard.toml", "--keys", "keys.json"], "--keys: the configuration says so"),
        (["digits.pkl", "--config", "guard.toml", "--unchecked-schema"], "--unchecked-schema: the configuration says"),
    ],
)
def test_wrong_usage(
    tmp_path: Path,
    evil: Path,
    options: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["serve", *options]) == 2
    assert said in capsys.readouterr().err


def test_an_environment_without_mlserver_says_how_to_make_one(
    tmp_path: Path, evil: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "mlserver" else found(name))
    assert main(["serve", str(evil)]) == 2
    assert "mlserver==1.7.1 'uvloop<0.22'" in capsys.readouterr().err
