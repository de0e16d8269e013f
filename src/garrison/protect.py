"""`garrison.protect()` and `python -m garrison.protect`: what loads models here refuses what the policy refuses.

    import garrison

    garrison.protect()  # for the rest of the process, in all threads and in the Pythons that it starts

    with garrison.protect(garrison.Policy(threshold="medium")):
        ...

It is no sandbox: it stands between files and the functions that load them. Code that runs already can take it off.
"""

import os
import sys
import threading
import types
from typing import TYPE_CHECKING, Self

import msgspec

from garrison.core.errors import UsageError
from garrison.core.policy import Policy

if TYPE_CHECKING:
    from garrison.artifacts.protecting.patches import Patches

POLICY_VARIABLE = "GARRISON_PROTECT"
"""The environment variable that holds the policy, as JSON, for the Pythons that this one starts."""
_PATH_VARIABLE = "PYTHONPATH"
_START = os.path.join(os.path.dirname(__file__), "interpreter_start")
"""The folder of the `sitecustomize` that an interpreter imports before anything of the program's."""

_lock = threading.RLock()
_active: "Protection | None" = None


class Protection:
    """What `protect` put in place; as a context manager it is taken off again at the end of the outermost block."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._users = 0
        self._patches: Patches | None = None
        self._environment: dict[str, str | None] = {}

    def _start(self) -> None:
        from garrison.artifacts.protecting.judging import Judge
        from garrison.artifacts.protecting.protection import protect as guard

        self._patches = guard(Judge(self.policy))
        for name, value in environment(self.policy).items():
            self._environment[name] = os.environ.get(name)
            os.environ[name] = value

    def stop(self) -> None:
        """Take all guards off, in this process."""
        global _active
        with _lock:
            if self._patches is None:
                return
            self._patches.undo()
            self._patches = None
            for name, value in self._environment.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
            _active = None

    def __enter__(self) -> Self:
        with _lock:
            self._users += 1
        return self

    def __exit__(self, *_: object) -> None:
        with _lock:
            self._users -= 1
            if not self._users:
                self.stop()


def protect(policy: Policy | None = None) -> Protection:
    """Have everything that unpickles or loads model files in this process refuse what `policy` refuses.

    The default policy counts without one. What is refused raises `garrison.LoadRefused`. The same call again changes
    nothing; one with another policy raises `UsageError` as long as the first holds.
    """
    global _active
    with _lock:
        if _active is None:
            protection = Protection(policy or Policy())
            protection._start()
            _active = protection
        elif policy is not None and policy != _active.policy:
            raise UsageError("this process is protected already, by another policy")
        return _active


def environment(policy: Policy) -> dict[str, str]:
    """The variables that make a Python protect itself as it starts."""
    others = [path for path in os.environ.get(_PATH_VARIABLE, "").split(os.pathsep) if path and path != _START]
    return {
        POLICY_VARIABLE: msgspec.json.encode(policy).decode(),
        _PATH_VARIABLE: os.pathsep.join([_START, *others]),
    }


def protect_as_told() -> None:
    """Protect this process, if the one that started it was protected."""
    policy = os.environ.get(POLICY_VARIABLE)
    if policy is not None:
        protect(msgspec.json.decode(policy, type=Policy))


def main(arguments: list[str]) -> int:
    """Become a protected Python that runs a script or a module. Returns only if that cannot be: with 2."""
    import argparse

    from garrison.core.policy_file import load_policy

    parser = argparse.ArgumentParser(
        prog="python -m garrison.protect",
        description="Run a script or a module that can load only what the policy lets through.",
        usage="%(prog)s [--policy FILE] (SCRIPT | -m MODULE) [ARGUMENT ...]",
    )
    parser.add_argument(
        "--policy", metavar="FILE", help="the policy (default: the nearest garrison.toml, or [tool.garrison])"
    )
    parser.add_argument("-m", dest="module", nargs=argparse.REMAINDER, help="a module to run, and its arguments")
    parser.add_argument("script", nargs=argparse.REMAINDER, help="a script to run, and its arguments")
    parsed = parser.parse_args(arguments)
    command = ["-m", *parsed.module] if parsed.module else parsed.script
    if not command:
        parser.error("name a script, or a module after -m")
    if sys.flags.ignore_environment or sys.flags.no_site:
        parser.error("Python was told (-E, -I or -S) to start without what protects it")
    try:
        policy = load_policy(parsed.policy)
    except UsageError as error:
        parser.error(str(error))
    os.environ.update(environment(policy))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *_interpreter_options(), *command])


def _interpreter_options() -> list[str]:
    """What this Python was told before `-m garrison.protect`."""
    given = sys.orig_argv[1:]
    for place, argument in enumerate(given):
        if argument in ("-mgarrison.protect", "-m"):
            return given[:place]
    return []


class _Callable(types.ModuleType):
    # `python -m garrison.protect` needs a module of this name and `garrison.protect()` a function, and a package has
    # one attribute for both: the module, which therefore can be called.
    __call__ = staticmethod(protect)


sys.modules[__name__].__class__ = _Callable

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
