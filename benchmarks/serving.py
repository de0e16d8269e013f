"""Measures the guard before model servers, beside no proxy at all and beside nginx: same model, same client, one run.

    python benchmarks/serving.py                         # everything, a few minutes
    python benchmarks/serving.py --parts stub --seconds 10
    python benchmarks/serving.py --garrison python --mlserver ~/mlserver/bin/python    # environments that are there

Needs `wrk` and, for its column, `nginx`. The model is a logistic regression on scikit-learn's digits; each request asks
about one image of 64 numbers in JSON, over connections that are kept. All fronts take turns, and of the turns the best
counts; the CPU of the guard's process for each request says most where a machine is shared.

- `stub`: before a server that answers at once. Guard and client with stub have one core each.
- `stages`: the same, with the guard's stages switched on one after the other.
- `mlserver`: before MLServer, which has one core; front and client share the other.
- `grpc`: before a server that answers by gRPC at once.
- `screening`: before the stub, with a detector of adversarial inputs, at the cost that its card states.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from measurement import HERE, prepare

GARRISON = [".[serving]", "scikit-learn"]
MLSERVER = ["mlserver==1.7.1", "mlserver-sklearn==1.7.1", "uvloop<0.22"]
TASKS = HERE / "serving_tasks"
PARTS = ("stub", "stages", "grpc", "screening", "mlserver")
BASE = """
[listen]
http = "127.0.0.1:{port}"
[backends.default]
http = "http://127.0.0.1:{backend}"
[authenticate]
keys = "keys.json"
[[authorise.roles.caller]]
actions = ["*"]
models = ["digits"]
[record]
directory = "{audit}"
"""
STAGES = {
    "key, role, chained record": "[models.digits.schema]\nunchecked = true\n",
    "and limits": "[models.digits.admit]\nrate = 90000\nrows-rate = 90000\nconcurrency = 1000\n"
    "queries-per-day = 900_000_000\nrows-per-day = 900_000_000\n",
    "and a schema with ranges": '[[models.digits.schema.inputs]]\nname = "x"\ndatatype = "FP32"\nshape = [-1, 64]\n'
    "low = 0.0\nhigh = 1.0\n",
    "and signed record with digests, metrics": "",
    "and drift, outputs, queries": '[models.digits.observe]\nreference = "reference"\n',
}
"""What is switched on one after the other."""
SIGNED = 'signing-key = "audit.key"\ndigest-key = "digest.key"\n'
SCREEN = '[models.digits.screen.detectors.bent]\ndirectory = "detector"\nreaction = "flag"\n'


@dataclass
class Load:
    """What a client saw, and what the front cost."""

    rate: float
    """Answers a second."""
    median: float
    """Milliseconds."""
    late: float
    """Milliseconds, of 99 % of answers."""
    cpu: float
    """Microseconds of the front's processor a request; NaN where there is no front."""
    failed: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=HERE / "work", help="where environments and inputs are kept")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seconds", type=int, default=5, help="of one load")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--garrison", default="", help="an interpreter that has garrison and scikit-learn")
    parser.add_argument("--mlserver", default="", help="an interpreter that has MLServer")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed")
    ours = (
        Path(options.garrison) if options.garrison else prepare(GARRISON, options.work / "serving-garrison") / "python"
    )
    world = options.work / "serving"
    made(ours, world)
    if {"stub", "stages", "screening"} & set(options.parts):
        with stub(ours) as backend:
            if "stub" in options.parts:
                fronts(options, ours, world, backend, "an instant stub", client="0")
            if "stages" in options.parts:
                stages(options, ours, world, backend)
            if "screening" in options.parts:
                screening(options, ours, world, backend)
    if "grpc" in options.parts:
        grpc(options, ours, world)
    if "mlserver" in options.parts:
        theirs = environment(options.mlserver, MLSERVER, options.work / "serving-mlserver")
        with mlserver(theirs, world) as backend:
            fronts(options, ours, world, backend, "MLServer 1.7.1", client="1")


def environment(given: str, requirements: list[str], folder: Path) -> Path:
    """The interpreter that was named, or that of an environment that is made once."""
    return Path(given) if given else prepare(requirements, folder) / "python"


def made(python: Path, world: Path) -> None:
    """Data, model, reference, keys, and what the client sends; once."""
    if (world / "requests.lua").exists():
        return
    shutil.rmtree(world, ignore_errors=True)
    world.mkdir(parents=True)
    subprocess.run([python, TASKS / "world.py", world], check=True)


def fronts(options: argparse.Namespace, python: Path, world: Path, backend: int, name: str, *, client: str) -> None:
    """`client` is the core that the client runs on: that of the front, or that of the server."""
    clients = (16, 1)
    kinds = ["direct", *(["nginx"] if shutil.which("nginx") else []), "guard", "guard and observation"]
    loads: dict[tuple[str, int], list[Load]] = {}
    for _ in range(options.turns):
        for kind in kinds:
            with ExitStack() as stack:
                port, process = backend, 0
                if kind == "nginx":
                    port, process = stack.enter_context(nginx(world, backend))
                elif kind != "direct":
                    config = configured(world, backend, "observation" in kind)
                    port, process = stack.enter_context(guard(python, world, config))
                for count in clients:
                    load = loaded(world, port, count, options.seconds, process, client)
                    loads.setdefault((kind, count), []).append(load)
    print(f"\n### Before {name}\n")
    columns = "front | clients | answers a second | of direct | median ms | added ms | 99 % ms | CPU µs a request"
    print(f"| {columns} | failed |")
    print("|---|---|---|---|---|---|---|---|---|")
    for count in clients:
        direct = best(loads["direct", count])
        for kind in kinds:
            load = best(loads[kind, count])
            print(
                f"| {kind} | {count} | {load.rate:,.0f} | {load.rate / direct.rate:.2f} | {load.median:.2f} "
                f"| {load.median - direct.median:.2f} | {load.late:.2f} | {cell(load.cpu)} | {load.failed} |",
                flush=True,
            )


def stages(options: argparse.Namespace, python: Path, world: Path, backend: int) -> None:
    print("\n### Stage by stage, before the stub, on one core, 16 clients\n")
    print("| with | answers a second | CPU µs a request |")
    print("|---|---|---|")
    for number, name in enumerate(STAGES):
        loads = []
        for _ in range(options.turns):
            config = staged(world, backend, number)
            with guard(python, world, config) as (port, process):
                loads.append(loaded(world, port, 16, options.seconds, process, "0"))
        load = best(loads)
        print(f"| {name} | {load.rate:,.0f} | {cell(load.cpu)} |", flush=True)


def screening(options: argparse.Namespace, python: Path, world: Path, backend: int) -> None:
    if not (world / "detector").exists():
        print("\nscreening: no detector was made (it takes garrison[robustness])")
        return
    card = json.loads((world / "detector" / "detector.json").read_text())
    config = configured(world, backend, False, SCREEN)
    with guard(python, world, config) as (port, process):
        load = loaded(world, port, 16, options.seconds, process, "0")
    config = configured(world, backend, False)
    with guard(python, world, config) as (port, process):
        without = loaded(world, port, 16, options.seconds, process, "0")
    states = card["cost"]["microseconds"] if card.get("cost") else float("nan")
    print(
        f"\nscreening: {load.cpu - without.cpu:.0f} µs of CPU a request ({load.rate:,.0f} answers a second, "
        f"{without.rate:,.0f} without); the card says {states:.0f} µs an input"
    )


def grpc(options: argparse.Namespace, python: Path, world: Path) -> None:
    print("\n### By gRPC, before an instant stub\n")
    print("| front | clients | answers a second | median ms | 99 % ms | CPU ms a call | failed |")
    print("|---|---|---|---|---|---|---|")
    at = free_port()
    with running([python, TASKS / "grpc_stub.py", str(at)], pinned="0"):
        await_port(at)
        loads: dict[tuple[str, int], list[Load]] = {}
        for _ in range(options.turns):
            for count in (16, 1):
                load = loaded(world, at, count, options.seconds, 0, "0", python)
                loads.setdefault(("direct", count), []).append(load)
            for kind in ("guard", "guard and observation"):
                config = configured(world, at, "observation" in kind)
                config = config.replace('[listen]\nhttp = "', '[listen]\nhttp = ""\ngrpc = "')
                config = config.replace('http = "http://', 'grpc = "')
                with guard(python, world, config) as (port, process):
                    for count in (16, 1):
                        load = loaded(world, port, count, options.seconds, process, "0", python)
                        loads.setdefault((kind, count), []).append(load)
    for (kind, count), some in loads.items():
        load = best(some)
        cpu = "" if load.cpu != load.cpu else f"{load.cpu / 1000:.2f}"
        print(f"| {kind} | {count} | {load.rate:,.0f} | {load.median:.2f} | {load.late:.2f} | {cpu} | {load.failed} |")


def staged(world: Path, backend: int, number: int) -> str:
    text = BASE.format(port=free_port(), backend=backend, audit=world / "audit")
    signed = number >= 3
    if signed:
        text += SIGNED + f'[metrics]\nlisten = "127.0.0.1:{free_port()}"\n'
    parts = list(STAGES.values())
    text += "".join(part for at, part in enumerate(parts[: number + 1]) if at != 0 or number < 2)
    return text


def configured(world: Path, backend: int, observed: bool, more: str = "") -> str:
    return staged(world, backend, 4 if observed else 3) + more


def best(loads: list[Load]) -> Load:
    return max(loads, key=lambda load: load.rate)


def cell(value: float) -> str:
    return "" if value != value else f"{value:.0f}"


def loaded(
    world: Path, port: int, clients: int, seconds: int, process: int, core: str, grpc: Path | None = None
) -> Load:
    """By wrk, or by gRPC with the interpreter that has it."""
    if grpc is not None:
        command = [str(grpc), str(TASKS / "grpc_load.py"), str(world), str(port), str(clients), str(seconds)]
    else:
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}", "--latency", "-s", str(world / "requests.lua")]
        command.append(f"http://127.0.0.1:{port}/v2/models/digits/infer")
    command = ["taskset", "-c", core, *command]
    before = ticks(process)
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    after = ticks(process)
    result = json.loads(printed[printed.index("RESULT") + 6 :].splitlines()[0])
    cpu = (after - before) / os.sysconf("SC_CLK_TCK") * 1e6 / max(result["requests"], 1) if process else float("nan")
    return Load(
        rate=result["requests"] / result["duration"] * 1e6,
        median=result["median"] / 1000,
        late=result["late"] / 1000,
        cpu=cpu,
        failed=result["failed"],
    )


def ticks(process: int) -> int:
    """Processor time of a process and of its children that are there."""
    if not process:
        return 0
    total = 0
    for one in [process, *children(process)]:
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total


def children(process: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@contextmanager
def running(command: list[str | Path], *, cwd: Path | None = None, pinned: str = "") -> Iterator[int]:
    if pinned:
        command = ["taskset", "-c", pinned, *command]
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def guard(python: Path, world: Path, config: str) -> Iterator[tuple[int, int]]:
    """The guard's port and process."""
    (world / "guard.toml").write_text(config)
    shutil.rmtree(world / "audit", ignore_errors=True)
    port = int(config.split(' = "127.0.0.1:')[1].split('"')[0])
    command = [python, "-m", "garrison", "guard", "--config", world / "guard.toml"]
    with running(command, cwd=world, pinned="1") as process:
        await_port(port)
        yield port, process


@contextmanager
def nginx(world: Path, backend: int) -> Iterator[tuple[int, int]]:
    port = free_port()
    (world / "nginx.conf").write_text(
        f"""daemon off; worker_processes 1; pid {world}/nginx.pid; error_log stderr;
events {{ worker_connections 256; }}
http {{ access_log off;
upstream server {{ server 127.0.0.1:{backend}; keepalive 32; }}
server {{ listen 127.0.0.1:{port};
location / {{ proxy_pass http://server; proxy_http_version 1.1; proxy_set_header Connection ""; }} }} }}
"""
    )
    command: list[str | Path] = ["nginx", "-p", world, "-c", world / "nginx.conf"]
    with running(command, pinned="1") as process:
        await_port(port)
        yield port, process


@contextmanager
def stub(python: Path) -> Iterator[int]:
    port = free_port()
    with running([python, TASKS / "stub.py", str(port)], pinned="0"):
        await_port(port)
        yield port


@contextmanager
def mlserver(python: Path, world: Path) -> Iterator[int]:
    http, grpc, metrics = free_port(), free_port(), free_port()
    folder = world / "mlserver"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    settings = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics}
    settings |= {"parallel_workers": 0, "debug": False}
    model = {"name": "digits", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./m.joblib"}}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    subprocess.run([python, TASKS / "model.py", folder / "m.joblib"], check=True)
    with running([python, "-m", "mlserver.cli.main", "start", folder], cwd=folder, pinned="0"):
        await_port(http)
        time.sleep(5)
        yield http


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def await_port(port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"nothing listens at {port}")


if __name__ == "__main__":
    main()
