"""What another configuration would have made of calls that are on record.

The audit log has no credentials and no inputs. What is decided again, at the time and in the order of the record, is
what needs neither: whether a caller who showed a key still has a good one, what roles allow, and limits and quotas as
they fill. A call that was refused for another reason, such as its inputs, is refused in the replay too, after it has
cost what it cost.
"""

import asyncio
import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from garrison.core.registry import load
from garrison.serving.authenticate.key_file import Key
from garrison.serving.authenticate.key_file import read as read_keys
from garrison.serving.authorise.stage import stage as authorise
from garrison.serving.calls import Action, Answer, Call, Peer, Principal
from garrison.serving.config.config import Config
from garrison.serving.record.entries import CallEntry
from garrison.serving.record.reading import Criteria, Unread, read
from garrison.serving.refusals import Reason, Refused
from garrison.serving.services import Services
from garrison.serving.state.memory import MemoryStore
from garrison.serving.state.settings import State
from garrison.serving.tensors.tensor import Tensor

if TYPE_CHECKING:
    from garrison.serving.stages import Stage

_AGAIN = frozenset({"", "forbidden", "unknown", "limited", "overloaded"})
"""Outcomes that are decided again; a call that ended otherwise does so again."""
_LIMITS = ("garrison.serving.admit.stage:stage", "garrison.serving.admit.rows:stage")
_EXAMPLES = 20


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """Calls that would end otherwise."""

    principal: str
    model: str
    action: str
    was: str
    """Why it was refused; empty for calls that were let through."""
    now: str
    calls: int
    first: str
    """The identifier of the first of them."""


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a replay."""

    calls: int
    same: int
    not_decided: int
    """Calls that ended for reasons that need their inputs or credentials, and are not decided again."""
    unread: int
    """Lines of the log that are none."""
    changed: tuple[Changed, ...]
    """The most frequent first."""

    @property
    def newly_refused(self) -> int:
        """Calls that were let through and would be no more."""
        return sum(one.calls for one in self.changed if not one.was)


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def replay(logs: Iterable[str], config: Config) -> Replayed:
    """Decide the calls in audit logs again, by another configuration.

    Several logs, of guards that shared their limits, are merged by time. Raises `UsageError` for what cannot be read.
    """
    return asyncio.run(_Replay(config).run(_calls(logs)))


class _Replay:
    def __init__(self, config: Config) -> None:
        """Raises `UsageError`."""
        self._config = config
        self._clock = _Clock()
        # Whatever the limits are kept in when it goes live, in a replay it is this process.
        store = MemoryStore(State().most_keys, monotonic=self._clock, wall=self._clock)
        services = Services(
            store=store,
            report=lambda incident: None,
            noticed=lambda call, mark: None,
            monotonic=self._clock,
            wall=self._clock,
        )
        self._stages: dict[str, list[Stage]] = {
            name: [
                authorise(config, model, services),
                *(made for factory in _LIMITS if (made := load(factory)(config, model, services)) is not None),
            ]
            for name, model in [("", None), *config.models.items()]
        }
        self._keys = _by_principal(read_keys(config.authenticate.keys)) if config.authenticate.keys else {}
        self._ending: list[tuple[float, int, list[Callable[[], object]]]] = []

    async def run(self, entries: Iterable[CallEntry | None]) -> Replayed:
        changed: Counter[tuple[str, str, str, str, str]] = Counter()
        first: dict[tuple[str, str, str, str, str], str] = {}
        calls = same = undecided = unread = 0
        for number, entry in enumerate(entries):
            if entry is None:
                unread += 1
                continue
            calls += 1
            if entry.refused == "unauthenticated":
                # Who it was, nobody knows; and so it cost nobody anything.
                undecided += 1
                continue
            now = await self._decided(entry, number)
            if entry.refused not in _AGAIN and not now:
                undecided += 1
                continue
            if now == entry.refused:
                same += 1
                continue
            key = (entry.principal, entry.requested or entry.model, entry.action, entry.refused, now)
            changed[key] += 1
            first.setdefault(key, entry.id)
        return Replayed(
            calls=calls,
            same=same,
            not_decided=undecided,
            unread=unread,
            changed=tuple(
                Changed(
                    principal=key[0], model=key[1], action=key[2], was=key[3], now=key[4], calls=count, first=first[key]
                )
                for key, count in changed.most_common()
            ),
        )

    async def _decided(self, entry: CallEntry, number: int) -> str:
        """Why the call would be refused; empty if it would not."""
        began = entry.time - entry.duration / 1e6
        self._clock.now = max(self._clock.now, began)
        while self._ending and self._ending[0][0] <= self._clock.now:
            _release(heapq.heappop(self._ending)[2])
        call = self._call(entry)
        try:
            if call.principal.method == "key" and not self._has_key(call.principal.name):
                raise Refused(Reason.UNAUTHENTICATED, "")
            for stage in self._stages.get(call.model, self._stages[""]):
                waiting = stage.before(call)
                if waiting is not None:
                    await waiting
            if call.model and call.model not in self._config.models:
                raise Refused(Reason.UNKNOWN, "")
        except Refused as refused:
            _release(call.releases)
            return refused.reason.value
        heapq.heappush(self._ending, (max(entry.time, self._clock.now), number, call.releases))
        for stage in self._stages.get(call.model, ()):
            waiting = stage.after(call, Answer(200))
            if waiting is not None:
                await waiting
        return ""

    def _call(self, entry: CallEntry) -> Call:
        try:
            action = Action(entry.action)
        except ValueError:
            action = Action.UNKNOWN
        call = Call(
            action,
            transport="http",
            headers={},
            peer=Peer(entry.peer),
            model=entry.requested or entry.model,
            version=entry.version,
            operation=entry.operation,
        )
        call.received = call.time = self._clock.now
        call.principal = Principal(
            name=entry.principal, tenant=entry.tenant, roles=tuple(entry.roles), method=entry.method
        )
        rows = np.zeros(max(entry.rows, 0), np.bool_)
        call.inputs = (Tensor("rows", "BOOL", rows.shape, rows, {}),) if entry.rows else ()
        return call

    def _has_key(self, principal: str) -> bool:
        return any(key.good(self._clock.now) for key in self._keys.get(principal, ()))


def _calls(logs: Iterable[str]) -> Iterator[CallEntry | None]:
    """The calls of all logs in the order in which they began to be on record; `None` for what is no line."""
    return heapq.merge(*(_of(log) for log in logs), key=lambda entry: entry.time if entry is not None else 0.0)


def _of(log: str) -> Iterator[CallEntry | None]:
    for found in read(log, Criteria()):
        if isinstance(found, Unread):
            yield None
        elif isinstance(found[2], CallEntry):
            yield found[2]


def _by_principal(keys: list[Key]) -> dict[str, list[Key]]:
    found: dict[str, list[Key]] = {}
    for key in keys:
        found.setdefault(key.principal, []).append(key)
    return found


def _release(releases: list[Callable[[], object]]) -> None:
    while releases:
        releases.pop()()


def words(replayed: Replayed) -> Iterator[str]:
    """What came of it, for people."""
    yield f"{replayed.calls:,} calls, {replayed.same:,} decided as before"
    if replayed.not_decided:
        yield f"  {replayed.not_decided:,} ended for reasons that need inputs or credentials: not decided again"
    if replayed.unread:
        yield f"  {replayed.unread:,} lines could not be read"
    for one in replayed.changed[:_EXAMPLES]:
        where = f" {one.model}" if one.model else ""
        yield (
            f"  {one.calls:,} of {one.principal or 'nobody'} ({one.action}{where}): "
            f"{one.was or 'let through'} before, {one.now or 'let through'} now; first {one.first}"
        )
    if len(replayed.changed) > _EXAMPLES:
        yield f"  and {len(replayed.changed) - _EXAMPLES:,} more kinds"
    if not replayed.changed:
        yield "nothing would change"
