"""Looks at inputs before the server sees them."""

import asyncio
from collections.abc import Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from garrison.core.errors import UsageError
from garrison.serving.calls import Action, Answer, Call, Mark
from garrison.serving.config.config import Config, Model
from garrison.serving.refusals import Reason, Refused
from garrison.serving.screen.inputs import InputDetector
from garrison.serving.screen.settings import Reaction, Screen
from garrison.serving.screen.texts import PersonalTexts, SecretTexts
from garrison.serving.services import Services

_READ = (Action.INFER, Action.EXPLAIN)
_SHADOWS = 256
"""Calls whose inputs wait to be looked at after the answer; more are not looked at."""


class Look(Protocol):
    """Looks at the inputs of a call."""

    def takes_long(self, call: Call) -> bool:
        """Whether it should be asked in a thread."""
        ...

    def marks(self, call: Call) -> Iterator[Mark]: ...


@dataclass(frozen=True, eq=False)
class _Check:
    look: Look
    reaction: Reaction


class ScreenStage:
    name = "screen"

    def __init__(self, settings: Screen, checks: list[_Check], services: Services, backend: str = "") -> None:
        """`backend` is that of the model that answers for `fallback`."""
        self.on_failure = settings.on_failure
        self._fallback = settings.fallback
        self._backend = backend
        self._now = [one for one in checks if one.reaction != "shadow"]
        self._later = [one for one in checks if one.reaction == "shadow"]
        self._services = services
        # Looking is bound by the processor: one thread keeps the loop free, more would only compete.
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="screen") if checks else None
        self._shadows: set[asyncio.Future[None]] = set()
        self.passed_over = 0
        """Calls that were to be looked at after their answer, and were not, since too many waited."""

    def before(self, call: Call) -> Awaitable[None] | None:
        if call.action not in _READ or not self._now:
            return None
        slow = [one for one in self._now if one.look.takes_long(call)]
        for one in self._now:
            if one not in slow:
                self._react(call, one, list(one.look.marks(call)))
        return self._slowly(call, slow) if slow else None

    def after(self, call: Call, answer: Answer) -> Awaitable[None] | None:
        if call.action in _READ and self._later:
            if len(self._shadows) >= _SHADOWS:
                self.passed_over += 1
                return None
            loop = asyncio.get_running_loop()
            future = loop.run_in_executor(self._threads, self._shadow, call)
            self._shadows.add(future)
            future.add_done_callback(self._shadows.discard)
        return None

    def close(self) -> None:
        """End the thread, once it has looked at what waits."""
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    async def _slowly(self, call: Call, checks: list[_Check]) -> None:
        loop = asyncio.get_running_loop()
        for one in checks:
            marks = await loop.run_in_executor(self._threads, lambda one=one: list(one.look.marks(call)))  # type: ignore[misc]
            self._react(call, one, marks)

    def _react(self, call: Call, check: _Check, marks: list[Mark]) -> None:
        if not marks:
            return
        if check.reaction == "block":
            call.marks.extend(marks[:-1])
            raise Refused(Reason.UNACCEPTABLE, _WORDS.get(marks[0].rule, "the input is refused"), mark=marks[-1])
        call.marks.extend(marks)
        if check.reaction == "fallback" and not call.requested:
            call.answer_by(self._fallback, self._backend)

    def _shadow(self, call: Call) -> None:
        for one in self._later:
            for mark in one.look.marks(call):
                self._services.noticed(call, mark)


_WORDS = {
    "adversarial-input": "the input is unlike those that the model is made for",
    "personal-data-in-input": "the input holds personal data, which this model does not take",
    "secret-in-input": "the input holds a credential; withdraw it, since it has been sent",
}


def stage(config: Config, model: Model | None, services: Services) -> ScreenStage | None:
    """The stage of a model; `None` where nothing is looked for. Raises `UsageError`."""
    if model is None:
        return None
    settings = model.screen
    checks = []
    for name, use in settings.detectors.items():
        try:
            checks.append(_Check(InputDetector(name, use), use.reaction))
        except UsageError as error:
            raise UsageError(f"screen.detectors.{name}: {error}") from None
    texts = model.schema.unchecked or any(one.datatype == "BYTES" for one in model.schema.inputs)
    if settings.personal_data.reaction != "off" and texts:
        checks.append(_Check(PersonalTexts(settings.personal_data.kinds), settings.personal_data.reaction))
    if settings.secrets.kinds:
        raise UsageError("screen.secrets: has no kinds to choose from")
    if settings.secrets.reaction != "off" and texts:
        checks.append(_Check(SecretTexts(), settings.secrets.reaction))
    if any(one.reaction == "fallback" for one in checks) and settings.fallback not in config.models:
        raise UsageError(f"screen.fallback: no model named {settings.fallback!r} is configured")
    backend = config.models[settings.fallback].backend if settings.fallback in config.models else ""
    return ScreenStage(settings, checks, services, backend) if checks else None
