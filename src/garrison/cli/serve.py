"""Verify, examine and load a model, and serve it with MLServer behind a guard.

The model is loaded as `garrison.load` does: what the scan finds, a missing signature or a policy refuses it, and then
nothing is served. MLServer answers the guard alone. Without a configuration the guard lets in who has the key that is
made and shown once, to infer and to ask what the model takes; inputs are held to what the model says of itself, or to
the range of data; every call is in the audit log. It serves until it is told to end (SIGTERM).
Exit codes: 0 ended as told; 1 the model is refused; 2 wrong usage; 3 garrison or MLServer failed.
"""

import os
from typing import TYPE_CHECKING, Any

from garrison.cli import exits, terminal
from garrison.core.errors import GarrisonError, UsageError

if TYPE_CHECKING:
    import argparse

    from garrison.cli.arguments import Parser
    from garrison.serving.config.config import Config, Listen
    from garrison.serving.mlserver.launching import Launched, Served
    from garrison.serving.schema.settings import Input

_PRINCIPAL = "owner"
"""Whose the key is that is made."""


def configure(parser: "Parser") -> None:
    add = parser.add_argument
    add("model", metavar="MODEL", help="a model's file, of a format that garrison loads")
    add("--name", default="", metavar="NAME", help="what callers call it (default: the file's name)")
    add("--policy", default="", metavar="FILE", help="the policy for loading (default: garrison.toml by the model)")
    add("--public-key", default="", metavar="FILE", help="whose signature the model must have")
    add("--listen", default="", metavar="ADDRESS", help="for REST (default: 127.0.0.1:8000)")
    add("--grpc", default="", metavar="ADDRESS", help="for gRPC, too; not offered by default")
    add("--keys", default="", metavar="FILE", help="API keys that `garrison guard key` wrote, with the role `caller`")
    add("--audit", default="", metavar="DIR", help="the audit log (default: ./audit)")
    add("--data", default="", metavar="FILE", help="inputs that the model was made for: others' ranges are refused")
    add("--label", metavar="COLUMN", help="the column or the array of labels in the data, to leave out")
    add("--unchecked-schema", action="store_true", help="let through inputs that nothing describes")
    add("--config", default="", metavar="FILE", help="a guard's configuration; its server is replaced by this one")
    add("--mlserver", default="", metavar="PYTHON", help="the interpreter that has MLServer (default: this one)")


def run(arguments: "argparse.Namespace") -> int:
    import asyncio
    import importlib.util

    missing = [name for name in ("uvloop", "httptools", "numpy") if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"this takes {' and '.join(missing)}: pip install 'garrison[serving]'")
    import uvloop

    from garrison.serving.mlserver.launching import ModelRefused, Served, interpreter

    if arguments.config:
        for option in ("keys", "audit", "data", "unchecked_schema"):
            if getattr(arguments, option):
                raise UsageError(f"--{option.replace('_', '-')}: the configuration says so, with --config")
    if not os.path.isfile(arguments.model):
        raise UsageError(f"{arguments.model}: no such file")
    served = Served(arguments.model, _name(arguments), arguments.policy, arguments.public_key)
    python = interpreter(arguments.mlserver)
    # gRPC's core tells of its own doings on standard error.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(arguments, served, python))
    except ModelRefused:
        return exits.DENIED
    return exits.PASSED


async def _serve(arguments: "argparse.Namespace", served: "Served", python: str) -> None:
    import asyncio
    import signal
    import tempfile

    from garrison.serving.mlserver.launching import launched
    from garrison.serving.running import Running

    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)

    async def serve(folder: str) -> None:
        async with launched(python, served) as server:
            config, key = _config(arguments, served, server, folder)
            running = Running(config)
            try:
                await running.start()
                _say(served, config, key)
                await asyncio.wait((server.ended,))  # which goes on to be awaited where this is cancelled
            finally:
                await running.stop()
            raise GarrisonError(f"MLServer has ended, with exit status {server.ended.result()}")

    with tempfile.TemporaryDirectory(prefix="garrison-") as folder:
        serving, waiting = loop.create_task(serve(folder)), loop.create_task(told.wait())
        try:
            await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            if told.is_set():
                serving.cancel()
            results = await asyncio.gather(serving, waiting, return_exceptions=True)
    if isinstance(results[0], Exception):
        raise results[0]


def _config(arguments: "argparse.Namespace", served: "Served", server: "Launched", folder: str) -> "tuple[Config, str]":
    """The guard's configuration, and the key that was made for it, if one was."""
    from garrison.serving.authenticate import key_file
    from garrison.serving.config.config import Listen
    from garrison.serving.config.reading import read
    from garrison.serving.mlserver import defaults

    if arguments.config:
        own = read(arguments.config)
        return defaults.before(own, served, backend=server.backend, listen=_listen(arguments, own.listen)), ""
    schema = defaults.schema(
        server.metadata,
        rows=(lambda told: _rows(arguments, told)) if arguments.data else None,
        unchecked=arguments.unchecked_schema,
    )
    keys, key = arguments.keys, ""
    if not keys:
        keys = os.path.join(folder, "keys.json")
        _, key = key_file.create(keys, _PRINCIPAL, roles=(defaults.ROLE,))
    audit = arguments.audit or "audit"
    listen = _listen(arguments, Listen())
    return defaults.config(served, backend=server.backend, schema=schema, keys=keys, audit=audit, listen=listen), key


def _listen(arguments: "argparse.Namespace", listen: "Listen") -> "Listen":
    import msgspec

    return msgspec.structs.replace(listen, http=arguments.listen or listen.http, grpc=arguments.grpc or listen.grpc)


def _rows(arguments: "argparse.Namespace", told: "Input | None") -> "Input":
    """What the data says of the input, under the name and with the datatype that the model says."""
    import numpy as np

    from garrison.robustness.inputs.reading import read
    from garrison.serving.schema.drafting import from_data

    data = read(arguments.data, label=arguments.label)
    name = told.name if told is not None else "input"
    if data.kind == "text":
        return from_data(name, np.array([str(text) for text in data.inputs], object), "BYTES")
    drafted = from_data(name, np.asarray(data.inputs), told.datatype if told is not None else "FP32")
    if told is not None and not _fits(drafted.shape, told.shape):
        raise UsageError(f"{arguments.data}: rows of shape {drafted.shape[1:]}, and the model takes {told.shape[1:]}")
    return drafted


def _fits(shape: "tuple[int, ...]", told: "tuple[int, ...]") -> bool:
    return len(shape) == len(told) and all(b in (-1, a) for a, b in zip(shape[1:], told[1:], strict=True))


def _name(arguments: "argparse.Namespace") -> str:
    import re

    name: str = arguments.name or os.path.basename(arguments.model).partition(".")[0]
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,254}", name):
        raise UsageError(f"--name: {name[:64]!r} is no name of a model: letters, digits, '-', '_' and '.'")
    return name


def _say(served: "Served", config: "Config", key: str) -> None:
    lines: list[Any] = [f"serving {served.name}; audit log in {config.record.directory}"]
    if key:
        lines += ["the key, which is shown this once, and sent as x-api-key:", key]
    terminal.say(*lines)
