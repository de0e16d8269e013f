"""Takes labels: `{"call": identifier, "labels": [...], "groups": {...}}`.

Whoever may label can make a good model look bad, or a bad one good. So labels are taken of callers with the permission
(the stage before asks), for their own calls, once for each call, and nothing tells them what other calls there are.
"""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import numpy as np

from garrison.serving.calls import Answer, Call
from garrison.serving.observe.feedback.memory import Memory
from garrison.serving.observe.feedback.performance import Change, Watch
from garrison.serving.observe.feedback.sources import given
from garrison.serving.observe.settings import Feedback
from garrison.serving.refusals import Reason, Refused

_MOST = 1 << 20
MOST_ROWS = 4096
"""Of a call whose labels are taken; one with more is not remembered."""

Label = Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]
Value = str | int | float


class _Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    call: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    labels: Annotated[list[Label], msgspec.Meta(min_length=1, max_length=MOST_ROWS)]
    groups: Annotated[dict[str, Value | list[Value]], msgspec.Meta(max_length=64)] = {}


class Handler:
    """The labels of one model."""

    def __init__(
        self,
        settings: Feedback,
        memory: Memory,
        watch: Watch,
        catch_up: Callable[[], None],
        told: Callable[[Change, Call], None],
    ) -> None:
        """`catch_up` takes in what waits, since labels may come at once; `told` hears what the labels show."""
        self._settings, self._memory, self._watch = settings, memory, watch
        self._catch_up, self._told = catch_up, told
        self._decoder = msgspec.json.Decoder(_Body)
        self.counts = {"taken": 0, "unknown": 0, "foreign": 0, "unfit": 0}
        """Calls that were labelled; that are unknown, too old or labelled before; of others; with unfit labels."""

    def answer(self, call: Call) -> Answer:
        """How many rows were taken. Raises `Refused`."""
        if len(call.body) > _MOST:
            raise Refused(Reason.TOO_LARGE, f"labels take at most {_MOST:,} bytes at once")
        try:
            body = self._decoder.decode(call.body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            self.counts["unfit"] += 1
            raise Refused(Reason.MALFORMED, f"no labels: {error}"[:300]) from None
        decided = self._memory.get(body.call)
        if decided is None:
            self._catch_up()
            decided = self._memory.get(body.call)
        if decided is None:
            self.counts["unknown"] += 1
            raise Refused(Reason.UNKNOWN, "no such call of yours waits for labels")
        principal = call.principal
        if decided.principal != principal.name and not set(principal.roles) & set(self._settings.others):
            self.counts["foreign"] += 1
            raise Refused(Reason.UNKNOWN, "no such call of yours waits for labels")
        rows = len(decided.decisions)
        groups: dict[str, Any] = dict(decided.groups)
        try:
            if len(body.labels) != rows:
                raise ValueError(f"{len(body.labels):,} labels for a call of {rows:,} rows")
            groups.update(given(body.groups, rows, self._settings.groups))
        except ValueError as error:
            self.counts["unfit"] += 1
            raise Refused(Reason.MALFORMED, f"{error}") from None
        self._memory.remove(body.call)
        self.counts["taken"] += 1
        for change in self._watch.add(np.array(body.labels, np.intp), decided.decisions, groups):
            self._told(change, call)
        return Answer(200, msgspec.json.encode({"rows": rows}), [(b"content-type", b"application/json")])
