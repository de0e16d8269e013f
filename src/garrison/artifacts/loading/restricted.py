"""An unpickler that resolves the names that a scan saw and the policy let pass, and no other.

That a name is allowed says nothing of what it may be called with: that was judged by the scan, and the bytes are the
same. What is left to this class is whatever the scan did not foresee: another reading of the stream finds no name
that it could use, and a name under which a module has what it imported from elsewhere is worth no more than the thing's
own name. Dotted names (protocol 4) are compared whole, before anything of them is resolved; extension codes
come here too, with the name that the process registered, unless one was resolved before, and the scan refuses those.
"""

import pickle
from types import ModuleType
from typing import IO, Any

from garrison.artifacts.knowledge.imports import verdict
from garrison.artifacts.loading.refusal import LoadRefused

Names = frozenset[tuple[str, str]]
"""Modules and names as a pickle writes them, before Python 2's are translated."""


def require(names: Names, module: str, name: str) -> None:
    """Raise `LoadRefused` for a name that is not among those that were let pass."""
    if (module, name) not in names:
        raise LoadRefused(f"the stream resolves {module}.{name}, which the scan did not see")


def own(found: Any, module: str, name: str) -> Any:
    """What a name was resolved to, if it is not in truth another thing that is known to be dangerous.

    A module has under its own name all that it imported: where `mycompany.models.*` is allowed, or `sklearn`'s classes
    are known to be harmless, that says nothing of an `os.system` or a whole module that can be had there. A pickler
    writes where a thing is defined. Raises `LoadRefused`.
    """
    written = verdict(module, name)
    if written.kind not in ("unknown", "safe"):
        return found  # which was judged for what it is
    if isinstance(found, ModuleType):
        if name and found.__name__ != f"{module}.{name}":
            raise LoadRefused(f"the stream resolves {module}.{name}, which is the module {found.__name__}")
        return found
    home = getattr(found, "__module__", None), getattr(found, "__qualname__", None)
    if isinstance(home[0], str) and isinstance(home[1], str):
        true = verdict(*home)
        if true.kind in ("dangerous", "unlisted") and true.target != written.target:
            raise LoadRefused(f"the stream resolves {module}.{name}, which is {true.target}")
    return found


class Unpickler(pickle.Unpickler):
    """Resolves nothing but `names`.

    There is no method for persistent objects, which would hide the one that PyTorch sets; without one they raise.
    """

    def __init__(self, file: "IO[bytes]", names: Names, **settings: Any) -> None:
        super().__init__(file, **settings)
        self._names = names

    def find_class(self, module: str, name: str) -> Any:
        require(self._names, module, name)
        return own(super().find_class(module, name), module, name)


class PickleModule:
    """What frameworks take in place of the module `pickle`."""

    __name__ = "pickle"
    UnpicklingError = pickle.UnpicklingError

    def __init__(self, names: Names) -> None:
        class Bound(Unpickler):
            def __init__(self, file: "IO[bytes]", **settings: Any) -> None:
                super().__init__(file, names, **settings)

        self.Unpickler = Bound

    def load(self, file: "IO[bytes]", **settings: Any) -> Any:
        return self.Unpickler(file, **settings).load()
