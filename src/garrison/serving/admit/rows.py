"""Charges what a call costs by its rows, once they are known."""

from collections.abc import Awaitable

from garrison.serving.admit.limiter import Limiter
from garrison.serving.admit.plans import COUNTED, Plans, nearest
from garrison.serving.calls import Answer, Call
from garrison.serving.config.config import Config, Model
from garrison.serving.services import Services


class RowsStage:
    """Comes after the schema has been checked, so that nobody pays for what is refused anyhow."""

    name = "admit.rows"

    def __init__(self, plans: Plans, config: Config, model: Model, services: Services) -> None:
        self.on_failure = nearest(config, model).on_failure
        self._plans = plans
        self._limiter = Limiter(services, self.name, self.on_failure)

    def before(self, call: Call) -> Awaitable[None] | None:
        if call.action not in COUNTED:
            return None
        # The longest first axis: an input of one row beside one of a thousand does not make the call cheap.
        rows = max((tensor.shape[0] if tensor.shape else 1 for tensor in call.tensors()), default=1)
        return self._limiter.charge(call, self._plans.plan(call), float(max(1, rows)))

    def after(self, call: Call, answer: Answer) -> Awaitable[None] | None:
        return None


def stage(config: Config, model: Model | None, services: Services) -> RowsStage | None:
    """The stage of a model; `None` where rows are not limited."""
    if model is None:
        return None
    plans = Plans(config, model, "rows")
    return RowsStage(plans, config, model, services) if plans else None
