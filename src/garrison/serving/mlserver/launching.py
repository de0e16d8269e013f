"""Starts an MLServer with one model, which answers whoever started it and nobody else."""

import asyncio
import contextlib
import json
import os
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec

from garrison.core.errors import GarrisonError, UsageError
from garrison.serving.calls import Action, Answer, Call, Peer
from garrison.serving.config.config import Backend
from garrison.serving.http.pool import Pool
from garrison.serving.mlserver.loading import RUNTIME
from garrison.serving.refusals import Refused

_PATIENCE = 300.0
"""Seconds until a model must be ready."""
_LOOK = 0.1
_GRACE = 30.0
"""Seconds in which the server must end."""
_QUIET = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"errors": {"class": "logging.StreamHandler", "level": "ERROR"}},
    "root": {"handlers": ["errors"], "level": "ERROR"},
    "loggers": {"mlserver": {"level": "ERROR"}, "uvicorn": {"level": "ERROR"}},
}
"""Of what MLServer says of itself, only what went wrong; who called is in the guard's log."""


class ModelRefused(GarrisonError):
    """The model was not let through. Why, the server's process has said on standard error."""


@dataclass(frozen=True)
class Served:
    """What shall be served."""

    model: str
    """A file."""
    name: str
    policy: str = ""
    """A file; the one that is found beside the model when empty."""
    public_key: str = ""
    """A file: whose signature the model must have."""


@dataclass(frozen=True, eq=False)
class Launched:
    """An MLServer whose model is ready."""

    backend: Backend
    metadata: bytes
    """What it says of its model."""
    ended: "asyncio.Task[int]"
    """Done when its process has ended, with the exit status."""


@contextlib.asynccontextmanager
async def launched(python: str, served: Served) -> AsyncIterator[Launched]:
    """An MLServer, run by this interpreter, while the context lasts.

    Raises `UsageError` where there is no MLServer, `ModelRefused`, and `GarrisonError` for a server that ends or is not
    ready in five minutes.
    """
    with tempfile.TemporaryDirectory(prefix="garrison-") as folder:
        backend = _written(folder, served)
        process = await asyncio.create_subprocess_exec(
            python, "-m", "garrison.serving.mlserver", folder, "--sockets", folder,
            stdin=asyncio.subprocess.PIPE, stdout=sys.stderr, cwd=folder, env=_environment(), start_new_session=True,
        )  # fmt: skip
        ended = asyncio.create_task(process.wait())
        try:
            asking = asyncio.create_task(_metadata(backend, served.name))
            await asyncio.wait((asking, ended), return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
                raise _why(ended.result())
            yield Launched(backend, asking.result(), ended)
        finally:
            await _end(process, ended)


def interpreter(python: str) -> str:
    """The interpreter that has MLServer: the named one, else this one. Raises `UsageError`."""
    import importlib.util
    import shutil

    if python:
        found = shutil.which(python)
        if found is None:
            raise UsageError(f"{python}: no interpreter that can be run")
        return os.path.abspath(found)
    if importlib.util.find_spec("mlserver") is None:
        raise UsageError(
            "this takes MLServer, best in an environment of its own: pip install 'garrison[serving]' mlserver==1.7.1 "
            "'uvloop<0.22' there, and name its interpreter with --mlserver"
        )
    return sys.executable


def _written(folder: str, served: Served) -> Backend:
    """Write what MLServer reads, and say how to reach it."""
    extra = {"policy": served.policy and os.path.abspath(served.policy)}
    extra["public_key"] = served.public_key and os.path.abspath(served.public_key)
    parameters = {"uri": os.path.abspath(served.model), "extra": extra}
    settings = {"debug": False, "parallel_workers": 0, "metrics_endpoint": None, "kafka_enabled": False}
    place = os.path.join("models", served.name)  # MLServer expects a folder of the model's name
    files = {
        "settings.json": json.dumps({**settings, "host": "127.0.0.1", "logging_settings": _QUIET}),
        os.path.join(place, "model-settings.json"): json.dumps(
            {"name": served.name, "implementation": RUNTIME, "parameters": parameters}
        ),
        "secret": secrets.token_urlsafe(32),
    }
    os.makedirs(os.path.join(folder, place))
    for name, text in files.items():
        with open(os.path.join(folder, name), "x", encoding="utf-8") as file:
            file.write(text)
    path = {name: os.path.join(folder, name) for name in ("rest", "grpc:0", "secret")}
    return Backend(http=f"unix:{path['rest']}", grpc=f"unix:{path['grpc:0']}", secret_file=path["secret"])


def _environment() -> dict[str, str]:
    """This one's, without what would change MLServer's settings, or is a secret of the guard's."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith("MLSERVER_")}


async def _metadata(backend: Backend, name: str) -> bytes:
    """What the server says of its model, as soon as that is ready."""
    pool = Pool(msgspec.structs.replace(backend, connect_timeout=1.0, timeout=5.0))
    try:
        async with asyncio.timeout(_PATIENCE):
            while (await _asked(pool, f"/v2/models/{name}/ready")).status != 200:
                await asyncio.sleep(_LOOK)
        return (await _asked(pool, f"/v2/models/{name}")).body
    except TimeoutError:
        raise GarrisonError(f"MLServer was not ready with the model in {_PATIENCE:.0f} seconds") from None
    finally:
        await pool.close()


async def _asked(pool: Pool, target: str) -> Answer:
    call = Call(Action.HEALTH, transport="http", headers={}, peer=Peer(), method="GET", target=target)
    try:
        return await pool.ask(call)
    except Refused as refused:
        return Answer(refused.status)


def _why(status: int) -> GarrisonError:
    if status == 1:
        return ModelRefused("the model is refused")
    return UsageError("MLServer was not started") if status == 2 else GarrisonError(_ended(status))


def _ended(status: int) -> str:
    return f"MLServer has ended, with exit status {status}"


async def _end(process: Any, ended: "asyncio.Task[int]") -> None:
    """Let the server end what it has begun; make it end where it does not."""
    if process.stdin is not None:
        process.stdin.close()
    done, _ = await asyncio.wait((ended,), timeout=_GRACE)
    if not done:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await ended
