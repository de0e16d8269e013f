"""The storages that the pickle of a checkpoint names."""

from garrison.artifacts.disarm import elements
from garrison.artifacts.disarm.shapes import LONGEST
from garrison.artifacts.disarm.values import Opaque, Reference, Storage, Value


class Storages:
    """Storages by their keys: the first name that a key is given with holds."""

    def __init__(self) -> None:
        self.known: dict[str, Storage] = {}

    def get(self, kind: Value, key: Value, count: Value) -> Value:
        """The storage of a persistent id, or an `Opaque` where it describes none."""
        name = kind.name if isinstance(kind, Reference) else ""
        dtype = "U8" if name == "UntypedStorage" else elements.STORAGES.get(name, "")
        if isinstance(key, int):
            key = str(key)
        if not dtype or not isinstance(key, str) or type(count) is not int or not 0 <= count < LONGEST:
            return Opaque(f"storage of type {name or 'unknown'}", 0)
        if key not in self.known:
            self.known[key] = Storage(dtype, key, count * elements.BYTES[dtype])
        return self.known[key]
