"""Runs commands that only read: absolute program, no shell, C locale, little time and a bounded output."""

import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from garrison.dependencies.hosts.recording import Command

if TYPE_CHECKING:
    import subprocess

DIRECTORIES = ("/usr/bin", "/usr/sbin", "/bin", "/sbin", "/snap/bin")
"""Where programs are looked for: not in PATH, which whoever starts the scan may not rule."""
_OUTPUT = 4 << 20
_ABSENT = "absent"


def run(argv: Sequence[str], seconds: float, directories: Sequence[str] = DIRECTORIES) -> Command:
    """What it prints; a program that is not there, hangs or prints without end is said so in the status."""
    import subprocess
    import tempfile

    words = " ".join(argv)
    program = next((path for path in _places(argv[0], directories) if os.access(path, os.X_OK)), None)
    if program is None:
        return Command(words, "", "", _ABSENT)
    environment = {"LC_ALL": "C", "LANG": "C", "PATH": ":".join(directories), "HOME": "/nonexistent"}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = subprocess.Popen(
                [program, *argv[1:]],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            return Command(words, "", str(error.strerror), _ABSENT)
        status = _wait(process.pid, process, seconds)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read(_OUTPUT).decode("utf-8", "replace"))
    return Command(words, texts[0], texts[1], status)


def _places(name: str, directories: Sequence[str]) -> Iterator[str]:
    return (os.path.join(directory, name) for directory in directories)


def _wait(pid: int, process: "subprocess.Popen[bytes]", seconds: float) -> str:
    import subprocess

    _limit_output(pid)
    try:
        status = process.wait(seconds)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        process.wait()
        return "timed out"
    return "too much output" if status == -signal.SIGXFSZ else str(status)


def _limit_output(pid: int) -> None:
    import resource

    if hasattr(resource, "prlimit"):
        with contextlib.suppress(OSError, ValueError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (_OUTPUT, _OUTPUT))
