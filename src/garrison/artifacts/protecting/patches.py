"""Puts guards in the place of functions and classes, wherever a module has them, now or once it is imported."""

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

    def everywhere(self, old: object, new: object) -> None:
        """Replace a function or class in every module that has it under any name."""
        _exchange(old, new)
        self._undo.append(lambda: _exchange(new, old))

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
        """Call a function with each of some modules as soon as it is imported; at once if it is already."""
        finder = _Finder(targets)
        sys.meta_path.insert(0, finder)
        self._undo.append(lambda: sys.meta_path.remove(finder))
        for name, patch in targets.items():
            module = sys.modules.get(name)
            if module is not None:
                patch(module)

    def undo(self) -> None:
        while self._undo:
            self._undo.pop()()


def _exchange(old: object, new: object) -> None:
    for module in list(sys.modules.values()):
        namespace = getattr(module, "__dict__", None)
        if type(namespace) is not dict or namespace.get("__name__", "").startswith("garrison.artifacts.protecting"):
            continue
        for name, value in list(namespace.items()):
            if value is old:
                namespace[name] = new


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
