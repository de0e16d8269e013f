"""State in this process, bounded however many keys there are."""

import asyncio
import contextlib
import math
import os
import tempfile
import time
from array import array
from collections.abc import Callable, Sequence

import msgspec

from garrison.core.errors import UsageError
from garrison.serving.state.store import Short, StoreUnavailable, Take

_SLOTS = 1 << 16
_SAVE_AFTER = 5.0
"""Seconds from a change to its place in the snapshot: what a killed process forgets of its quotas."""
_MOST_SNAPSHOT = 1 << 28


class _Snapshot(msgspec.Struct, forbid_unknown_fields=True):
    """Counts by key, each with the time since 1970 at which it ends."""

    counts: dict[str, tuple[float, float]]


class MemoryStore:
    """Keeps the last `most_keys` buckets, as many counts, and as many values.

    A bucket that must make room leaves its state in one of a fixed number of slots, by a keyed hash, where the later
    of two stands. A key that comes back starts from its slot: it is never fuller for having been away, so a stranger
    who floods the table wins nothing by it. Counts and values are never dropped before their end: without room for a
    new one the store is unavailable.
    """

    def __init__(
        self,
        most_keys: int = 100_000,
        *,
        snapshot: str = "",
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`snapshot` is the file that counts are kept in over a restart. Raises `UsageError` where it cannot be
        read: quotas that are silently forgotten are no quotas."""
        self._most = most_keys
        self._monotonic = monotonic
        self._wall = wall
        self._buckets: dict[str, float] = {}
        """When each is full again, by the monotonic clock; the longest unused first."""
        self._slots = array("d", [-math.inf]) * _SLOTS
        self._counts: dict[str, tuple[float, float]] = {}
        """Sum, and when it ends."""
        self._values: dict[str, tuple[bytes, float]] = {}
        self._snapshot = snapshot
        self._saving: asyncio.TimerHandle | None = None
        if snapshot:
            self._load()

    def take(self, takes: Sequence[Take]) -> Short | None:
        now = self._monotonic()
        buckets = self._buckets
        later = []
        for index, (key, cost, most, interval, _) in enumerate(takes):
            if cost > most:
                return Short(index, math.inf)
            if interval:
                full = buckets.get(key)
                if full is None:
                    # Capped, since a slot may be that of a larger bucket: an empty one is the worst.
                    full = min(self._slots[hash(key) % _SLOTS], now + most * interval)
                full = (full if full > now else now) + cost * interval
                # Compared with what rounding costs, so that a whole bucket can be taken at once.
                if (wait := full - now - most * interval) > 1e-9 * (1 + interval):
                    return Short(index, wait)
                later.append(full)
            else:
                total, end = self._counts.get(key, (0.0, 0.0))
                if end > now and total + cost > most:
                    return Short(index, end - now)
                later.append(0.0)
        for take, full in zip(takes, later, strict=True):
            if take.interval:
                buckets.pop(take.key, None)
                buckets[take.key] = full
                if len(buckets) > self._most:
                    self._make_room()
            else:
                self._count(take.key, take.cost, take.lifetime, now)
        return None

    async def get(self, key: str) -> bytes | None:
        value, end = self._values.get(key, (b"", -math.inf))
        return value if end > self._monotonic() else None

    async def put(self, key: str, value: bytes, lifetime: float) -> None:
        now = self._monotonic()
        if key not in self._values and len(self._values) >= self._most:
            self._values = {key: one for key, one in self._values.items() if one[1] > now}
            if len(self._values) >= self._most:
                raise StoreUnavailable("no room for another key")
        self._values[key] = (value, now + lifetime)

    async def add(self, key: str, lifetime: float) -> bool:
        if await self.get(key) is not None:
            return False
        await self.put(key, b"", lifetime)
        return True

    async def increase(self, key: str, amount: float, lifetime: float) -> float:
        return self._count(key, amount, lifetime, self._monotonic())

    def save(self) -> None:
        """Write the snapshot, whole or not at all. Raises `OSError`."""
        self._saving = None
        now, wall = self._monotonic(), self._wall()
        counts = {key: (total, wall + end - now) for key, (total, end) in self._counts.items() if end > now}
        file, path = tempfile.mkstemp(dir=os.path.dirname(self._snapshot) or ".", prefix=".counts-")
        try:
            with open(file, "wb") as stream:
                stream.write(msgspec.json.encode(_Snapshot(counts)))
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(path, self._snapshot)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(path)
            raise

    async def close(self) -> None:
        if self._saving is not None:
            self._saving.cancel()
        if self._snapshot:
            self.save()

    def _load(self) -> None:
        try:
            with open(self._snapshot, "rb") as stream:
                read = msgspec.json.decode(stream.read(_MOST_SNAPSHOT), type=_Snapshot)
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError) as error:
            raise UsageError(f"{self._snapshot}: the counts of quotas cannot be read: {error}") from None
        now, wall = self._monotonic(), self._wall()
        self._counts = {key: (total, now + end - wall) for key, (total, end) in read.counts.items() if end > wall}

    def _count(self, key: str, amount: float, lifetime: float, now: float) -> float:
        total, end = self._counts.get(key, (0.0, -math.inf))
        if end <= now:
            if key not in self._counts and len(self._counts) >= self._most:
                self._counts = {key: one for key, one in self._counts.items() if one[1] > now}
                if len(self._counts) >= self._most:
                    raise StoreUnavailable("no room for another key")
            total, end = 0.0, now + lifetime
        self._counts[key] = (total + amount, end)
        if self._snapshot and self._saving is None:
            with contextlib.suppress(RuntimeError):
                self._saving = asyncio.get_running_loop().call_later(_SAVE_AFTER, self.save)
        return total + amount

    def _make_room(self) -> None:
        key = next(iter(self._buckets))
        full = self._buckets.pop(key)
        slot = hash(key) % _SLOTS
        if full > self._slots[slot]:
            self._slots[slot] = full
