"""Puts guards in the place of functions and classes, wherever a module has them, now or once it is imported."""

import contextlib
import importlib.abc
import importlib.machinery
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import types
    from collections.abc import Callable, Iterable, Sequence


class Patches:
    """What was replaced by what, so that it can be undone."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []
        self._exchanged: list[tuple[object, object]] = []

    def everywhere(self, pairs: "Iterable[tuple[object, object]]") -> None:
        """Replace functions and classes in every module and in every class that has them under any name."""
        pairs = list(pairs)
        self._exchanged += pairs
        _exchange(pairs)

    def inside(self, module: "types.ModuleType", name: str, new: object) -> None:
        """Replace what a module has just defined, which nobody can have taken from it yet."""
        self._exchanged.append((module.__dict__[name], new))
        module.__dict__[name] = new

    def attribute(self, owner: Any, name: str, new: object) -> None:
        """Replace an attribute of a class."""
        old = owner.__dict__[name]
        setattr(owner, name, new)
        self._undo.append(lambda: setattr(owner, name, old))

    def bases(self, kind: type, old: type, new: type) -> None:
        """Replace one of the classes that a class was derived from."""
        before = kind.__bases__
        kind.__bases__ = tuple(new if base is old else base for base in before)

        def undo() -> None:
            kind.__bases__ = before

        self._undo.append(undo)

    def imports(self, targets: "dict[str, Callable[[types.ModuleType], None]]") -> None:
        """Call a function with each of some modules as soon as it is imported."""
        finder = _Finder(targets)
        sys.meta_path.insert(0, finder)
        self._undo.append(lambda: sys.meta_path.remove(finder))

    def undo(self) -> None:
        while self._undo:
            self._undo.pop()()
        _exchange([(new, old) for old, new in self._exchanged])
        self._exchanged.clear()


def _exchange(pairs: "Iterable[tuple[object, object]]") -> None:
    wanted = {id(old): new for old, new in pairs}
    for module in list(sys.modules.values()):
        namespace = getattr(module, "__dict__", None)
        if type(namespace) is not dict or namespace.get("__name__", "").startswith("garrison.artifacts.protecting"):
            continue
        for name, value in list(namespace.items()):
            if id(value) in wanted:
                namespace[name] = wanted[id(value)]
    for kind in _classes():
        for name, value in list(vars(kind).items()):
            if id(value) in wanted:
                _set(kind, name, wanted[id(value)])
            elif type(value) is staticmethod and id(value.__func__) in wanted:
                _set(kind, name, staticmethod(wanted[id(value.__func__)]))  # type: ignore[arg-type]


def _classes() -> "Iterable[type]":
    """All classes but those of the guards themselves."""
    found: dict[int, type] = {}
    pending: list[type] = [object]
    while pending:
        below: list[type] = type.__subclasses__(pending.pop())
        for kind in below:
            if id(kind) not in found:
                found[id(kind)] = kind
                pending.append(kind)
    return [kind for kind in found.values() if kind.__module__ != "garrison.artifacts.protecting.unpicklers"]


def _set(kind: type, name: str, value: object) -> None:
    with contextlib.suppress(TypeError):  # a class of C code keeps what it has
        setattr(kind, name, value)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds what the finders behind it find, and has the modules patched before anyone else sees them."""

    def __init__(self, targets: "dict[str, Callable[[types.ModuleType], None]]") -> None:
        self._targets = targets

    def find_spec(
        self, name: str, path: "Sequence[str] | None", target: "types.ModuleType | None" = None
    ) -> "importlib.machinery.ModuleSpec | None":
        if name not in self._targets:
            return None
        for finder in _behind(self):
            spec: importlib.machinery.ModuleSpec | None = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader, self._targets[name])
                return spec
        return None


def _behind(finder: _Finder) -> "Iterable[Any]":
    place = sys.meta_path.index(finder) if finder in sys.meta_path else -1
    return sys.meta_path[place + 1 :]


class _Loader(importlib.abc.Loader):
    def __init__(self, plain: Any, patch: "Callable[[types.ModuleType], None]") -> None:
        self._plain = plain
        self._patch = patch

    def create_module(self, spec: "importlib.machinery.ModuleSpec") -> "types.ModuleType | None":
        return self._plain.create_module(spec)  # type: ignore[no-any-return]

    def exec_module(self, module: "types.ModuleType") -> None:
        module.__loader__ = self._plain
        if module.__spec__ is not None:
            module.__spec__.loader = self._plain
        self._plain.exec_module(module)
        self._patch(module)
