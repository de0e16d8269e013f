"""Put a guard in front of model servers: who may ask what, how much, and what is noticed meanwhile.

Without an action it runs, until it is told to end (SIGTERM); SIGHUP has it read its configuration again, without a
dropped request. `check` says whether a configuration could run, and what is unwise in it; `replay` what it would have
made of recorded calls; `key` makes, lists, rotates and revokes API keys; `reference` makes what drift is told by;
`draft` writes a schema to begin with; `dashboard` writes one for Grafana.
Exit codes: 0 done; 1 check: something is unwise, replay: calls would be refused that were not; 2 wrong usage;
3 garrison itself failed.
"""

import os
from typing import TYPE_CHECKING, Any

from garrison.cli import exits, terminal
from garrison.core.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from garrison.cli.arguments import Parser
    from garrison.serving.authenticate.key_file import Key
    from garrison.serving.config.config import Config
    from garrison.serving.tensors.tensor import Tensor

_KEY_ACTIONS = ("create", "list", "rotate", "revoke")


def configure(parser: "Parser") -> None:
    add = parser.add_argument
    add("action", nargs="?", choices=tuple(_ACTIONS), default="run", metavar="ACTION", help="see above (default: run)")
    add(
        "subjects",
        nargs="*",
        metavar="SUBJECT",
        help="replay: audit logs; key: create NAME, list, rotate ID or revoke ID",
    )
    add("--config", metavar="FILE", default="guard.toml", help="the configuration (default: guard.toml)")
    add("--keys", metavar="FILE", default="", help="key: the file of keys, in place of the configured one")
    add("--role", action="append", default=[], metavar="NAME", help="key create: a role; repeatable")
    add("--tenant", default="", metavar="NAME", help="key create: the tenant")
    add("--days", type=float, metavar="N", help="key create: the key's life; without end by default")
    add("--overlap-days", type=float, default=7.0, metavar="N", help="key rotate: the old key's rest (default: 7)")
    add("--model", default="", metavar="NAME", help="draft, reference: the model")
    add("--data", default="", metavar="FILE", help="draft, reference: inputs that the model was made for")
    add("--label", metavar="COLUMN", help="draft, reference: the column or the array of labels, to leave out")
    add("--input", default="", metavar="NAME", help="draft, reference: the model's input (default: its only one)")
    add("--outputs", default="", metavar="FILE", help="reference: an .npy of the model's scores for the same rows")
    add("--datatype", default="FP32", metavar="TYPE", help="draft, reference: of the input (default: FP32)")
    add("--output", "-o", default="-", metavar="PATH", help="draft, dashboard: a file; reference: a directory")
    add("--passphrase-file", metavar="FILE", default="", help="of the key that signs the audit log, if it has one")
    add("--format", choices=("text", "json"), default="text", help="check, replay, key list: how it is written")


def run(arguments: "argparse.Namespace") -> int:
    return _ACTIONS[arguments.action](arguments)


def _run(arguments: "argparse.Namespace") -> int:
    import asyncio

    if arguments.subjects:
        raise UsageError(f"{arguments.subjects[0]!r}: a guard takes no subject; name its configuration with --config")
    _require("uvloop", "httptools", "numpy")
    import uvloop

    # gRPC's core tells of its own doings on standard error.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    # NumPy's matrices here are small: threads that wait for each other over them cost several times the work.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    from garrison.serving.config.reading import read
    from garrison.serving.running import Running

    config = read(arguments.config)

    async def serve() -> None:
        running = Running(config, passphrase=lambda: _passphrase(arguments), say=_tell)
        await _until_told(arguments.config, running)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
    return exits.PASSED


async def _until_told(path: str, running: Any) -> None:
    """Serve until a signal says to end; another one after that ends at once."""
    import asyncio
    import gc
    import signal

    from garrison.core.errors import GarrisonError, first_line
    from garrison.serving.config.reading import read

    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    tasks: set[asyncio.Task[None]] = set()

    async def reload() -> None:
        try:
            await running.reload(await asyncio.to_thread(read, path))
        except GarrisonError as error:
            _tell(f"garrison: not reloaded, and going on as before: {error}")
        except Exception as error:
            _tell(f"garrison: not reloaded, and going on as before: {type(error).__name__}: {first_line(error)}")
        else:
            _tell(f"garrison: reloaded {path}")

    def reloading() -> None:
        task = loop.create_task(reload())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    loop.add_signal_handler(signal.SIGHUP, reloading)
    await running.start()
    # What is there by now stays: it need not be looked at again and again for what is garbage.
    gc.collect()
    gc.freeze()
    await told.wait()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)
    await running.stop()
    await asyncio.gather(*tasks)


def _tell(text: str) -> None:
    """One line for whoever runs it, with what it quotes made harmless; whether it can be written or not."""
    import contextlib
    import sys

    from garrison.reporting.text import printable

    with contextlib.suppress(OSError, ValueError):
        print(printable(text), file=sys.stderr, flush=True)


def _check(arguments: "argparse.Namespace") -> int:
    from garrison.serving.alerts.notifier import check as check_alerts
    from garrison.serving.assembly import check
    from garrison.serving.checking import advice

    config = _config(arguments)
    check_alerts(config.alerts)
    check(config)
    found = list(advice(config))
    if arguments.format == "json":
        _json({"config": arguments.config, "models": list(config.models), "advice": found})
    else:
        models = ", ".join(config.models) or "no model"
        terminal.say(
            f"{arguments.config}: could run, with {models}", *(f"  {one.where}: {one.message}" for one in found)
        )
    return exits.DENIED if found else exits.PASSED


def _replay(arguments: "argparse.Namespace") -> int:
    from garrison.serving.replay import replay, words

    if not arguments.subjects:
        raise UsageError("replay: name the audit logs to replay")
    replayed = replay(arguments.subjects, _config(arguments))
    if arguments.format == "json":
        _json(replayed)
    else:
        terminal.say(*words(replayed))
    return exits.DENIED if replayed.newly_refused else exits.PASSED


def _key(arguments: "argparse.Namespace") -> int:
    from garrison.serving.authenticate import key_file

    action, *rest = arguments.subjects or [""]
    if action not in _KEY_ACTIONS or len(rest) != (0 if action == "list" else 1):
        raise UsageError("key: create NAME, list, rotate ID or revoke ID")
    path = arguments.keys or _config(arguments).authenticate.keys
    if not path:
        raise UsageError(f"{arguments.config}: has no authenticate.keys; name the file with --keys")
    if action == "list":
        keys = key_file.read(path)
        if arguments.format == "json":
            _json(keys)
        else:
            terminal.say(*(_about(key) for key in keys))
        return exits.PASSED
    if action == "revoke":
        terminal.say(f"revoked: {key_file.revoke(path, rest[0]).id}")
        return exits.PASSED
    if action == "rotate":
        key, text = key_file.rotate(path, rest[0], overlap=arguments.overlap_days * 86400)
    else:
        lifetime = None if arguments.days is None else arguments.days * 86400
        key, text = key_file.create(
            path, rest[0], roles=tuple(arguments.role), tenant=arguments.tenant, lifetime=lifetime
        )
    terminal.say(f"{_about(key)}", "the key, which is shown this once:", text)
    return exits.PASSED


def _about(key: "Key") -> str:
    import datetime
    import time

    state = "revoked" if key.revoked else "good" if key.good(time.time()) else "not good now"
    until = (
        f", until {datetime.datetime.fromtimestamp(key.expires, datetime.UTC):%Y-%m-%d %H:%M} UTC"
        if key.expires
        else ""
    )
    tenant = f", tenant {key.tenant}" if key.tenant else ""
    return f"{key.id}: {key.principal}, {', '.join(key.roles) or 'no role'}{tenant}, {state}{until}"


def _draft(arguments: "argparse.Namespace") -> int:
    from garrison.serving.schema.drafting import from_data, toml

    if not arguments.model or not arguments.data:
        raise UsageError("draft: name the model with --model and its inputs with --data")
    tensor = _inputs(arguments)
    text = toml(arguments.model, (from_data(tensor.name, tensor.data, tensor.datatype),))
    _write(arguments.output, text)
    return exits.PASSED


def _reference(arguments: "argparse.Namespace") -> int:
    _require("numpy", "scipy", "safetensors")
    from garrison.serving.observe.reference.reference import build

    if not arguments.model or not arguments.data or arguments.output == "-":
        raise UsageError("reference: name the model with --model, inputs with --data, a directory with --output")
    outputs = [_scores(arguments.outputs)] if arguments.outputs else []
    reference = build(arguments.output, arguments.model, [_inputs(arguments)], outputs)
    terminal.say(f"written: {arguments.output}, of {arguments.model}, {reference.digest[:16]}")
    return exits.PASSED


def _dashboard(arguments: "argparse.Namespace") -> int:
    from importlib.resources import files

    _write(arguments.output, (files("garrison.serving.metrics") / "grafana.json").read_text())
    return exits.PASSED


_ACTIONS = {
    "run": _run,
    "check": _check,
    "replay": _replay,
    "key": _key,
    "reference": _reference,
    "draft": _draft,
    "dashboard": _dashboard,
}


def _config(arguments: "argparse.Namespace") -> "Config":
    _require("msgspec", "numpy")
    from garrison.serving.config.reading import read

    return read(arguments.config)


def _inputs(arguments: "argparse.Namespace") -> "Tensor":
    """The rows of the data as the model's input. Raises `UsageError`."""
    _require("numpy")
    import numpy as np

    from garrison.robustness.inputs.reading import read
    from garrison.serving.tensors.datatypes import DTYPES
    from garrison.serving.tensors.tensor import Tensor

    if arguments.datatype not in DTYPES:
        raise UsageError(f"--datatype: {arguments.datatype!r} is none of {', '.join(DTYPES)}")
    data = read(arguments.data, label=arguments.label)
    name = arguments.input or "input"
    if data.kind == "text":
        texts = np.empty(len(data), object)
        texts[:] = [str(text).encode() for text in data.inputs]
        return Tensor(name, "BYTES", texts.shape, texts, {})
    rows = np.asarray(data.inputs).astype(DTYPES[arguments.datatype])
    return Tensor(name, arguments.datatype, rows.shape, rows, {})


def _scores(path: str) -> "Tensor":
    import numpy as np

    from garrison.serving.tensors.tensor import Tensor

    try:
        scores = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {getattr(error, 'strerror', None) or 'no array of NumPy'}") from None
    if not isinstance(scores, np.ndarray) or scores.dtype.kind not in "fiu":
        raise UsageError(f"{path}: no array of NumPy that holds numbers")
    datatype = "INT64" if scores.dtype.kind in "iu" else "FP64"
    scores = scores.astype(np.int64 if datatype == "INT64" else np.float64)
    return Tensor("scores", datatype, scores.shape, scores, {})


def _passphrase(arguments: "argparse.Namespace") -> bytes | None:
    if not arguments.passphrase_file:
        return None
    from garrison.core.files import contents

    return contents(arguments.passphrase_file, 1 << 16).rstrip(b"\r\n")


def _write(path: str, text: str) -> None:
    if path == "-":
        terminal.write(text, as_is=True)
    else:
        terminal.write_file(path, text)


def _json(value: object) -> None:
    import msgspec

    terminal.write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n", as_is=True)


def _require(*names: str) -> None:
    import importlib.util

    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"this takes {' and '.join(missing)}: pip install 'garrison[serving]'")
