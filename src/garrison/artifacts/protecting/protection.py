"""Guards everything in this process that unpickles or loads model files, and takes the guards off again."""

import functools
import os
import pickle
import sys
import types
from typing import Any

import msgspec

from garrison.artifacts.protecting.judging import Judge
from garrison.artifacts.protecting.patches import Patches
from garrison.artifacts.protecting.unpicklers import CUnpickler, Guards, PythonUnpickler
from garrison.core.registry import load


class _GuardedFunction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    module: str
    function: str
    """Dotted, if it is a method of a class."""
    guard: str
    """`module:function` taking the function, the judge and `argument`, returning the guarded function."""
    argument: str = ""
    """Which of its arguments is the file."""


def _functions() -> list[_GuardedFunction]:
    with open(os.path.join(os.path.dirname(__file__), "guarded_functions.json"), "rb") as file:
        return msgspec.json.decode(file.read(), type=list[_GuardedFunction])


def protect(judge: Judge) -> Patches:
    """Put the guards of a judge everywhere; what is returned takes them off."""
    patches = Patches()
    try:
        _put(Guards(judge), judge, patches)
    except BaseException:
        patches.undo()
        raise
    return patches


def _put(guards: Guards, judge: Judge, patches: Patches) -> None:
    for method, guard in guards.python_methods.items():
        patches.attribute(PythonUnpickler, method, guard)
    for kind in CUnpickler.__subclasses__():
        if kind is not guards.base and not kind.__module__.startswith("garrison."):
            patches.bases(kind, CUnpickler, guards.base)
    pairs: list[tuple[object, object]] = [
        (pickle.load, guards.load),
        (pickle.loads, guards.loads),
        (CUnpickler, guards.unpickler),
    ]
    later: dict[str, list[_GuardedFunction]] = {}
    for entry in _functions():
        owner, name = _owner(entry, sys.modules.get(entry.module))
        plain = None if owner is None else vars(owner).get(name)
        if plain is not None:
            guarded = load(entry.guard)(plain, judge, entry.argument)
            if isinstance(owner, type):
                patches.attribute(owner, name, guarded)
            else:
                pairs.append((plain, guarded))
        later.setdefault(entry.module, []).append(entry)
    patches.everywhere(pairs)
    patches.imports({name: functools.partial(_guard, patches, judge, entries) for name, entries in later.items()})


def _owner(entry: _GuardedFunction, module: types.ModuleType | None) -> tuple[Any, str]:
    """The module or class that has the function, `None` where there is none, and the function's name there."""
    kind, _, name = entry.function.rpartition(".")
    return (vars(module).get(kind) if module is not None and kind else module), name


def _guard(patches: Patches, judge: Judge, entries: list[_GuardedFunction], module: types.ModuleType) -> None:
    """Guard the functions of a module that is being imported."""
    for entry in entries:
        owner, name = _owner(entry, module)
        plain = None if owner is None else vars(owner).get(name)
        if plain is not None:
            put = patches.attribute if isinstance(owner, type) else patches.inside
            put(owner, name, load(entry.guard)(plain, judge, entry.argument))
