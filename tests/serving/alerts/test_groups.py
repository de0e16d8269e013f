"""What goes on is told once, together with what belongs to it, and again only after a while."""

import datetime
import itertools

from hypothesis import given
from hypothesis import strategies as st

from garrison.core.findings import Finding, Severity
from garrison.serving.alerts.groups import Groups
from garrison.serving.alerts.settings import Alerts, Silence
from garrison.serving.incidents import Incident

SETTINGS = Alerts(group_wait=10, group_interval=60, repeat_interval=1000, over_after=400, runbook="https://w/{rule}")


def incident(
    rule: str = "input-drift",
    model: str = "digits",
    principal: str = "",
    *,
    severity: Severity = Severity.MEDIUM,
    resolved: bool = False,
) -> Incident:
    finding = Finding(rule=rule, severity=severity, subject=model, message=f"{rule} of {model}")
    return Incident(finding=finding, time=0.0, model=model, principal=principal, resolved=resolved)


def test_the_first_message_waits_for_what_comes_with_it() -> None:
    groups = Groups(SETTINGS)
    groups.add(incident(principal="a"), 0)
    assert groups.due(9) == []
    groups.add(incident(principal="b"), 9)
    (told,) = groups.due(10)
    assert [one.principal for one in told.incidents] == ["a", "b"]
    assert told.labels == {"rule": "input-drift", "model": "digits"}
    assert told.runbook == "https://w/input-drift"


def test_models_have_messages_of_their_own() -> None:
    groups = Groups(SETTINGS)
    groups.add(incident(model="one"), 0)
    groups.add(incident(model="two"), 0)
    assert len(groups.due(10)) == 2


def test_what_is_reported_again_is_counted_and_not_told_again() -> None:
    groups = Groups(SETTINGS)
    groups.add(incident(), 0)
    groups.due(10)
    for second in range(11, 300):
        groups.add(incident(), second)
    assert groups.due(300) == []
    (told,) = groups.due(1010) if groups.add(incident(), 690) is None else []
    assert told.incidents[0].count == 291


def test_a_change_is_told_after_the_interval() -> None:
    groups = Groups(SETTINGS)
    groups.add(incident(principal="a"), 0)
    groups.due(10)
    groups.add(incident(principal="b"), 20)
    assert groups.due(69) == []
    assert len(groups.due(70)[0].incidents) == 2


def test_what_is_over_is_told_once_and_forgotten() -> None:
    groups = Groups(SETTINGS)
    groups.add(incident(), 0)
    groups.due(10)
    groups.add(incident(resolved=True), 80)
    (told,) = groups.due(80)
    assert told.resolved
    assert groups.due(10_000) == []
    assert groups.next() is None


def test_what_is_not_reported_any_more_is_over() -> None:
    groups = Groups(SETTINGS)
    groups.add(incident(), 0)
    assert not groups.due(10)[0].resolved
    assert groups.due(399) == []
    (told,) = groups.due(400)
    assert told.resolved


def test_that_something_is_over_which_nobody_knew_of_is_no_news() -> None:
    groups = Groups(SETTINGS)
    groups.add(incident(resolved=True), 0)
    assert groups.due(10_000) == []


def test_silences_hold_until_their_end() -> None:
    until = datetime.datetime(1970, 1, 1, 0, 1, 40)
    silence = Silence(reason="known", owner="ops", until=until, rule="input-*", model="digits")
    groups = Groups(Alerts(silences=(silence,), group_wait=1))
    groups.add(incident(), 99)
    assert groups.due(110) == []
    assert groups.silenced == 1
    groups.add(incident(model="other"), 99)
    groups.add(incident(), 100)
    assert len(groups.due(120)) == 2


def test_who_brings_up_many_incidents_fills_no_memory() -> None:
    groups = Groups(Alerts(group_by=("principal",), group_wait=1))
    for number in range(3000):
        groups.add(incident(principal=str(number)), 0)
    assert len(groups.due(2)) == 1000
    assert groups.forgotten == 2000
    groups = Groups(Alerts(group_wait=1))
    for number in range(3000):
        groups.add(incident(principal=str(number)), 0)
    (told,) = groups.due(2)
    assert (len(told.incidents), told.others) == (100, 2900)


@given(
    st.lists(
        st.tuples(st.floats(0, 300), st.sampled_from("ab"), st.sampled_from("xyz"), st.booleans(), st.booleans()),
        max_size=60,
    )
)
def test_everything_that_began_is_told_and_messages_keep_their_distance(
    steps: list[tuple[float, str, str, bool, bool]],
) -> None:
    groups, now = Groups(SETTINGS), 0.0
    began: set[tuple[str, str]] = set()
    told: set[tuple[str, str]] = set()
    sent: dict[str, list[float]] = {}
    for wait, model, principal, resolved, look in steps:
        now += wait
        groups.add(incident(model=model, principal=principal, resolved=resolved), now)
        if not resolved:
            began.add((model, principal))
        for notification in groups.due(now) if look else []:
            told |= {(one.model, one.principal) for one in notification.incidents}
            sent.setdefault(notification.labels["model"], []).append(now)
    for notification in groups.due(now, rest=True):
        told |= {(one.model, one.principal) for one in notification.incidents}
    assert told == began
    for times in sent.values():
        assert all(later - earlier >= 10 for earlier, later in itertools.pairwise(times))
