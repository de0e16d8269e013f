"""Runs whole commands and measures them the way the operating system accounts for them."""

import os
import subprocess
import time
import tomllib
import venv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Peer:
    """One scanner in its own environment."""

    name: str
    requirements: list[str]
    command: list[str]
    flagged: list[int]
    clean: list[int]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One finished command."""

    verdict: str
    """`flagged`, `clean`, `error` (the tool says that it could not), `crash` (a signal or a traceback) or `timeout`."""
    wall: float
    """Seconds."""
    cpu: float
    """Seconds of the process and all that it waited for."""
    memory: float
    """MiB of the largest single process."""


def peers(names: list[str] | None = None, file: Path = HERE / "peers.toml") -> list[Peer]:
    """The scanners that a file lists, garrison first."""
    table: dict[str, Any] = tomllib.loads(file.read_text())
    return [Peer(name, **values) for name, values in table.items() if not names or name in names]


def prepare(requirements: list[str], folder: Path, without_dependencies: Sequence[str] = ()) -> Path:
    """A virtual environment with the requirements; made once. Returns its folder of programs.

    What is given `without_dependencies` is installed without what it asks for.
    """
    programs = folder / "bin"
    if not (folder / "complete").exists():
        venv.create(folder, with_pip=True, clear=True)
        install = [str(programs / "python"), "-m", "pip", "install", "--quiet", *requirements]
        subprocess.run(install, check=True, cwd=HERE.parent)
        if without_dependencies:
            bare = [str(programs / "python"), "-m", "pip", "install", "--quiet", "--no-deps", *without_dependencies]
            subprocess.run(bare, check=True, cwd=HERE.parent)
        (folder / "complete").touch()
    return programs


def run(peer: Peer, programs: Path, path: Path, *, limit: float) -> Run:
    """Scan `path` with a peer, for at most `limit` seconds."""
    command = [part.replace("{path}", str(path)) for part in peer.command]
    if (programs / command[0]).exists():
        command[0] = str(programs / command[0])
    environment = {**os.environ, **peer.environment}
    errors = os.memfd_create("errors")
    started = time.monotonic()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, env=environment
    )
    timed_out = False
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        if not timed_out and time.monotonic() - started > limit:
            timed_out = True
            process.kill()
        time.sleep(0.002)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - started
    traceback = b"Traceback (most recent call last)" in os.pread(errors, 1 << 20, 0)
    os.close(errors)
    return Run(
        verdict=_verdict(peer, process.returncode, timed_out, traceback),
        wall=wall,
        cpu=usage.ru_utime + usage.ru_stime,
        memory=usage.ru_maxrss / 1024,
    )


def _verdict(peer: Peer, code: int, timed_out: bool, traceback: bool) -> str:
    if timed_out:
        return "timeout"
    if code < 0 or traceback:
        return "crash"
    if code in peer.flagged:
        return "flagged"
    return "clean" if code in peer.clean else "error"
