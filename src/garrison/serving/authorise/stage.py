"""Lets through what a role allows."""

from garrison.serving.authorise.decisions import Decisions
from garrison.serving.authorise.settings import Authorise
from garrison.serving.calls import Action, Answer, Call, Mark
from garrison.serving.config.config import Config, Model
from garrison.serving.refusals import Reason, Refused
from garrison.serving.services import Services

OPEN = frozenset({"server-live", "server-ready"})
"""Operations that tell no more than that a server is there."""


class AuthoriseStage:
    name = "authorise"

    def __init__(self, settings: Authorise, decisions: Decisions) -> None:
        self.on_failure = settings.on_failure
        self._open = OPEN if settings.open_health else frozenset()
        self._decide = decisions.decide

    def before(self, call: Call) -> None:
        if call.action is Action.HEALTH and call.operation in self._open:
            return
        decision = self._decide(call.principal, call.action, call.model, call.version)
        if not decision.allowed:
            mark = Mark(rule="permission-denied", message=f"{call.action}: {decision.by or 'no grant'}")
            raise Refused(Reason.FORBIDDEN, "you may not do that here", mark=mark)

    def after(self, call: Call, answer: Answer) -> None:
        pass


def decisions(config: Config) -> Decisions:
    """By a configuration. Raises `UsageError`."""
    return Decisions(config.authorise.roles, {name: model.tenant for name, model in config.models.items()})


def stage(config: Config, model: Model | None, services: Services) -> AuthoriseStage:
    """The stage, the same for all models."""
    return AuthoriseStage(config.authorise, decisions(config))
