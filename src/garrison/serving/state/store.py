"""State that outlives a request, and that several guards may share."""

from collections.abc import Awaitable, Sequence
from typing import NamedTuple, Protocol


class StoreUnavailable(Exception):
    """The store did not answer in time; nothing is known of what it did."""


class Take(NamedTuple):
    """What a call takes of a limit."""

    key: str
    cost: float
    most: float
    """What a bucket holds when full; or the sum that a count may reach."""
    interval: float
    """Seconds in which one unit comes back to the bucket; 0 for a count, to which nothing comes back."""
    lifetime: float
    """Seconds from now until a count ends; buckets end when they are full."""


class Short(NamedTuple):
    """Why nothing was taken."""

    which: int
    """The index of the take that there was not enough for."""
    wait: float
    """Seconds until there may be; infinite where it is more than the limit ever holds."""


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

    def take(self, takes: Sequence[Take]) -> Short | Awaitable[Short | None] | None:
        """Take all of it, or nothing where one limit has too little; `None` when taken. What is embedded does not
        wait. Buckets follow the generic cell rate algorithm (ATM Forum TM 4.0, section 4.4.2): within any time t no
        more than `most + t / interval` is taken."""
        ...
