"""A monitor of queries: it sees searches, keeps quiet about customers, forgets in time and survives a restart."""

import subprocess
import sys
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from garrison.core.errors import UsageError
from garrison.robustness.detection.sequences.exposure import Account, Point, fidelity
from garrison.robustness.detection.sequences.fingerprints import GROUPS, Fingerprints, Hasher
from garrison.robustness.detection.sequences.monitor import Monitor
from garrison.robustness.detection.sequences.normality import WINDOW, Normality, statistic
from garrison.robustness.detection.sequences.provenance import Provenance
from garrison.robustness.detection.sequences.sketches import Nearness, Sketcher

SIDE = 12
Inputs = NDArray[np.float32]


def natural(count: int, seed: int) -> Inputs:
    """Blurred blobs on a black background, each its own."""
    random = np.random.default_rng(seed)
    grid = np.arange(SIDE)
    found = np.zeros((count, SIDE, SIDE))
    for _ in range(4):
        y, x, size = (random.uniform(low, high, (count, 1)) for low, high in ((2, 10), (2, 10), (1, 2.5)))
        rows, columns = (np.exp(-(((grid - centre) / size) ** 2)) for centre in (y, x))
        found += random.uniform(0.3, 1, (count, 1, 1)) * rows[:, :, None] * columns[:, None, :]
    return np.where(found < 0.05, 0, found).clip(0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def fitted() -> Monitor:
    return Monitor.fit(natural(6000, 0), false_alarms=0.005, seed=1, memory=512)


@pytest.fixture
def monitor(fitted: Monitor) -> Monitor:
    return Monitor(fitted.settings)


def search(kind: str, seed: int) -> Iterator[Inputs]:
    random = np.random.default_rng(seed)
    start = natural(1, 1000 + seed)[0]
    yield start
    for _ in range(40):
        if kind == "patches":  # as Square does
            moved = start.copy()
            y, x = random.integers(0, SIDE - 3, 2)
            moved[y : y + 3, x : x + 3] += random.choice([-0.2, 0.2])
        elif kind == "noise":  # as estimates of gradients are made
            moved = start + 0.03 * random.standard_normal(start.shape)
        else:  # as a search for the boundary goes
            moved = start + random.random() * 0.3 * (natural(1, 5)[0] - start)
        yield moved.clip(0, 1).astype(np.float32)


@pytest.mark.parametrize("kind", ["patches", "noise", "boundary"])
def test_a_search_is_seen_within_a_few_queries(monitor: Monitor, kind: str) -> None:
    for seed in range(5):
        for one in natural(50, 50 + seed):  # what else the same principal asks
            monitor.observe(f"{kind}{seed}", one)
        verdicts = [monitor.observe(f"{kind}{seed}", one) for one in search(kind, seed)]
        alarmed = [bool({"search", "repetition"} & set(one.alarms)) for one in verdicts]
        assert any(alarmed[:8])
        assert np.mean(alarmed) > 0.8


def test_customers_are_let_alone_within_the_budget(monitor: Monitor) -> None:
    alarms = [
        bool(monitor.observe(f"customer {seed}", one).alarms) for seed in range(8) for one in natural(500, 100 + seed)
    ]
    assert np.mean(alarms) <= 2 * monitor.settings.false_alarms


def test_distances_that_an_algorithm_made_are_seen(monitor: Monitor) -> None:
    random = np.random.default_rng(4)
    inputs = natural(100, 9)
    for _ in range(3):  # as Jacobian-based augmentation doubles its set
        inputs = np.concatenate([inputs, (inputs + 0.1 * random.choice([-1, 1], inputs.shape)).clip(0, 1)])
    verdicts = [monitor.observe("copier", one) for one in inputs.astype(np.float32)]
    assert any("synthetic" in one.alarms for one in verdicts[:400])


def test_natural_copying_raises_no_alarm_and_is_accounted_for(fitted: Monitor) -> None:
    curve = (Point(queries=100, fidelity=0.5), Point(queries=1000, fidelity=0.9))
    monitor = Monitor.fit(natural(6000, 0), false_alarms=0.005, seed=1, memory=512, budget=300, curve=curve)
    scores = np.eye(4)[np.random.default_rng(0).integers(0, 4, 400)]
    verdicts = [monitor.observe("copier", one, given) for one, given in zip(natural(400, 77), scores, strict=True)]
    assert not any(set(one.alarms) - {"budget"} for one in verdicts[:250])
    assert verdicts[-1].fresh > 300 and "budget" in verdicts[-1].alarms
    assert verdicts[-1].fidelity is not None and 0.5 < verdicts[-1].fidelity < 0.9
    assert verdicts[-1].entropy is not None and verdicts[-1].entropy > 0.95
    assert verdicts[-1].outside < 0.1


def test_inputs_of_another_kind_are_foreign(monitor: Monitor) -> None:
    random = np.random.default_rng(0)
    verdicts = [monitor.observe("stranger", random.random((SIDE, SIDE))) for _ in range(100)]
    assert "foreign" in verdicts[-1].alarms and verdicts[-1].outside > 0.9
    assert "foreign" not in verdicts[20].alarms


def test_the_same_input_again_is_a_repetition_for_that_principal_alone(monitor: Monitor) -> None:
    first, second = natural(2, 3)
    assert not monitor.observe("a", first).alarms
    assert "repetition" in monitor.observe("a", first).alarms
    assert not monitor.observe("b", first).alarms
    assert monitor.observe("a", second).distance is not None


def test_a_restart_changes_nothing(monitor: Monitor) -> None:
    inputs = natural(700, 5)
    for one in inputs[:650]:
        monitor.observe("a", one, np.eye(3)[0])
    other = Monitor.restored(monitor.state())
    for one in np.concatenate([inputs[650:], inputs[600:610]]):
        assert monitor.observe("a", one, np.eye(3)[1]) == other.observe("a", one, np.eye(3)[1])


@pytest.mark.parametrize("memory", [8, 100, 512])
def test_many_at_once_are_what_one_after_the_other_is(fitted: Monitor, memory: int) -> None:
    settings = msgspec.structs.replace(fitted.settings, memory=memory)
    one_by_one, at_once = Monitor(settings), Monitor(settings)
    random = np.random.default_rng(3)
    inputs = np.concatenate([natural(250, 4), *(np.stack(list(search(kind, 1))) for kind in ("noise", "boundary"))])
    inputs = np.concatenate([inputs, inputs[:20]])[random.permutation(len(inputs) + 20)]
    inputs[7, 0, 0] = np.nan
    principals = random.choice(["a", "a", "a", "b", "c"], len(inputs)).tolist()
    scores = random.random((len(inputs), 3))
    expected = [one_by_one.observe(*each) for each in zip(principals, inputs, scores, strict=True)]
    cut = 150
    found = at_once.observe_many(principals[:cut], inputs[:cut], scores[:cut])
    found += at_once.observe_many(principals[cut:], inputs[cut:], scores[cut:])
    assert any(one.alarms for one in expected)
    for one, other in zip(expected, found, strict=True):
        near = {"chain": pytest.approx(other.chain, rel=0.01, abs=0.01)}
        near["distance"] = other.distance and pytest.approx(other.distance, rel=0.01, abs=1e-3)
        near["normality"] = other.normality and pytest.approx(other.normality, rel=1e-3)
        assert msgspec.to_builtins(one) == {**msgspec.to_builtins(other), **near}


@pytest.mark.parametrize("cut", [0, 1, 0.5, 0.999])
def test_a_torn_state_is_refused(monitor: Monitor, cut: float) -> None:
    monitor.observe("a", natural(1, 0)[0])
    state = monitor.state()
    with pytest.raises(UsageError, match="no state of a monitor"):
        Monitor.restored(state[: int(cut * len(state))] if cut != 1 else b"\x80\x04.")


def test_memory_does_not_grow(fitted: Monitor) -> None:
    monitor = Monitor(msgspec.structs.replace(fitted.settings, principals=3, memory=16))
    for number, one in enumerate(natural(300, 8)):
        monitor.observe(f"p{number % 5}", one)
    size = len(monitor.state())
    for number, one in enumerate(natural(600, 9)):
        monitor.observe(f"p{number % 5}", one)
    assert len(monitor.state()) < 1.2 * size
    prints = Fingerprints(4)
    shared = [int(prints.add(np.full((1, GROUPS), 1 + number % 5, np.uint32))[0]) for number in range(50)]
    assert shared == [0] * 50  # what was five queries ago is forgotten


def test_inputs_that_are_not_finite_are_an_alarm_and_do_no_harm(monitor: Monitor) -> None:
    bad = np.full((SIDE, SIDE), np.nan)
    bad[0, 0] = np.inf
    assert "not-finite" in monitor.observe("a", bad).alarms
    after = monitor.observe("a", natural(1, 3)[0])
    assert np.isfinite(after.chain) and after.distance is not None and np.isfinite(after.distance)
    with pytest.raises(UsageError, match="numbers"):
        monitor.observe("a", np.zeros(3))


@pytest.mark.parametrize("value", [1e300, -3e38, 1e25])
def test_numbers_that_are_huge_blind_nobody(monitor: Monitor, value: float) -> None:
    monitor.observe("a", np.full((SIDE, SIDE), value))
    verdicts = monitor.observe_many(["a"] * 41, np.stack(list(search("noise", 2))))
    assert sum("search" in one.alarms for one in verdicts) > 20


@pytest.mark.parametrize(
    ("traffic", "false_alarms", "said"),
    [
        (np.zeros((0, 4)), 0.01, "empty"),
        (np.full((100, 4), np.nan), 0.01, "not finite"),
        (natural(50, 0), 0.01, "60 at the least"),
        (natural(300, 0), 0.001, "more"),
        (natural(100, 0), 0.0, "share"),
    ],
)
def test_traffic_that_cannot_calibrate_is_refused(traffic: Inputs, false_alarms: float, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Monitor.fit(traffic, false_alarms=false_alarms, seed=0)


def test_constant_traffic_is_no_trouble() -> None:
    monitor = Monitor.fit(np.zeros((600, 5)), false_alarms=0.05, seed=0)
    assert monitor.observe("a", np.zeros(5)).chain == 0
    assert np.isfinite(monitor.observe("a", np.ones(5)).chain)


def test_it_takes_numpy_alone() -> None:
    program = (
        "import sys, garrison.robustness.detection.sequences.monitor\n"
        "assert not {'torch', 'scipy', 'sklearn', 'onnxruntime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_sketches_keep_distances_however_large_the_input() -> None:
    inputs = np.random.default_rng(0).normal(size=(40, 20_000)).astype(np.float32)
    sketches = Sketcher(20_000, 64, 3)(inputs)
    true = np.linalg.norm(inputs[1:] - inputs[0], axis=1)
    np.testing.assert_allclose(np.linalg.norm(sketches[1:] - sketches[0], axis=1), true, rtol=0.4)


def test_nearness_is_a_probability_that_falls_with_distance() -> None:
    sketches = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    nearness = Nearness.of(sketches)
    told = nearness.surprises(np.array([0.0, 0.01, 1.0, 10.0, 1e9]), np.full(5, 10)).tolist()
    assert told == sorted(told, reverse=True) and told[-1] == pytest.approx(0, abs=1e-6)
    among = nearness.surprises(np.ones(2), np.array([1000, 10]))
    assert among[0] < among[1]
    random = np.random.default_rng(1)
    nearest = np.square(random.normal(size=(1000, 1, 8)) - random.normal(size=(1000, 20, 8))).sum(2).min(1)
    small = nearness.surprises(nearest, np.full(1000, 20)) > 3
    assert np.mean(small) == pytest.approx(np.exp(-3), abs=0.025)


def test_a_chain_adds_up_and_one_likeness_does_not() -> None:
    random = np.random.default_rng(0)
    nearness = Nearness.of(random.normal(size=(500, 8)).astype(np.float32))
    past = Provenance(64, 8)
    start = random.normal(size=8).astype(np.float32)
    steps = np.float32(0.05) * np.arange(6, dtype=np.float32)[:, None]
    scores, _ = past.add(start + steps, nearness)
    assert scores[0] == 0 and scores == sorted(scores) and scores[-1] > 3 * scores[1] > 0
    assert past.add(np.full((1, 8), 100, np.float32), nearness)[0] == [0]


def test_hashes_are_of_the_input_and_its_levels() -> None:
    one, other = natural(2, 0).reshape(2, -1)
    hasher = Hasher(SIDE * SIDE, 0, 1, 0)
    assert (hasher(one) == hasher(one)).all()
    prints = Fingerprints(10)
    prints.add(hasher(one[None]))
    assert prints.add(hasher(other[None])) < GROUPS // 2
    assert prints.add(hasher(one[None])) == GROUPS
    assert prints.add(hasher(one[None] + np.float32(0.002))) > GROUPS // 2
    assert (Hasher(SIDE * SIDE, 0, 1, 1)(one) != hasher(one)).any()


def test_normality_is_one_for_normal_distances_and_low_for_made_ones() -> None:
    random = np.random.default_rng(0)
    assert statistic(random.normal(5, 1, WINDOW)) > 0.97
    assert statistic(np.repeat([0.1, 5.0], WINDOW // 2) + 1e-3 * random.random(WINDOW)) < 0.8
    assert statistic(np.ones(WINDOW)) == 0
    past = Normality()
    assert [past.add(1.0 * number) for number in range(WINDOW - 1)] == [None] * (WINDOW - 1)
    assert past.add(5.0) is not None and past.computed


def test_an_account_adds_up() -> None:
    account = Account()
    for number in range(100):
        account.add(number % 2, 4, fresh=True, outside=False)
    assert account.entropy() == pytest.approx(0.5, abs=0.01)
    curve = (Point(queries=10, fidelity=0.2), Point(queries=20, fidelity=0.6))
    assert [fidelity(curve, count) for count in (0, 5, 15, 99)] == pytest.approx([0, 0.1, 0.4, 0.6])
    assert fidelity((), 5) is None
