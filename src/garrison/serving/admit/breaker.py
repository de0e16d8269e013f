"""Circuit breakers (Nygard, Release It!, 2007): a server that does not answer is left alone for a while.

Each server has one. It is closed while calls go well. Many failures in a row, or mostly failures among many, open it:
calls are refused at once, and neither the server nor the callers wait for what will fail. After a pause one call at a
time is let through to try; two that go well close it, one that fails opens it for longer.
"""

import random
from collections import deque
from collections.abc import Callable

from garrison.core.findings import Finding, Severity
from garrison.serving.calls import Answer, Call, Forward
from garrison.serving.incidents import Incident
from garrison.serving.refusals import Reason, Refused
from garrison.serving.services import Services

_IN_A_ROW = 10
_WINDOW = 10.0
"""Seconds in which calls are counted."""
_FEWEST = 40
"""Calls in the window, of which so many failures open it."""
_SHARE = 0.5
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
_PROBES = 2
_FAILING = frozenset({502, 503, 504})
"""Statuses by which a server says that it cannot; 500 is what many say to inputs that they do not like."""
_FAULTS = frozenset({Reason.BACKEND, Reason.DEADLINE})


class Breaker:
    """The breaker of one server."""

    def __init__(
        self,
        name: str,
        services: Services,
        *,
        jitter: Callable[[], float] = lambda: random.uniform(0.8, 1.2),
    ) -> None:
        self._name = name
        self._services = services
        self._jitter = jitter
        self._row = 0
        self._recent: deque[tuple[float, bool]] = deque(maxlen=1000)
        self._opened_until: float | None = None
        self._pause = _FIRST_PAUSE
        self._probing = False
        self._good = 0

    @property
    def open(self) -> bool:
        """Whether calls are refused, or one at a time tries."""
        return self._opened_until is not None

    def enter(self) -> bool:
        """Whether the call that may go on is one that tries. Raises `Refused` for one that may not."""
        if self._opened_until is None:
            return False
        left = self._opened_until - self._services.monotonic()
        if left > 0 or self._probing:
            raise Refused(Reason.OVERLOADED, "the model server is not answering; try later", retry_after=max(left, 1.0))
        self._probing = True
        return True

    def leave(self, probe: bool, failed: bool | None) -> None:
        """Take note of how a call ended; `None` for one of which that is not known."""
        if probe:
            self._probing = False
        if failed is None:
            return
        now = self._services.monotonic()
        if self._opened_until is not None:
            if not probe:
                return  # it began before the breaker opened
            self._good = 0 if failed else self._good + 1
            if failed:
                self._pause = min(self._pause * 2, _LONGEST_PAUSE)
                self._opened_until = now + self._pause * self._jitter()
            elif self._good >= _PROBES:
                self._close()
            return
        self._row = self._row + 1 if failed else 0
        self._recent.append((now, failed))
        if not failed:
            return
        while self._recent and self._recent[0][0] < now - _WINDOW:
            self._recent.popleft()
        failures = sum(one for _, one in self._recent)
        if self._row >= _IN_A_ROW or (len(self._recent) >= _FEWEST and failures >= _SHARE * len(self._recent)):
            self._opened_until = now + self._pause * self._jitter()
            self._tell("the model server does not answer; calls are refused until it does", resolved=False)

    def _close(self) -> None:
        self._opened_until, self._pause, self._row, self._good = None, _FIRST_PAUSE, 0, 0
        self._recent.clear()
        self._tell("the model server answers again", resolved=True)

    def _tell(self, message: str, *, resolved: bool) -> None:
        finding = Finding(
            rule="backend-down",
            severity=Severity.HIGH,
            subject=f"backend {self._name}",
            place=self._name,
            message=f"{self._name}: {message}",
            fix="Look at the model server's log and load.",
        )
        self._services.report(Incident(finding=finding, time=self._services.wall(), resolved=resolved))


class Breakers:
    """One for each server, and for each way of asking it."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def around(self, forward: Forward) -> Forward:
        """The same forward, with a breaker before each server."""
        breakers: dict[str, Breaker] = {}

        async def guarded(call: Call) -> Answer:
            name = call.backend or (call.settings.backend if call.settings is not None else "default")
            breaker = breakers.get(name)
            if breaker is None:
                breaker = breakers[name] = Breaker(name, self._services)
            probe = breaker.enter()
            failed: bool | None = None
            try:
                answer = await forward(call)
                failed = answer.status in _FAILING
                return answer
            except Refused as refused:
                # A call whose own deadline was short says nothing of the server.
                impatient = refused.reason is Reason.DEADLINE and _short(call)
                failed = None if impatient or refused.reason not in _FAULTS else True
                raise
            finally:
                breaker.leave(probe, failed)

        return guarded


def _short(call: Call) -> bool:
    """Whether a caller left the server less than a second."""
    return call.deadline is not None and call.deadline - call.received < 1.0
