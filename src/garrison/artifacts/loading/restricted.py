"""An unpickler that resolves the names that a scan saw and the policy let pass, and no other.

That a name is allowed says nothing of what it may be called with: that was judged by the scan, and the bytes are the
same. What is left to this class is whatever the scan did not foresee: another reading of the stream finds no name
that it could use. Dotted names (protocol 4) are compared whole, before anything of them is resolved; extension codes
come here too, with the name that the process registered, unless one was resolved before, and the scan refuses those.
"""

import pickle
from typing import IO, Any

from garrison.artifacts.loading.refusal import LoadRefused

Names = frozenset[tuple[str, str]]
"""Modules and names as a pickle writes them, before Python 2's are translated."""


def require(names: Names, module: str, name: str) -> None:
    """Raise `LoadRefused` for a name that is not among those that were let pass."""
    if (module, name) not in names:
        raise LoadRefused(f"the stream resolves {module}.{name}, which the scan did not see")


class Unpickler(pickle.Unpickler):
    """Resolves nothing but `names`.

    There is no method for persistent objects, which would hide the one that PyTorch sets; without one they raise.
    """

    def __init__(self, file: "IO[bytes]", names: Names, **settings: Any) -> None:
        super().__init__(file, **settings)
        self._names = names

    def find_class(self, module: str, name: str) -> Any:
        require(self._names, module, name)
        return super().find_class(module, name)


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
