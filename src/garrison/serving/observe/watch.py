"""What is watched of one model, behind a queue: calls only enqueue, and what it costs is paid by the batch."""

import itertools
import random
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from garrison.core.errors import UsageError
from garrison.serving.calls import Answer, Call
from garrison.serving.config.config import Model
from garrison.serving.observe.drift.episodes import Episode
from garrison.serving.observe.drift.shares import Shares
from garrison.serving.observe.drift.side import Alarm, SideWatch
from garrison.serving.observe.feedback.handler import MOST_ROWS, Handler
from garrison.serving.observe.feedback.memory import Memory
from garrison.serving.observe.feedback.performance import Change, Watch
from garrison.serving.observe.feedback.sources import groups_of
from garrison.serving.observe.queries.principals import Event, Principals
from garrison.serving.observe.reference.columns import evenly
from garrison.serving.observe.reference.decisions import decisions, scores_of
from garrison.serving.observe.reference.reference import Reference
from garrison.serving.observe.reports import tell
from garrison.serving.refusals import Refused
from garrison.serving.services import Services
from garrison.serving.tensors.tensor import Tensor

_BATCH = 64
"""Calls, or rows, that are looked at in one go, between which others have their turn."""


_Taken = tuple[Call, Sequence[Tensor], Tensor | None]
"""A call, its inputs, and the output that says the class."""


class ModelWatch:
    """Everything that is remembered of one model."""

    def __init__(self, name: str, model: Model, reference: Reference | None, services: Services) -> None:
        settings = model.observe
        self._name, self._settings, self._services = name, settings, services
        self._waiting: deque[tuple[Call, Answer, int]] = deque()
        self._bytes = 0
        self._random = random.Random()
        self.calls = self.rows = 0
        self.skipped_calls = self.skipped_rows = self.unread = 0
        """Not looked at since too many waited; of calls with too many rows; and of what could not be read."""
        self._inputs: SideWatch | None = None
        self._outputs: SideWatch | None = None
        self._shares: Shares | None = None
        self.principals: Principals | None = None
        self._reference = reference
        if reference is not None:
            self._refer(reference)
        self._episodes = {
            "input-drift": Episode(self._inputs.recovery if self._inputs else 1),
            "output-drift": Episode(self._outputs.recovery if self._outputs else 1),
        }
        self._memory: Memory | None = None
        self.feedback: Handler | None = None
        self._await_labels(None, None)

    def _await_labels(self, memory: Memory | None, performance: Watch | None) -> None:
        settings = self._settings.feedback
        if not settings.enabled:
            return
        baseline = self._reference.manifest.performance if self._reference is not None else None
        self._memory = memory or Memory(settings.calls, settings.seconds, self._services.monotonic)
        self.performance = performance or Watch(settings, baseline)
        self.feedback = Handler(settings, self._memory, self.performance, self.drain, self._labelled)

    def _refer(self, reference: Reference) -> None:
        manifest, drift = reference.manifest, self._settings.drift
        self._inputs = SideWatch(
            "inputs", manifest.inputs, reference, drift.window_rows, drift.window_seconds, self._services.monotonic
        )
        if manifest.outputs is not None:
            self._outputs = SideWatch(
                "outputs", manifest.outputs, reference, drift.window_rows, drift.window_seconds,
                self._services.monotonic,
            )  # fmt: skip
        if len(manifest.classes) > 1:
            self._shares = Shares(np.array(manifest.classes), manifest.run_length * 7)
        if reference.queries is not None and self._settings.queries.enabled:
            if reference.queries.size != len(self._inputs.layout.columns):
                raise UsageError("the reference's monitor of queries is not one of its inputs")
            self.principals = Principals(
                self._name, self._settings.queries, reference.queries, self._services.store, self._services.monotonic
            )

    def offer(self, call: Call, answer: Answer) -> None:
        """Take note of a call that was answered. Called for every one, so it does next to nothing."""
        waiting, settings = len(self._waiting), self._settings
        size = len(call.body) + len(answer.body)
        most = settings.waiting
        # From half on ever fewer are taken, so that those that are do not all come from the beginning of a rush.
        crowded = waiting * 2 > most and self._random.random() * most < 2 * waiting - most
        if crowded or waiting >= most or self._bytes + size > settings.waiting_bytes:
            self.skip(call)
            return
        # What later stages put into the answer is not what the model said.
        kept = Answer(answer.status, answer.body, list(answer.headers))
        kept.outputs = answer.outputs
        self._bytes += size
        self._waiting.append((call, kept, size))

    def skip(self, call: Call) -> None:
        """Count a call that is not looked at: what its caller learns from it counts all the same."""
        self.skipped_calls += 1
        if self.principals is not None:
            shape = call.inputs[0].shape if call.inputs else ()
            self._events(self.principals.skipped(call.principal.name, shape[0] if shape else 1))

    @property
    def waiting(self) -> int:
        """How many calls are still to be looked at."""
        return len(self._waiting)

    def drain(self) -> None:
        """Look at all that waits."""
        while self._waiting:
            self.step()

    def step(self) -> None:
        """Look at some of what waits: a batch of rows at the most, or one call."""
        inputs: list[NDArray[np.float32]] = []
        outputs: list[NDArray[np.float32]] = []
        decided: list[NDArray[np.intp]] = []
        asked: list[NDArray[np.float32]] = []
        scores: list[NDArray[np.floating] | None] = []
        principals: list[str] = []
        taken, last = self._taken()
        for calls, counts, given, output in self._joined(taken):
            most = self._settings.rows_per_call if len(calls) == 1 else sum(counts)
            read = self._inputs.layout.matrix(given, most) if self._inputs is not None else None
            table = self._told(calls, counts, output, read[1] if read is not None else 0, most, outputs, decided)
            if read is None:
                self.unread += (self._inputs is not None) * len(calls)
                continue
            found, whole = read
            self.rows += len(found)
            self.skipped_rows += whole - len(found)
            inputs.append(found)
            if self.principals is not None and len(found):
                asked.append(found)
                for call, count in zip(calls, counts if len(calls) > 1 else [len(found)], strict=True):
                    principals.extend([call.principal.name] * count)
                scores.append(table)
                if whole > len(found):
                    self._events(self.principals.skipped(calls[0].principal.name, whole - len(found)))
        self._look(inputs, outputs, decided, last)
        if self.principals is not None and asked:
            tables = [one for one in scores if one is not None]
            alike = len(tables) == len(scores) and len({one.shape[1] for one in tables}) == 1
            together = np.concatenate(tables) if alike else None
            self._events(self.principals.add(principals, np.concatenate(asked), together))

    def _taken(self) -> tuple[list[_Taken], str]:
        """What is looked at next, with the outputs that say the class, and the last call's identifier."""
        taken: list[_Taken] = []
        rows, last, settings = 0, "", self._settings
        while self._waiting and rows < _BATCH:
            call, answer, size = self._waiting.popleft()
            self._bytes -= size
            last = call.identifier
            self.calls += 1
            rows += 1
            try:
                given, told = call.tensors(), answer.tensors(call)
            except Refused:
                self.unread += 1
                continue
            if given and given[0].shape:
                rows += max(min(given[0].shape[0], settings.rows_per_call) - 1, 0)
            # Another model's answer says nothing of this one.
            taken.append((call, given, scores_of(told, settings.scores) if told and not call.requested else None))
        return taken, last

    def _joined(self, taken: list[_Taken]) -> Iterator[tuple[list[Call], list[int], Sequence[Tensor], Tensor | None]]:
        """Calls, the rows of each, and inputs and scores: those that are alike as if they had been one call."""
        for alike, some in itertools.groupby(taken, self._alike):
            run = list(some)
            if alike is None or len(run) == 1:
                for call, given, output in run:
                    yield [call], [len(output.data) if output is not None and output.data.ndim else 1], given, output
                continue
            counts = [len(given[0].data) for _, given, _ in run]
            inputs = _stacked([given[0] for _, given, _ in run])
            yield (
                [call for call, _, _ in run],
                counts,
                [inputs],
                _stacked([output for *_, output in run if output is not None]),
            )

    def _alike(self, taken: _Taken) -> tuple[str, str, str, str] | None:
        """What calls agree in that are joined; `None` for one that is looked at by itself."""
        _, given, output = taken
        if len(given) != 1 or output is None or self._inputs is None:
            return None
        rows, told = given[0].data, output.data
        if rows.ndim != 2 or told.ndim != 2 or not 0 < len(rows) == len(told) <= self._settings.rows_per_call:
            return None
        if rows.shape[1] != len(self._inputs.layout.columns):
            return None
        if self._outputs is None or told.shape[1] != len(self._outputs.layout.columns):
            return None
        return given[0].name, given[0].datatype, output.name, output.datatype

    def _told(
        self, calls: list[Call], counts: list[int], output: Tensor | None, rows: int, most: int,
        outputs: list[NDArray[np.float32]], decided: list[NDArray[np.intp]],
    ) -> NDArray[np.floating] | None:  # fmt: skip
        """Take in the scores of calls. Returns them (rows, classes), if they are such."""
        if output is None:
            return None
        classes = decisions(output)
        read = self._outputs.layout.matrix([output], most) if self._outputs is not None else None
        kept = evenly(len(output.data) if output.data.ndim else 1, most)
        if read is not None and read[1]:
            outputs.append(read[0])
            if classes is not None and self._shares is not None:
                decided.append(classes if kept is None else classes[kept])
        if classes is not None and self._memory is not None:
            start = 0
            for call, count in zip(calls, counts if len(calls) > 1 else [len(classes)], strict=True):
                if count <= MOST_ROWS:
                    groups = groups_of(call, count, self._settings.feedback.groups)
                    own = classes[start : start + count].copy()
                    self._memory.put(call.identifier, call.principal.name, own, groups)
                start += count
        if output.data.ndim != 2 or output.data.shape[1] < 2 or len(output.data) != rows:
            return None
        return output.data if kept is None else output.data[kept]

    def _look(
        self, inputs: list[NDArray[np.float32]], outputs: list[NDArray[np.float32]], decided: list[NDArray[np.intp]],
        call: str,
    ) -> None:  # fmt: skip
        if self._inputs is not None and inputs:
            rows = np.concatenate(inputs)
            if len(rows):
                alarm = self._inputs.add(rows)
                moved = _words(self._inputs) if alarm is not None else ""
                self._drifted("input-drift", alarm, len(rows), moved, call)
        if self._outputs is not None and outputs:
            rows = np.concatenate(outputs)
            alarm = self._outputs.add(rows)
            moved = _words(self._outputs) if alarm is not None else ""
            if self._shares is not None and decided:
                classes = np.concatenate(decided)
                classes = classes[classes < len(self._reference.manifest.classes)] if self._reference else classes
                evidence, row = self._shares.add(classes) if len(classes) else (0.0, 0)
                if evidence > self._shares.limit:
                    self._shares.clear()
                    alarm = alarm or Alarm(row=row, test="shares", statistic=evidence, limit=self._shares.limit)
                    moved = moved or "classes are decided for as often as they were no more"
            self._drifted("output-drift", alarm, len(rows), moved, call)

    def _drifted(self, rule: str, alarm: Alarm | None, rows: int, moved: str, call: str) -> None:
        what = self._episodes[rule].update(alarm is not None, rows)
        if what == "opened" and alarm is not None:
            message = f"{alarm.test} at {alarm.statistic:.4g}, where {alarm.limit:.4g} is the limit: {moved}"
            tell(self._services, rule, self._name, message, call=call)
        elif what == "resolved":
            tell(self._services, rule, self._name, "looks like the reference again", resolved=True)

    def _events(self, events: list[Event]) -> None:
        for one in events:
            tell(self._services, one.rule, self._name, one.message, principal=one.principal, resolved=one.resolved)

    def _labelled(self, change: Change, call: Call) -> None:
        tell(self._services, change.rule, self._name, change.message, call=call.identifier, resolved=change.resolved)

    async def flush(self) -> None:
        """Give the accounts to the store that guards share."""
        if self.principals is not None:
            self._events(await self.principals.flush())

    def snapshot(self) -> dict[str, Any]:
        """How things stand, for people and for metrics."""
        found: dict[str, Any] = {
            "calls": self.calls, "rows": self.rows, "waiting": len(self._waiting),
            "skipped_calls": self.skipped_calls, "skipped_rows": self.skipped_rows, "unread": self.unread,
            "reference": self._reference.digest if self._reference else "",
            "open": sorted(rule for rule, episode in self._episodes.items() if episode.open),
        }  # fmt: skip
        if self._inputs is not None:
            found["inputs"] = self._inputs.report()
        if self._outputs is not None:
            found["outputs"] = self._outputs.report()
        if self.principals is not None:
            found["principals"] = self.principals.report()
        if self.feedback is not None:
            found["feedback"] = {**self.feedback.counts, **self.performance.report()}
        return found

    def state(self) -> bytes:
        """What shall survive a restart. It names principals, and holds the monitor's secret seed."""
        state = _State(
            reference=self._reference.digest if self._reference else "",
            inputs=self._inputs.state() if self._inputs else [],
            outputs=self._outputs.state() if self._outputs else [],
            principals=self.principals.state() if self.principals else b"",
        )
        return msgspec.msgpack.encode(state)

    def restore(self, state: bytes) -> None:
        """Go on from a state; of that of another reference, from the accounts alone. Raises `UsageError` for what is
        none."""
        try:
            found = msgspec.msgpack.decode(state, type=_State)
            if self.principals is not None and found.principals:
                self.principals.restore(found.principals)
        except (msgspec.DecodeError, RecursionError, UsageError) as error:
            raise UsageError(f"no state of a watch: {error}") from None
        if self._reference is not None and found.reference == self._reference.digest:
            if self._inputs is not None:
                self._inputs.restore(found.inputs)
            if self._outputs is not None:
                self._outputs.restore(found.outputs)

    def take_over(self, other: "ModelWatch") -> None:
        """Go on where the watch of an earlier configuration ends: what waits, what is remembered, and the calls whose
        labels are waited for."""
        other.drain()
        self.restore(other.state())
        if self._settings.feedback == other._settings.feedback and other.feedback is not None:
            same = (self._reference and self._reference.digest) == (other._reference and other._reference.digest)
            self._await_labels(other._memory, other.performance if same else None)


class _State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: str = "garrison-watch"
    reference: str
    inputs: list[bytes]
    outputs: list[bytes]
    principals: bytes


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Tables of the same columns as one."""
    rows = np.concatenate([one.data for one in tensors])
    return Tensor(tensors[0].name, tensors[0].datatype, rows.shape, rows, {})


def _words(side: SideWatch) -> str:
    parts = [
        f"{one['feature']} (mean {one['mean']:+.2g} deviations, variance {one['variance']:.2g} of what it was)"
        for one in side.moved()[:3]
    ]
    return "; ".join(parts)
