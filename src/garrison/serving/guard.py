"""The guard: takes a call through the stages, forwards it, and lets no answer out that is not recorded."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from garrison.serving import refusals
from garrison.serving.calls import Answer, Call, Forward, Mark
from garrison.serving.config.config import Model
from garrison.serving.refusals import Reason, Refused
from garrison.serving.stages import Head, Recorder, Stage

_UNRECORDED = Refused(Reason.FAILED, "the call cannot be recorded, and is not answered")


class Guard:
    """Immutable: a new configuration makes a new one, and calls that have begun end with the one they began with."""

    def __init__(
        self,
        models: Mapping[str, Model],
        stages: Callable[[Model | None], Sequence[Stage]],
        recorder: Recorder,
        failed: Callable[[str, BaseException], None],
    ) -> None:
        """`stages` are those of a model, in their order; of `None` those of calls that concern no model.

        `failed` is told of every failure of a stage, by its name.
        """
        self._models = models
        self._stages = {name: tuple(stages(model)) for name, model in models.items()}
        self._without_model = tuple(stages(None))
        self._heads = tuple(stage for stage in self._without_model if isinstance(stage, Head))
        self._recorder = recorder
        self._failed = failed

    async def answer(self, call: Call, forward: Forward) -> Answer:
        """The answer to a call, refusals included. Whatever it is, it is on record when this returns.

        Raises nothing but `asyncio.CancelledError`, when the caller has gone; that is on record, too.
        """
        refused = ""
        answer: Answer | None = None
        try:
            answer = await self._through(call, forward)
        except Refused as refusal:
            refused = refusal.reason.value
            if refusal.mark is not None:
                call.marks.append(refusal.mark)
            answer = refusals.answer(refusal, call)
        except asyncio.CancelledError:
            await self._recorded(call, Answer(499), "cancelled")
            raise
        except Exception as error:
            self._failed("forward", error)
            refused = Reason.FAILED.value
            answer = refusals.answer(Refused(Reason.FAILED, "the guard failed"), call)
        finally:
            if answer is not None and answer.stream is not None:
                answer.stream = _Held(answer.stream, call.releases)
            else:
                _release(call.releases)
        return await self._recorded(call, answer, refused)

    def head(self, call: Call) -> None:
        """Raise `Refused` for a call that is not let in whatever its body is. It is not on record by that: `refuse`
        does it."""
        for stage in self._heads:
            try:
                stage.head(call)
            except Refused:
                raise
            except Exception as error:
                self._failed(stage.name, error)
                raise Refused(Reason.FAILED, "the guard cannot decide about the request") from error

    async def refuse(self, call: Call, refusal: Refused) -> Answer:
        """The answer to a call that an adapter refuses before any stage sees it, on record like all others."""
        if refusal.mark is not None:
            call.marks.append(refusal.mark)
        return await self._recorded(call, refusals.answer(refusal, call), refusal.reason.value)

    async def _through(self, call: Call, forward: Forward) -> Answer:
        stages = self._without_model
        if call.model:
            call.settings = self._models.get(call.model)
            stages = self._stages.get(call.model, self._without_model)
        for stage in stages:
            try:
                waiting = stage.before(call)
                if waiting is not None:
                    await waiting
            except Refused:
                raise
            except Exception as error:
                self._degraded(call, stage, error)
        if call.model and call.settings is None:
            # Said only now, so that nobody learns which models there are without having been let in.
            raise Refused(Reason.UNKNOWN, "no such model is served here")
        if call.deadline is not None and time.monotonic() >= call.deadline:
            raise Refused(Reason.DEADLINE, "the deadline of the request has passed")
        answer = await forward(call)
        try:
            for stage in stages:
                try:
                    waiting = stage.after(call, answer)
                    if waiting is not None:
                        await waiting
                except Refused:
                    raise
                except Exception as error:
                    self._degraded(call, stage, error)
        except BaseException:
            await _discard(answer)
            raise
        return answer

    def _degraded(self, call: Call, stage: Stage, error: Exception) -> None:
        self._failed(stage.name, error)
        if stage.on_failure == "closed":
            mark = Mark(rule="guard-failure", message=f"{stage.name}: {type(error).__name__}")
            raise Refused(Reason.FAILED, "the guard cannot decide about the request", mark=mark) from error
        call.degraded.append(stage.name)

    async def _recorded(self, call: Call, answer: Answer, refused: str) -> Answer:
        try:
            waiting = self._recorder.record(call, answer, refused)
            if waiting is not None:
                await waiting
        except Exception as error:
            self._failed("record", error)
            if self._recorder.on_failure == "closed":
                await _discard(answer)
                return refusals.answer(_UNRECORDED, call)
        except BaseException:
            await _discard(answer)
            raise
        return answer


class _Held:
    """A body that comes in parts. What its call holds is given back once it has ended, however it did."""

    def __init__(self, stream: AsyncIterator[bytes], releases: list[Callable[[], object]]) -> None:
        self._stream = stream
        self._releases = releases

    def __aiter__(self) -> "_Held":
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._stream)
        except BaseException:
            _release(self._releases)
            raise

    async def aclose(self) -> None:
        try:
            await _closed(self._stream)
        finally:
            _release(self._releases)


def _release(releases: list[Callable[[], object]]) -> None:
    while releases:
        releases.pop()()


async def _discard(answer: Answer) -> None:
    """Close what nobody will read to its end."""
    if answer.stream is not None:
        await _closed(answer.stream)


async def _closed(stream: AsyncIterator[bytes]) -> None:
    close = getattr(stream, "aclose", None)
    if close is not None:
        await close()
