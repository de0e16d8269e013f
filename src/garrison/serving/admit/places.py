"""Who is in flight."""

from weakref import WeakKeyDictionary

from garrison.serving.services import Services


class Places:
    """Counts what is held; keeps nothing of what is not."""

    def __init__(self) -> None:
        self._held: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._held)

    def take(self, keys: tuple[tuple[str, int], ...]) -> int:
        """Take one place of each, by key and how many there are; or none, and the index of the one that is full.
        -1 when taken."""
        held = self._held
        for index, (key, most) in enumerate(keys):
            if held.get(key, 0) >= most:
                return index
        for key, _ in keys:
            held[key] = held.get(key, 0) + 1
        return -1

    def give_back(self, keys: tuple[tuple[str, int], ...]) -> None:
        for key, _ in keys:
            left = self._held[key] - 1
            if left:
                self._held[key] = left
            else:
                del self._held[key]


_PLACES: WeakKeyDictionary[Services, Places] = WeakKeyDictionary()


def places(services: Services) -> Places:
    """Those of a process: calls of an earlier configuration still hold theirs."""
    return _PLACES.setdefault(services, Places())
