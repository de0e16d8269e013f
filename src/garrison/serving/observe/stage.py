"""Watches calls and answers of one model, and refuses what shall not go on."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from typing import Any

from garrison.core.errors import UsageError
from garrison.core.files import contents, replacing
from garrison.serving.calls import Action, Answer, Call, Codec, Forward, Mark
from garrison.serving.config.config import Config, Model
from garrison.serving.observe.jobs.canaries import Canaries
from garrison.serving.observe.jobs.integrity import ModelIntegrity
from garrison.serving.observe.jobs.periodic import Job
from garrison.serving.observe.reference.reference import load
from garrison.serving.observe.watch import ModelWatch
from garrison.serving.refusals import Reason, Refused
from garrison.serving.services import Services

_READ = (Action.INFER, Action.EXPLAIN)
_MOST_STATE = 1 << 30
_PAUSE = 0.05
"""Seconds between looks at what waits."""
_FLUSH = 5.0
"""Seconds between additions to the shared accounts."""


class ObserveStage:
    """`start` in the loop that calls come in, and `stop` at the end."""

    name = "observe"

    def __init__(self, name: str, model: Model, watch: ModelWatch, services: Services) -> None:
        self.on_failure = model.observe.on_failure
        self.watch = watch
        self.altered = False
        """Whether the model is held not to be the one that was signed; set by the job that verifies it."""
        self.model = name
        self._name, self._model, self._settings, self._services = name, model, model.observe, services
        self._task: asyncio.Task[None] | None = None

    def before(self, call: Call) -> Awaitable[None] | None:
        if self.altered and call.action is not Action.HEALTH:
            mark = Mark(rule="model-integrity", message="refused while the model is not the one that was signed")
            raise Refused(Reason.FAILED, "the model cannot answer now", mark=mark)
        principals = self.watch.principals
        if principals is not None and principals.refused and principals.is_refused(call.principal.name):
            mark = Mark(rule="query-search", message="refused after a search")
            raise Refused(Reason.FORBIDDEN, "your calls of this model are refused for now", mark=mark)
        return None

    def after(self, call: Call, answer: Answer) -> Awaitable[None] | None:
        if answer.status != 200 or call.action not in _READ:
            return None
        if call.action is Action.INFER and answer.stream is None:
            self.watch.offer(call, answer)
        else:
            self.watch.skip(call)
        return None

    def feedback(self, call: Call) -> Answer:
        """Take labels that a caller with the permission brings. Raises `Refused`."""
        if self.watch.feedback is None:
            raise Refused(Reason.UNKNOWN, "this model takes no labels")
        return self.watch.feedback.answer(call)

    def snapshot(self) -> dict[str, Any]:
        """How things stand, for people and for metrics."""
        return {**self.watch.snapshot(), "altered": self.altered}

    def jobs(self, forward: Forward, codec: Codec) -> list[Job]:
        """What is to be done at intervals: the shared accounts, integrity and canaries, as configured.

        Canaries go by `forward`, which asks the server, and `codec`, that of the Open Inference Protocol over HTTP.
        Raises `UsageError` for canaries that cannot be read and for trust in nobody.
        """
        found = []
        if self.watch.principals is not None:
            found.append(Job(name=f"{self._name}: accounts", interval=_FLUSH, run=self.watch.flush))
        if self._settings.integrity.model:
            found.append(ModelIntegrity(self._name, self._model, self._services, self._alter).job())
        if self._settings.canaries.file:
            found.append(Canaries(self._name, self._model, forward, codec, self._services).job())
        return found

    def _alter(self, altered: bool) -> None:
        self.altered = altered

    def start(self, failed: Callable[[str, BaseException], None]) -> None:
        """Begin to look, in the running loop. `failed` is told what went wrong with a batch, which is then left out.

        Raises `UsageError` for a state that cannot be read.
        """
        if self._settings.state and os.path.exists(self._settings.state):
            try:
                self.watch.restore(contents(self._settings.state, _MOST_STATE))
            except UsageError as error:
                raise UsageError(f"{self._settings.state}: {error}; take it away to begin anew") from None
        self._task = asyncio.get_running_loop().create_task(self._run(failed))

    async def stop(self, *, keep: bool = True) -> None:
        """Look at what waits, write down what shall survive, and end; without `keep`, end only.

        Raises `UsageError` if it cannot be written.
        """
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        if not keep:
            return
        self.watch.drain()
        await self.watch.flush()
        if self._settings.state:
            try:
                with replacing(self._settings.state) as file:
                    os.fchmod(file.fileno(), 0o600)
                    file.write(self.watch.state())
            except OSError as error:
                raise UsageError(f"{self._settings.state}: cannot be written: {error.strerror}") from None

    async def _run(self, failed: Callable[[str, BaseException], None]) -> None:
        while True:
            # What comes meanwhile waits for the next turn: many rows together cost little more than one.
            until = self.watch.calls + self.watch.waiting
            while self.watch.waiting and self.watch.calls < until:
                try:
                    self.watch.step()
                except Exception as error:
                    failed("observe", error)
                await asyncio.sleep(0)
            await asyncio.sleep(_PAUSE)


def stage(config: Config, model: Model | None, services: Services) -> ObserveStage | None:
    """The stage of a model; `None` where nothing is watched. Raises `UsageError`."""
    if model is None:
        return None
    settings = model.observe
    if not (settings.reference or settings.feedback.enabled or settings.integrity.model or settings.canaries.file):
        return None
    name = next(name for name, one in config.models.items() if one is model)
    try:
        reference = load(settings.reference) if settings.reference else None
        return ObserveStage(name, model, ModelWatch(name, model, reference, services), services)
    except UsageError as error:
        raise UsageError(f"models.{name}.observe: {error}") from None
