"""Processes beside this one: forks of it where that is safe, else fresh interpreters."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence


def may_fork() -> bool:
    """Whether this process may be forked: a fork of one with other threads may inherit locks that nobody lets go."""
    threading = sys.modules.get("threading")
    return hasattr(os, "fork") and (threading is None or threading.active_count() == 1)


def fork(work: Callable[[], object]) -> int:
    """The number of a fork of this process that does `work` and ends, with status 1 where that raises."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return pid


def fork_or_spawn(
    work: Callable[[], object],
    run: Callable[[list[str]], object],
    arguments: Sequence[str],
    descriptors: tuple[int, ...],
) -> int:
    """The number of a process that does `work`.

    In a fresh interpreter, which has only `descriptors` open, `run` does it, told by `arguments`.
    """
    if may_fork():
        return fork(work)
    import subprocess

    code = f"import sys; sys.path[:] = {sys.path!r}; from {run.__module__} import {run.__name__}"
    code += f"; {run.__name__}(sys.argv[1:])"
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], pass_fds=descriptors, stdin=subprocess.DEVNULL)
    process.returncode = 0  # waited for by its number, as the forked ones are
    return process.pid


def end(pid: int) -> int:
    """Kill a process, wait for it, and return its status as `os.waitpid` gives it; 0 where the system keeps none."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    try:
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:
        return 0
