"""Which limits a call meets, worked out once for each caller."""

from typing import Literal, NamedTuple

from garrison.serving.admit.callers import caller
from garrison.serving.admit.settings import Admit, Limits
from garrison.serving.calls import Action, Call
from garrison.serving.config.config import Config, Model
from garrison.serving.state.store import Take

Unit = Literal["queries", "rows"]

_MOST_PLANS = 10_000
_MOST_IN_FLIGHT = 1000
"""Calls in flight in this process where `total.concurrency` is not set."""
COUNTED = (Action.INFER, Action.EXPLAIN)
"""What counts for quotas."""


class Quota(NamedTuple):
    key: str
    most: float
    monthly: bool


class Plan(NamedTuple):
    places: tuple[tuple[str, int], ...]
    """Those of the process and the model first."""
    whole: int
    """How many of the places are not of the caller alone."""
    buckets: tuple[Take, ...]
    """For one unit."""
    quotas: tuple[Quota, ...]
    weight: float
    """What one query or row counts as."""


class Plans:
    """Of the calls of one model, or of those that concern none."""

    def __init__(self, config: Config, model: Model | None, unit: Unit) -> None:
        self._scopes = [config.admit] if model is None else [config.admit, model.admit]
        self._unit = unit
        self._plans: dict[tuple[object, ...], Plan] = {}

    def __bool__(self) -> bool:
        """Whether any caller meets a limit."""
        limits = [one for scope in self._scopes for one in (scope, scope.total, *scope.roles.values())]
        return self._unit == "queries" or any(
            limit is not None for one in limits for limit in (one.rows_rate, one.rows_per_day, one.rows_per_month)
        )

    def plan(self, call: Call) -> Plan:
        principal = call.principal
        who = (principal.tenant, principal.name) if principal.method else call.peer.address
        key = (who, principal.roles, call.action, call.model)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            plan = self._plans[key] = self._made(call)
        return plan

    def _made(self, call: Call) -> Plan:
        whole: list[tuple[str, int]] = []
        own: list[tuple[str, int]] = []
        buckets: list[Take] = []
        quotas: list[Quota] = []
        weight = 1.0
        who = caller(call)
        for index, scope in enumerate(self._scopes):
            name = f"m{len(call.model)}:{call.model}" if index else "g"
            limits = next((scope.roles[role] for role in scope.roles if role in call.principal.roles), scope)
            everyone = scope.total.concurrency or (None if index else _MOST_IN_FLIGHT)
            if everyone is not None:
                whole.append((name, everyone))
            share = max(1, int(everyone * scope.share)) if everyone is not None else None
            most = min((one for one in (limits.concurrency, share) if one is not None), default=None)
            if most is not None:
                own.append((f"{name}|{who}", most))
            weight *= scope.costs.get(call.action, 1.0)
            for key, of in ((f"{self._unit}|{name}|{who}", limits), (f"{self._unit}|{name}", scope.total)):
                buckets += self._bucket(key, of)
                quotas += self._quotas(key, of)
        return Plan((*whole, *own), len(whole), tuple(buckets), tuple(quotas), weight)

    def _bucket(self, key: str, limits: Limits) -> list[Take]:
        rate, burst = limits.rate, limits.burst
        if self._unit == "rows":
            rate, burst = limits.rows_rate, limits.rows_burst or (limits.rows_rate or 0) * 10
        if rate is None:
            return []
        return [Take(f"b|{key}", 1.0, max(1.0, burst or rate), 1 / rate, 0.0)]

    def _quotas(self, key: str, limits: Limits) -> list[Quota]:
        day, month = limits.queries_per_day, limits.queries_per_month
        if self._unit == "rows":
            day, month = limits.rows_per_day, limits.rows_per_month
        found = [] if day is None else [Quota(f"q|{key}|", day, False)]
        return found if month is None else [*found, Quota(f"q|{key}|", month, True)]


def nearest(config: Config, model: Model | None) -> Admit:
    """The settings that say what time calls have."""
    return config.admit if model is None else model.admit
