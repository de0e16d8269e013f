"""Guards everything in this process that unpickles or loads model files, and takes the guards off again."""

import functools
import os
import pickle
import types
from typing import TYPE_CHECKING, Any

import msgspec

from garrison.artifacts.protecting.judging import Judge
from garrison.artifacts.protecting.patches import Patches
from garrison.artifacts.protecting.unpicklers import CUnpickler, Guards, PythonUnpickler
from garrison.core.registry import load

if TYPE_CHECKING:
    from collections.abc import Callable


class _GuardedFunction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    module: str
    function: str
    guard: str
    """`module:function` taking the function, the judge and `argument`, returning the guarded function."""
    argument: str = ""
    """Which of its arguments is the file."""


def _functions() -> list[_GuardedFunction]:
    with open(os.path.join(os.path.dirname(__file__), "guarded_functions.json"), "rb") as file:
        return msgspec.json.decode(file.read(), type=list[_GuardedFunction])


def protect(judge: Judge) -> Patches:
    """Put the guards of a judge everywhere; what is returned takes them off."""
    guards = Guards(judge)
    patches = Patches()
    for method, guard in guards.python_methods.items():
        patches.attribute(PythonUnpickler, method, guard)
    for kind in CUnpickler.__subclasses__():
        if kind is not guards.base and not kind.__module__.startswith("garrison."):
            patches.bases(kind, CUnpickler, guards.base)
    patches.everywhere(pickle.load, guards.load)
    patches.everywhere(pickle.loads, guards.loads)
    patches.everywhere(CUnpickler, guards.unpickler)
    targets: dict[str, list[Callable[[types.ModuleType], None]]] = {}
    for entry in _functions():
        targets.setdefault(entry.module, []).append(functools.partial(_guard_function, judge, patches, entry))
    targets["multiprocessing.reduction"] = [functools.partial(_guard_forking, guards, patches)]
    patches.imports({name: functools.partial(_each, functions) for name, functions in targets.items()})
    return patches


def _each(functions: "list[Callable[[types.ModuleType], None]]", module: types.ModuleType) -> None:
    for function in functions:
        function(module)


def _guard_function(judge: Judge, patches: Patches, entry: _GuardedFunction, module: types.ModuleType) -> None:
    plain: Any = module.__dict__.get(entry.function)
    if plain is not None:
        patches.everywhere(plain, load(entry.guard)(plain, judge, entry.argument))


def _guard_forking(guards: Guards, patches: Patches, module: types.ModuleType) -> None:
    """What processes of one program send each other: a stream inside such a stream is known to be part of it."""
    if module.__dict__["ForkingPickler"].__dict__.get("loads") is not guards.loads:
        patches.attribute(module.__dict__["ForkingPickler"], "loads", guards.loads)
