"""The monitor of queries in the guard: what comes of its verdicts, and the account that several guards share."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from garrison.robustness.detection.sequences.exposure import fidelity
from garrison.robustness.detection.sequences.monitor import Monitor, Verdict
from garrison.robustness.detection.sequences.monitor import Settings as MonitorSettings
from garrison.serving.observe.settings import Queries
from garrison.serving.state.store import Store, StoreUnavailable

_STRIKES = frozenset({"search", "repetition", "synthetic"})
_FADING = 1 - 1 / 50
_RECOVERY = 200
"""Queries without a strike after which a search counts as over."""
_FLUSHED = 100
"""Accounts that are added to the shared ones at once."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be told of a principal."""

    rule: Literal["query-search", "query-foreign", "query-extraction-exposure"]
    principal: str
    message: str
    resolved: bool = False


class _Standing:
    """What is thought of a principal."""

    __slots__ = ("alarms", "exposed", "foreign", "fresh", "open", "pending", "quiet", "strikes", "total", "verdict")

    def __init__(self) -> None:
        self.strikes = 0.0
        self.quiet = 0
        self.open = self.foreign = self.exposed = False
        self.alarms: dict[str, int] = {}
        self.fresh = 0
        self.pending = 0
        """Fresh queries that the shared account does not have yet."""
        self.total = 0.0
        """The shared account, when it was last asked."""
        self.verdict: Verdict | None = None


class Principals:
    """What the principals of one model ask."""

    def __init__(
        self, model: str, settings: Queries, monitor: MonitorSettings, store: Store, clock: Callable[[], float]
    ) -> None:
        self._model = model
        self._settings = settings
        self._monitor = Monitor(monitor)
        self._store = store
        self._clock = clock
        self._standing: OrderedDict[str, _Standing] = OrderedDict()
        self.refused: dict[str, float] = {}
        """Until when a principal is refused, by the monotonic clock."""

    @property
    def size(self) -> int:
        """Numbers of an input."""
        return self._monitor.settings.size

    def add(
        self, principals: Sequence[str], rows: NDArray[np.float32], scores: NDArray[np.floating] | None
    ) -> list[Event]:
        """Take in queries (n, numbers), each of the principal beside it, with scores (n, classes)."""
        events: list[Event] = []
        for verdict in self._monitor.observe_many(principals, rows, scores):
            self._take(verdict, events)
        return events

    def skipped(self, principal: str, rows: int) -> list[Event]:
        """Count queries that were not looked at: each may have been a fresh one."""
        standing = self._of(principal)
        standing.fresh += rows
        standing.pending += rows
        events: list[Event] = []
        self._exposure(principal, standing, events)
        return events

    def _take(self, verdict: Verdict, events: list[Event]) -> None:
        standing = self._of(verdict.principal)
        standing.verdict = verdict
        for alarm in verdict.alarms:
            standing.alarms[alarm] = standing.alarms.get(alarm, 0) + 1
        if verdict.chain == 0.0:
            standing.fresh += 1
            standing.pending += 1
        struck = not _STRIKES.isdisjoint(verdict.alarms)
        standing.strikes = standing.strikes * _FADING + struck
        standing.quiet = 0 if struck else standing.quiet + 1
        if struck and standing.strikes >= self._settings.strikes * 0.9:
            self._search(verdict, standing, events)
        elif standing.open and standing.quiet >= _RECOVERY:
            standing.open = False
            events.append(Event(rule="query-search", principal=verdict.principal, message="it is over", resolved=True))
        foreign = "foreign" in verdict.alarms
        if foreign != standing.foreign and (foreign or verdict.outside < 0.05):
            standing.foreign = foreign
            message = f"{verdict.outside:.0%} of recent queries are unlike what the model is made for"
            events.append(
                Event(rule="query-foreign", principal=verdict.principal, message=message, resolved=not foreign)
            )
        if not standing.exposed:
            self._exposure(verdict.principal, standing, events)

    def _search(self, verdict: Verdict, standing: _Standing, events: list[Event]) -> None:
        if self._settings.reaction == "refuse":
            self.refused[verdict.principal] = self._clock() + self._settings.refuse_seconds
            standing.strikes = 0.0
        if not standing.open:
            standing.open = True
            kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(standing.alarms.items()) if kind in _STRIKES)
            message = f"queries follow one another as those of a search do: {kinds} of {verdict.queries:,} queries"
            events.append(Event(rule="query-search", principal=verdict.principal, message=message))

    def _exposure(self, principal: str, standing: _Standing, events: list[Event]) -> None:
        if standing.exposed:
            return
        count = self._count(standing)
        reached = fidelity(self._monitor.settings.curve, count)
        many = self._settings.most_fresh and count > self._settings.most_fresh
        if many or (reached is not None and reached >= self._settings.most_fidelity):
            standing.exposed = True
            message = f"{count:,} queries that repeat none"
            if reached is not None:
                message += f"; a copy made with as many was measured to agree on {reached:.0%} of inputs"
            events.append(Event(rule="query-extraction-exposure", principal=principal, message=message))

    @staticmethod
    def _count(standing: _Standing) -> int:
        return max(standing.fresh, int(standing.total) + standing.pending)

    async def flush(self) -> list[Event]:
        """Add what is new to the accounts that guards share. What the store does not take now, it is given later."""
        events: list[Event] = []
        waiting = [(name, one) for name, one in self._standing.items() if one.pending][:_FLUSHED]
        for name, standing in waiting:
            amount = standing.pending
            try:
                standing.total = await self._store.increase(
                    f"observe:fresh:{self._model}:{name}", amount, self._settings.account_days * 86400
                )
            except StoreUnavailable:
                break
            standing.pending -= amount
            self._exposure(name, standing, events)
        return events

    def is_refused(self, principal: str) -> bool:
        """Whether a principal's calls are refused now."""
        until = self.refused.get(principal)
        if until is None:
            return False
        if self._clock() < until:
            return True
        del self.refused[principal]
        return False

    def _of(self, principal: str) -> _Standing:
        standing = self._standing.get(principal)
        if standing is None:
            standing = self._standing[principal] = _Standing()
            if len(self._standing) > self._monitor.settings.principals:
                gone, _ = self._standing.popitem(last=False)
                self.refused.pop(gone, None)
        else:
            self._standing.move_to_end(principal)
        return standing

    def report(self, most: int = 20) -> list[dict[str, Any]]:
        """The accounts of the principals with most fresh queries, whether anything was seen in them or not."""
        curve = self._monitor.settings.curve
        ordered = sorted(self._standing.items(), key=lambda item: -self._count(item[1]))[:most]
        found = []
        for name, standing in ordered:
            verdict, count = standing.verdict, self._count(standing)
            found.append({
                "principal": name,
                "queries": verdict.queries if verdict else 0,
                "fresh": count,
                "fidelity": fidelity(curve, count),
                "entropy": verdict.entropy if verdict else None,
                "outside": verdict.outside if verdict else None,
                "alarms": dict(standing.alarms),
                "refused": self.is_refused(name),
            })  # fmt: skip
        return found

    def state(self) -> bytes:
        """All that is remembered, for `restore`. Holds the secret seed of the monitor."""
        now = self._clock()
        standing = {
            name: _Stored(strikes=one.strikes, quiet=one.quiet, open=one.open, foreign=one.foreign, exposed=one.exposed,
                          alarms=one.alarms, fresh=one.fresh, pending=one.pending, total=one.total,
                          verdict=one.verdict)
            for name, one in self._standing.items()
        }  # fmt: skip
        refused = {name: until - now for name, until in self.refused.items() if until > now}
        return msgspec.msgpack.encode(_State(monitor=self._monitor.state(), standing=standing, refused=refused))

    def restore(self, state: bytes) -> None:
        """Go on from a state of the same reference; that of another monitor is passed over, but for the accounts.

        Raises `UsageError` or `msgspec.DecodeError` for what is no state.
        """
        found = msgspec.msgpack.decode(state, type=_State)
        monitor = Monitor.restored(found.monitor)
        if monitor.settings == self._monitor.settings:
            self._monitor = monitor
        now = self._clock()
        for name, one in found.standing.items():
            standing = self._of(name)
            for field in one.__struct_fields__:
                setattr(standing, field, getattr(one, field))
        self.refused = {name: now + seconds for name, seconds in found.refused.items()}


class _Stored(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    strikes: float
    quiet: int
    open: bool
    foreign: bool
    exposed: bool
    alarms: dict[str, int]
    fresh: int
    pending: int
    total: float
    verdict: Verdict | None


class _State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    monitor: bytes
    standing: dict[str, _Stored]
    refused: dict[str, float]
