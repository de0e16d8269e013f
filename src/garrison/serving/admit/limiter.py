"""Takes what a call costs from the store."""

import math
from collections.abc import Awaitable, Sequence
from weakref import WeakKeyDictionary

from garrison.serving.admit.calendar import Calendar
from garrison.serving.admit.plans import COUNTED, Plan
from garrison.serving.calls import Call
from garrison.serving.refusals import Reason, Refused
from garrison.serving.services import Services
from garrison.serving.stages import OnFailure
from garrison.serving.state.memory import MemoryStore
from garrison.serving.state.store import Short, StoreUnavailable, Take

_LOCAL: WeakKeyDictionary[Services, MemoryStore] = WeakKeyDictionary()
"""What takes the store's place while it is gone; as old as the process, not as the configuration."""
_CALENDARS: WeakKeyDictionary[Services, Calendar] = WeakKeyDictionary()


class Limiter:
    def __init__(self, services: Services, stage: str, on_failure: OnFailure) -> None:
        self._store = services.store
        self._stage = stage
        self._local: MemoryStore | None = None
        if on_failure == "open":
            self._local = _LOCAL.setdefault(services, MemoryStore(monotonic=services.monotonic, wall=services.wall))
        self._calendar = _CALENDARS.setdefault(services, Calendar(services.monotonic, services.wall))

    def charge(self, call: Call, plan: Plan, units: float) -> Awaitable[None] | None:
        """Raises `Refused` where a limit has too little, and `StoreUnavailable` where that cannot be known."""
        cost = units * plan.weight
        takes = plan.buckets if cost == 1.0 else [take._replace(cost=cost) for take in plan.buckets]
        if plan.quotas and call.action in COUNTED:
            windows = self._calendar.windows()
            takes = [*takes]
            for key, most, monthly in plan.quotas:
                name, left = windows[monthly]
                takes.append(Take(key + name, cost, most, 0.0, left))
        if not takes:
            return None
        try:
            short = self._store.take(takes)
        except StoreUnavailable:
            if self._local is None:
                raise
            short = self._locally(call, takes, self._local)
        if short is None:
            return None
        if isinstance(short, Short):
            raise _refusal(takes, short)
        return self._awaited(call, takes, short)

    async def _awaited(self, call: Call, takes: Sequence[Take], asked: Awaitable[Short | None]) -> None:
        try:
            short = await asked
        except StoreUnavailable:
            if self._local is None:
                raise
            short = self._locally(call, takes, self._local)
        if short is not None:
            raise _refusal(takes, short)

    def _locally(self, call: Call, takes: Sequence[Take], local: MemoryStore) -> Short | None:
        call.degraded.append(self._stage)
        return local.take(takes)


def _refusal(takes: Sequence[Take], short: Short) -> Refused:
    if math.isinf(short.wait):
        return Refused(Reason.TOO_LARGE, "the request asks for more than may be asked at once; send it in parts")
    if takes[short.which].interval:
        return Refused(Reason.LIMITED, "too many requests; wait before the next", retry_after=short.wait)
    return Refused(Reason.LIMITED, "the quota is used up until its period ends", retry_after=short.wait)
