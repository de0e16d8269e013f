"""Labels are counted as they should be, of those who may bring them, and what they show is told."""

import json

import numpy as np
import pytest

from garrison.serving.calls import Action, Call, Peer, Principal
from garrison.serving.config.config import Config, Model
from garrison.serving.observe.feedback.groups import MOST_GROUPS, OTHER, Tally
from garrison.serving.observe.feedback.memory import Memory
from garrison.serving.observe.feedback.performance import Watch
from garrison.serving.observe.feedback.sources import named
from garrison.serving.observe.reference.reference import performance_of
from garrison.serving.observe.settings import Feedback, Group, Observe
from garrison.serving.observe.stage import ObserveStage, stage
from garrison.serving.refusals import Reason, Refused
from tests.serving.observe.world import World, asked, natural, scored, tensor


def made(world: World, **settings: object) -> ObserveStage:
    model = Model(observe=Observe(feedback=Feedback(enabled=True, **settings)))  # type: ignore[arg-type]
    found = stage(Config(models={"m": model}), model, world.services)
    assert found is not None
    return found


def labels(principal: Principal, **body: object) -> Call:
    call = Call(Action.FEEDBACK, transport="http", headers={}, peer=Peer(), model="m", body=json.dumps(body).encode())
    call.principal = principal
    return call


def test_labels_are_matched_with_what_was_decided() -> None:
    guarded = made(World(), groups={"region": Group(source="principal"), "age": Group(edges=(30,))})
    rows = natural(4, 1)
    call, answer = asked(rows, region="north")
    guarded.after(call, answer)
    truth = scored(rows).argmax(1).tolist()
    truth[0] = (truth[0] + 1) % 3
    answered = guarded.feedback(
        labels(call.principal, call=call.identifier, labels=truth, groups={"age": [20, 30, 31, 29]})
    )
    assert (answered.status, json.loads(answered.body)) == (200, {"rows": 4})
    found = guarded.snapshot()["feedback"]
    assert (found["taken"], found["count"], found["accuracy"]) == (1, 4, 0.75)
    assert found["groups"]["region"]["rates"]["north"]["count"] == 4
    assert {name: one["count"] for name, one in found["groups"]["age"]["rates"].items()} == {"..30": 2, "30..": 2}


def test_nobody_labels_calls_of_others_nor_twice_nor_unknown_ones() -> None:
    world = World()
    guarded = made(world, others=("auditor",), seconds=100.0)
    calls = [asked(natural(1, seed))[0] for seed in range(3)]
    for call in calls:
        guarded.after(call, asked(natural(1, 0))[1])
    said = set()
    for principal, identifier in (("eve", calls[0].identifier), ("ann", "nothing")):
        with pytest.raises(Refused) as refused:
            guarded.feedback(labels(Principal(name=principal), call=identifier, labels=[0]))
        assert refused.value.reason is Reason.UNKNOWN
        said.add(refused.value.message)
    ann = calls[0].principal
    guarded.feedback(labels(ann, call=calls[0].identifier, labels=[0]))
    guarded.feedback(labels(Principal(name="bob", roles=("auditor",)), call=calls[1].identifier, labels=[0]))
    world.now += 101
    for late in (0, 2):
        with pytest.raises(Refused) as refused:
            guarded.feedback(labels(ann, call=calls[late].identifier, labels=[0]))
        said.add(refused.value.message)
    assert len(said) == 1  # nothing tells which it is
    found = guarded.snapshot()["feedback"]
    assert (found["taken"], found["foreign"], found["unknown"]) == (2, 1, 3)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"call": "c", "labels": []}', b'{"call": "c", "labels": ["a"]}',
        b'{"call": "c", "labels": [-1]}', b'{"call": "c", "labels": [1], "more": 1}', b'{"call": "", "labels": [1]}',
        b'{"call": "c", "labels": [1e400]}', b" " * (1 << 21),
    ],
)  # fmt: skip
def test_what_are_no_labels_is_refused(body: bytes) -> None:
    guarded = made(World())
    call = labels(Principal(name="ann"))
    call.body = body
    with pytest.raises(Refused) as refused:
        guarded.feedback(call)
    assert refused.value.reason in (Reason.MALFORMED, Reason.TOO_LARGE)


def test_unfit_labels_leave_the_call_waiting() -> None:
    guarded = made(World(), groups={"kind": Group(), "region": Group(source="principal")})
    call, answer = asked(natural(2, 1))
    guarded.after(call, answer)
    for bad in ({"labels": [1]}, {"labels": [1, 1], "groups": {"kind": ["a"]}}, {"labels": [1, 1], "groups": {"x": 1}},
                {"labels": [1, 1], "groups": {"region": "mine"}}):  # fmt: skip
        with pytest.raises(Refused, match=r"labels for|values for|comes with labels"):
            guarded.feedback(labels(call.principal, call=call.identifier, **bad))
    assert guarded.feedback(labels(call.principal, call=call.identifier, labels=[1, 1])).status == 200


def test_a_call_of_very_many_rows_waits_for_no_labels() -> None:
    guarded = made(World())
    call, answer = asked(natural(5000, 1))
    guarded.after(call, answer)
    with pytest.raises(Refused, match="no such call"):
        guarded.feedback(labels(call.principal, call=call.identifier, labels=[0]))


def test_memory_is_bounded_by_calls_and_rows() -> None:
    memory = Memory(10, 60.0, lambda: 0.0)
    for number in range(50):
        memory.put(str(number), "ann", np.zeros(1, int), {})
    assert len(memory) == 10 and memory.get("39") is None and memory.get("40") is not None
    memory.put("large", "ann", np.zeros(300, int), {})
    assert len(memory) == 1
    memory.put("larger", "ann", np.zeros(301, int), {})
    assert len(memory) == 0


def test_rates_are_those_that_fairness_is_measured_by() -> None:
    random = np.random.default_rng(0)
    groups = random.choice(["a", "b", "c"], 900)
    true, decided = random.random(900) < 0.4, random.random(900) < 0.5
    tally = Tally()
    for part in np.array_split(np.arange(900), 7):
        tally.add(groups[part].tolist(), true[part], decided[part])
    rates = {}
    for name in "abc":
        mine = groups == name
        rates[name] = (
            decided[mine].mean(), decided[mine & true].mean(), decided[mine & ~true].mean(),
            (decided == true)[mine].mean(),
        )  # fmt: skip
        found = tally.rates()[name]
        names = ("selection_rate", "true_positive_rate", "false_positive_rate", "accuracy")
        assert [found[one] for one in names] == pytest.approx(rates[name])
    spreads = np.ptp(np.array(list(rates.values())), axis=0)
    assert tally.differences()["demographic_parity"] == pytest.approx(spreads[0])
    assert tally.differences()["equalised_odds"] == pytest.approx(max(spreads[1], spreads[2]))
    many = Tally()
    many.add([str(number) for number in range(500)], np.ones(500, bool), np.ones(500, bool))
    assert len(many.rates()) == MOST_GROUPS + 1 and many.rates()[OTHER]["count"] == 500 - MOST_GROUPS


def labelled(count: int, seed: int, right: float = 0.9, few: float = 0.5) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Labels, decisions and groups; `few` is the share of positive ones among a fifth of the rows."""
    random = np.random.default_rng(seed)
    groups = random.choice(["few", "many"], count, p=[0.2, 0.8])
    decided = (random.random(count) < np.where(groups == "few", few, 0.5)).astype(int)
    truth = np.where(random.random(count) < right, decided, 1 - decided)
    return truth, decided, groups.tolist()


@pytest.mark.parametrize("learned", [False, True])
def test_labels_that_are_as_before_are_let_alone_and_others_told(learned: bool) -> None:
    truth, decided, groups = labelled(3000, 0)
    settings = Feedback(groups={"kind": Group()}, baseline_rows=3000, rows_per_false_alarm=10_000.0)
    watch = Watch(settings, None if learned else performance_of(truth, decided, {"kind": groups}))
    if learned:
        assert watch.add(truth, decided, {"kind": groups}) == []
    told = []

    def send(rows: tuple[np.ndarray, np.ndarray, list[str]]) -> list[tuple[str, bool]]:
        found = []
        for part in np.array_split(np.arange(len(rows[0])), len(rows[0]) // 20):
            changes = watch.add(rows[0][part], rows[1][part], {"kind": [rows[2][at] for at in part]})
            found += [(one.rule, one.resolved) for one in changes]
            told.extend(changes)
        return found

    assert send(labelled(10_000, 1)) == []
    assert send(labelled(1000, 2, right=0.75)) == [("accuracy-drop", False)]
    assert send(labelled(3000, 3)) == [("accuracy-drop", True)]
    assert send(labelled(2500, 4, few=0.15)) == [("bias-shift", False)]
    assert "the selection rate of 'few'" in told[-1].message or "positive rate of 'few'" in told[-1].message


def test_groups_have_names_that_are_bounded() -> None:
    assert named(b"x" * 500, Group()) == "x" * 64
    assert [named(value, Group(edges=(18, 65))) for value in (3, 18, 64.9, 70, "n/a")] == [
        "..18", "18..65", "18..65", "65..", "n/a",
    ]  # fmt: skip


def test_groups_are_read_off_inputs() -> None:
    guarded = made(World(), groups={"colour": Group(source="input")})
    call, answer = asked(natural(2, 1))
    call.inputs = (*(call.inputs or ()), tensor("colour", np.array([b"red", b"blue"], dtype=object)))
    guarded.after(call, answer)
    guarded.feedback(labels(call.principal, call=call.identifier, labels=[0, 0]))
    assert set(guarded.snapshot()["feedback"]["groups"]["colour"]["rates"]) == {"red", "blue"}
