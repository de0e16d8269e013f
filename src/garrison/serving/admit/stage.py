"""Lets a call in where there is a place for it, and its caller has not asked too much."""

from collections.abc import Awaitable

from garrison.serving.admit.limiter import Limiter
from garrison.serving.admit.places import places
from garrison.serving.admit.plans import Plans, nearest
from garrison.serving.calls import Answer, Call
from garrison.serving.config.config import Config, Model
from garrison.serving.refusals import Reason, Refused
from garrison.serving.services import Services


class AdmitStage:
    """Comes before the body is read: what is refused here costs next to nothing."""

    name = "admit"

    def __init__(self, config: Config, model: Model | None, services: Services) -> None:
        settings = nearest(config, model)
        self.on_failure = settings.on_failure
        self._timeout = settings.timeout
        self._most_timeout = settings.most_timeout
        self._plans = Plans(config, model, "queries")
        self._places = places(services)
        self._limiter = Limiter(services, self.name, settings.on_failure)

    def before(self, call: Call) -> Awaitable[None] | None:
        latest = call.received + self._most_timeout
        if call.deadline is None:
            call.deadline = min(call.received + self._timeout, latest)
        elif call.deadline > latest:
            call.deadline = latest
        plan = self._plans.plan(call)
        held = plan.places
        full = self._places.take(held)
        if full >= plan.whole:
            raise Refused(Reason.LIMITED, "too many of your requests are in flight; wait for one to end", retry_after=1)
        if full >= 0:
            raise Refused(Reason.OVERLOADED, "the server is busy; try again later", retry_after=1)
        call.releases.append(lambda: self._places.give_back(held))
        return self._limiter.charge(call, plan, 1.0)

    def after(self, call: Call, answer: Answer) -> Awaitable[None] | None:
        return None


def stage(config: Config, model: Model | None, services: Services) -> AdmitStage:
    """The stage of a model, or of calls that concern none."""
    return AdmitStage(config, model, services)
