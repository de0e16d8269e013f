"""State that outlives a request, and that several guards may share."""

from typing import Protocol


class StoreUnavailable(Exception):
    """The store did not answer in time; nothing is known of what it did."""


class Store(Protocol):
    """Keys are text, times to live are seconds. Every method may raise `StoreUnavailable`, and waits no longer than
    it is configured to."""

    async def get(self, key: str) -> bytes | None: ...

    async def put(self, key: str, value: bytes, lifetime: float) -> None: ...

    async def add(self, key: str, lifetime: float) -> bool:
        """Whether the key was not there, and is now: the same for whoever asks at the same time."""
        ...

    async def increase(self, key: str, amount: float, lifetime: float) -> float:
        """The sum of all amounts since the key was new; its life ends `lifetime` after that."""
        ...
