"""What no grant allows is denied, and what one denies stays so."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.errors import UsageError
from garrison.serving.authorise.decisions import Decisions
from garrison.serving.authorise.settings import Grant
from garrison.serving.authorise.stage import stage
from garrison.serving.calls import ANONYMOUS, Action, Call, Peer, Principal
from garrison.serving.config.config import Config, Model
from garrison.serving.http.routes import ROUTES
from garrison.serving.refusals import Reason, Refused

ACTIONS = [action for action in Action if action is not Action.UNKNOWN]


def decide(
    *grants: Grant, action: Action = Action.INFER, model: str = "fraud-1", version: str = "", **who: object
) -> bool:
    principal = Principal(name="ana", roles=("role",), **who)  # type: ignore[arg-type]
    return Decisions({"role": grants}, {"fraud-1": "bank"}).decide(principal, action, model, version).allowed


def grant(*actions: str, effect: str = "allow", **conditions: object) -> Grant:
    return Grant(actions=actions, effect=effect, **{"models": ("*",), **conditions})  # type: ignore[arg-type]


def test_nothing_is_allowed_by_nothing() -> None:
    assert not any(decide(action=action) for action in ACTIONS)


def test_a_star_covers_what_changes_nothing_and_tells_of_nobody() -> None:
    allowed = {action for action in ACTIONS if decide(grant("*"), action=action)}
    assert allowed == {Action.HEALTH, Action.METADATA, Action.INFER, Action.EXPLAIN}
    assert decide(grant("manage"), action=Action.MANAGE)


def test_a_denial_of_everything_is_one() -> None:
    grants = (grant(*(action.value for action in ACTIONS)), grant("*", effect="deny"))
    assert not any(decide(*grants, action=action) for action in ACTIONS)


def test_models_and_versions_are_patterns() -> None:
    assert decide(grant("infer", models=("fraud-*",)))
    assert not decide(grant("infer", models=("fraud",)))
    assert not decide(grant("infer", versions=("2",)))
    assert decide(grant("infer", versions=("2",)), version="2")


def test_attributes_and_tenants_are_conditions() -> None:
    assert decide(grant("infer", attributes={"team": ("risk", "audit")}), attributes={"team": "audit"})
    assert not decide(grant("infer", attributes={"team": ("risk",)}), attributes={"team": "audit"})
    assert not decide(grant("infer", attributes={"team": ("risk",)}))
    assert decide(grant("infer", same_tenant=True), tenant="bank")
    assert not decide(grant("infer", same_tenant=True), tenant="shop")
    assert not decide(grant("infer", same_tenant=True))
    assert not decide(grant("infer", same_tenant=True), model="nobodys", tenant="")
    assert not decide(grant("infer", tenants=("shop",)), tenant="bank")


@pytest.mark.parametrize("action", ["manage", "health", "infer"])
def test_a_denial_that_names_no_model_is_one_of_them_all(action: str) -> None:
    denial = Grant(actions=(action,), effect="deny")  # type: ignore[arg-type]
    assert decide(grant(action), action=Action(action))
    assert not decide(grant(action), denial, action=Action(action))


GRANTS = st.builds(
    Grant,
    effect=st.sampled_from(["allow", "deny"]),
    actions=st.lists(st.sampled_from([*(action.value for action in ACTIONS), "*"]), min_size=1, max_size=3).map(tuple),
    models=st.lists(st.sampled_from(["*", "fraud-*", "other"]), min_size=1, max_size=2).map(tuple),
)


@given(st.lists(GRANTS, max_size=5), GRANTS, st.sampled_from(ACTIONS), st.sampled_from(["fraud-1", "other", "third"]))
def test_an_allowance_takes_nothing_away_and_a_denial_adds_nothing(
    grants: list[Grant], more: Grant, action: Action, model: str
) -> None:
    before = decide(*grants, action=action, model=model)
    after = decide(*grants, more, action=action, model=model)
    assert (after >= before) if more.effect == "allow" else (after <= before)


def test_made_up_names_fill_no_memory() -> None:
    decisions = Decisions({}, {})
    for number in range(10_000):
        decisions.decide(ANONYMOUS, Action.INFER, str(number), "")
    assert len(decisions._known) <= 4096


@pytest.mark.parametrize(
    "grant, said",
    [
        (Grant(actions=()), "names actions"),
        (Grant(actions=("infer",)), "says nothing of models"),
        (Grant(actions=("*",)), "says nothing of models"),
    ],
)
def test_grants_that_can_never_apply_are_said(grant: Grant, said: str) -> None:
    with pytest.raises(UsageError, match=rf"authorise\.roles\.role 1: .*{said}"):
        Decisions({"role": (grant,)}, {})


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.pattern}")
def test_without_grants_every_route_is_closed_but_for_whether_the_server_is_there(route: object) -> None:
    found = stage(Config(), Model(), None)  # type: ignore[arg-type]
    call = Call(
        route.action,  # type: ignore[attr-defined]
        transport="http",
        headers={},
        peer=Peer(),
        model="m",
        operation=route.operation,  # type: ignore[attr-defined]
    )
    if call.operation in ("server-live", "server-ready"):
        found.before(call)
        return
    with pytest.raises(Refused) as refused:
        found.before(call)
    assert refused.value.reason is Reason.FORBIDDEN


def test_every_action_can_be_named_in_a_grant_but_the_unknown_one() -> None:
    for action in Action:
        table = {"authorise": {"roles": {"r": [{"actions": [action.value], "models": ["*"]}]}}}
        if action is Action.UNKNOWN:
            with pytest.raises(msgspec.ValidationError):
                msgspec.convert(table, Config)
        else:
            msgspec.convert(table, Config)


@pytest.mark.parametrize("action", [Action.ADMINISTER, Action.REPOSITORY, Action.MANAGE])
def test_a_grant_for_some_models_lets_nobody_ask_about_all_of_them(action: Action) -> None:
    assert decide(grant(action.value, models=("fraud-*",)), action=action)
    assert not decide(grant(action.value, models=("fraud-*",)), action=action, model="")
    assert not decide(grant(action.value, same_tenant=True), action=action, model="", tenant="bank")
    assert decide(grant(action.value), action=action, model="")
    assert decide(grant(action.value, models=()), action=action, model="")
    assert not decide(
        grant(action.value), grant(action.value, effect="deny", models=("fraud-*",)), action=action, model=""
    )
