"""Makes answers teach less, by the roles of who asks."""

from collections.abc import Awaitable

from garrison.core import files
from garrison.core.errors import UsageError
from garrison.serving.calls import Action, Answer, Call, Mark
from garrison.serving.config.config import Config, Model
from garrison.serving.http.routes import STREAMING
from garrison.serving.protect.noise import KeyedNoise
from garrison.serving.protect.rules import Protection
from garrison.serving.protect.settings import Protect
from garrison.serving.refusals import Reason, Refused
from garrison.serving.services import Services

_READ = (Action.INFER, Action.EXPLAIN)
_KEY_BYTES = 1 << 16


class ProtectStage:
    name = "protect"

    def __init__(self, settings: Protect, noise: KeyedNoise | None) -> None:
        """Raises `UsageError`."""
        self.on_failure = settings.on_failure
        self._rules = [Protection(rule, noise) for rule in settings.rules]
        others = [number for number, rule in enumerate(settings.rules) if not rule.roles]
        if len(others) != 1:
            raise UsageError("one rule without roles says what everybody else gets")
        self._others = others[0]
        self._by_role: dict[str, int] = {}
        for number, rule in enumerate(settings.rules):
            for role in rule.roles:
                if self._by_role.setdefault(role, number) != number:
                    raise UsageError(f"role {role!r} is in two rules")
        self._choose = min if settings.several_roles == "strictest" else max

    def before(self, call: Call) -> None:
        if call.action not in _READ or self._protection(call).unchanged:
            return
        if call.action is Action.EXPLAIN:
            raise Refused(Reason.FORBIDDEN, "explanations of this model's answers are not given to you")
        if call.transport == "http" and call.operation in STREAMING:
            raise Refused(Reason.FORBIDDEN, "answers of this model are not given to you in parts")

    def after(self, call: Call, answer: Answer) -> Awaitable[None] | None:
        if call.action not in _READ or answer.status >= 400:
            return None
        protection = self._protection(call)
        if protection.unchanged:
            return None
        if answer.stream is not None:
            return _ended(answer)
        if answer.status != 200:
            raise _unprotected(f"an answer with status {answer.status}")
        try:
            outputs = protection.given(answer.tensors(call), call.tensors())
        except ValueError as error:
            raise _unprotected(str(error)) from None
        if not outputs:
            raise _unprotected("no output that may be given")
        answer.replace(call, outputs)
        return None

    def _protection(self, call: Call) -> Protection:
        numbers = [self._by_role[role] for role in call.principal.roles if role in self._by_role]
        return self._rules[self._choose(numbers) if numbers else self._others]


async def _ended(answer: Answer) -> None:
    close = getattr(answer.stream, "aclose", None)
    if close is not None:
        await close()
    raise _unprotected("an answer in parts")


def _unprotected(why: str) -> Refused:
    mark = Mark(rule="answer-unprotected", message=why)
    return Refused(Reason.FAILED, "the answer cannot be given to you in the form that you may have", mark=mark)


def stage(config: Config, model: Model | None, services: Services) -> ProtectStage | None:
    """The stage of a model; `None` where everybody gets what the server gives. Raises `UsageError`."""
    if model is None or not model.protect.rules:
        return None
    settings = model.protect
    name = next((name for name, one in config.models.items() if one is model), "")
    try:
        noise = KeyedNoise(files.contents(settings.key, _KEY_BYTES), name) if settings.key else None
        return ProtectStage(settings, noise)
    except ValueError as error:
        raise UsageError(f"protect: {settings.key}: {error}") from None
    except UsageError as error:
        raise UsageError(f"protect: {error}") from None
