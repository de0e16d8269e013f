"""A monitor of the queries of many principals, calibrated on benign traffic.

    monitor = Monitor.fit(traffic, false_alarms=0.001)
    verdict = monitor.observe("alice", inputs, scores)
    if verdict.alarms: ...

It is not safe to share by threads. A principal is whoever should not be able to spread a search over several names: a
customer, not a session. The seed is secret: who knows it can craft queries whose sketches and hashes differ.
"""

import secrets
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from garrison.core.errors import UsageError
from garrison.robustness.detection.calibration import calibrated
from garrison.robustness.detection.sequences.exposure import Account, Point, fidelity
from garrison.robustness.detection.sequences.fingerprints import GROUPS, Fingerprints, Hasher
from garrison.robustness.detection.sequences.normality import WINDOW, Normality, least
from garrison.robustness.detection.sequences.provenance import Provenance
from garrison.robustness.detection.sequences.sketches import Nearness, Sketcher

Alarm = Literal["search", "repetition", "synthetic", "foreign", "budget", "not-finite"]
"""A chain of queries as a search makes it; an almost exact repetition; distances that no natural inputs have; many
inputs outside of what benign ones look like; more fresh queries than are allowed; numbers that are none."""

_REFERENCES = 256
_PAIRED = 1500
_FOREIGN = 0.1
"""Of recent queries, such a share outside is an alarm; of benign ones it is a hundredth."""
_TOLD = 50
"""Queries before that is said."""
_BATCH = 64
"""Queries that are computed at once."""
_FAR = 100.0
"""Times the range of inputs beyond which a number counts as this far outside."""
_TESTS = 3
"""Among which the budget of false alarms is divided."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What is thought of a principal after a query."""

    principal: str
    alarms: tuple[Alarm, ...]
    chain: float
    """How surprising the chain of queries is that this one continues, in nats."""
    shared: int
    """Hashes shared with the most similar earlier query."""
    distance: float | None
    """To the nearest earlier query; `None` for the first one."""
    normality: float | None
    """Of the distances between queries, 1 for natural ones; `None` before there are enough."""
    queries: int
    fresh: int
    """Queries that were no near repetition: what was given away, whether anything was seen in them or not."""
    outside: float
    """Share of recent queries outside of what benign inputs look like."""
    entropy: float | None
    """Of the classes decided for recently, from 0 to 1; `None` before there are enough, or without scores."""
    fidelity: float | None
    """Which an attacker could have reached with as many fresh queries of natural inputs, which no test here sees, by
    the curve that the monitor was given; `None` without one."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a monitor is made of, once it is fitted."""

    version: Annotated[str, msgspec.Meta(pattern=r"^1\.\d{1,3}$")] = "1.0"
    size: Annotated[int, msgspec.Meta(ge=1, le=1 << 24)]
    low: float
    high: float
    seed: int
    memory: Annotated[int, msgspec.Meta(ge=8, le=1 << 16)]
    length: Annotated[int, msgspec.Meta(ge=4, le=256)]
    principals: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]
    squares: list[float]
    shares: list[float]
    references: bytes
    """Sketches of benign inputs, float32."""
    outside: float
    """Squared distance to the nearest reference from which an input is outside."""
    chain: float
    shared: float
    normality: float
    """Thresholds: alarms are above the first two and below the last."""
    false_alarms: float
    calibrated_with: int
    budget: int | None = None
    curve: tuple[Point, ...] = ()


class _Past:
    """What is kept of a principal."""

    __slots__ = ("account", "fingerprints", "normality", "provenance")

    def __init__(self, settings: Settings) -> None:
        self.provenance = Provenance(settings.memory, settings.length)
        self.fingerprints = Fingerprints(settings.memory)
        self.normality = Normality()
        self.account = Account()


class Monitor:
    """Watches the queries of principals; of those, the ones seen last are remembered, and of each the last queries."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._sketcher = Sketcher(settings.size, settings.length, settings.seed)
        self._hasher = Hasher(settings.size, settings.low, settings.high, settings.seed + 1)
        self._nearness = Nearness(np.array(settings.squares), np.array(settings.shares))
        self._references = np.frombuffer(settings.references, dtype=np.float32).reshape(-1, settings.length)
        self._norms = np.square(self._references).sum(1)
        self._past: OrderedDict[str, _Past] = OrderedDict()

    @classmethod
    def fit(
        cls,
        traffic: NDArray[np.floating],
        *,
        false_alarms: float = 0.001,
        low: float = 0.0,
        high: float = 1.0,
        seed: int | None = None,
        memory: int = 1024,
        length: int = 32,
        principals: int = 1_000,
        budget: int | None = None,
        curve: Iterable[Point] = (),
    ) -> Self:
        """From benign inputs (n, *shape) in the order in which one principal sent them, or in any.

        A third shows what benign inputs look like; the rest is sent through as by one principal, and thresholds are
        put such that at most `false_alarms` of benign queries raise an alarm of the three tests, on average, divided
        among them. `budget` is how many fresh queries a principal may ask before that is an alarm of its own.

        Raises `UsageError` for traffic that is not finite, or too little for so few false alarms.
        """
        if not np.size(traffic) or not np.isfinite(traffic).all():
            raise UsageError("the benign traffic is empty, or has numbers that are not finite")
        if not 0 < false_alarms < 1 or not low < high:
            raise UsageError("false alarms are a share between 0 and 1, and inputs go from `low` up to `high`")
        inputs = np.ascontiguousarray(traffic, dtype=np.float32).reshape(len(traffic), -1)
        seed = secrets.randbits(64) if seed is None else seed
        known = len(inputs) // 3
        if known < 20:
            raise UsageError(f"{len(inputs):,} benign inputs; a monitor takes 60 at the least")
        sketches = Sketcher(inputs.shape[1], length, seed)(inputs)
        nearness = Nearness.of(sketches[: min(known, _PAIRED)])
        references = sketches[: min(known, _REFERENCES)]
        outside = _nearest_squares(sketches[len(references) :], references)
        settings = Settings(
            size=inputs.shape[1], low=low, high=high, seed=seed, memory=memory, length=length, principals=principals,
            squares=nearness.squares.tolist(), shares=nearness.shares.tolist(), references=references.tobytes(),
            outside=float(np.quantile(outside, 0.99)), chain=np.inf, shared=np.inf, normality=-np.inf,
            false_alarms=false_alarms, calibrated_with=len(inputs) - known, budget=budget, curve=tuple(curve),
        )  # fmt: skip
        trial = cls(settings)
        verdicts = trial.observe_many([""] * (len(inputs) - known), inputs[known:])
        share = false_alarms / _TESTS
        normal = [one.normality for one in verdicts[::WINDOW] if one.normality is not None]
        return cls(
            msgspec.structs.replace(
                settings,
                chain=calibrated(np.array([one.chain for one in verdicts]), share).threshold,
                shared=min(
                    calibrated(np.array([float(one.shared) for one in verdicts]), share).threshold, GROUPS - 1.0
                ),
                normality=least(np.array(normal), share) if normal else -np.inf,
            )
        )

    def observe(self, principal: str, inputs: NDArray[Any], scores: NDArray[np.floating] | None = None) -> Verdict:
        """Take in one query of a principal, and what the model answered (classes,), if that is at hand.

        Raises `UsageError` for an input of another size.
        """
        given = np.asarray(inputs)[np.newaxis]
        (verdict,) = self.observe_many([principal], given, None if scores is None else np.asarray(scores)[np.newaxis])
        return verdict

    def observe_many(
        self, principals: Sequence[str], inputs: NDArray[Any], scores: NDArray[np.floating] | None = None
    ) -> list[Verdict]:
        """Take in queries (n, *shape), the earliest first, each of the principal beside it, with scores (n, classes).

        It is what `observe` makes of one after the other, at a part of the cost: the more of them are of the same
        principal, the less. Raises `UsageError` for inputs of another size.
        """
        settings = self.settings
        with np.errstate(over="ignore"):
            given = np.asarray(inputs, dtype=np.float32).reshape(len(principals), -1)
        if given.shape[1] != settings.size:
            raise UsageError(f"an input of {given.shape[1]:,} numbers, where the monitor takes {settings.size:,}")
        finite = np.asarray(np.isfinite(given).all(1))
        if not finite.all():
            given = np.nan_to_num(given, nan=settings.low, posinf=settings.high, neginf=settings.low)
        # Squares of larger numbers would be infinite, and whoever sent one would not be seen from then on.
        far = _FAR * (settings.high - settings.low)
        given = np.clip(given, settings.low - far, settings.high + far)
        decided = None if scores is None else np.argmax(scores, 1).tolist()
        classes = 0 if scores is None else scores.shape[1]
        verdicts: list[Verdict | None] = [None] * len(principals)
        for start in range(0, len(principals), _BATCH):
            sketches = self._sketcher(given[start : start + _BATCH])
            hashes = self._hasher(given[start : start + _BATCH])
            squares = (self._norms - 2 * (sketches @ self._references.T)).min(1) + np.square(sketches).sum(1)
            outside = squares > settings.outside
            whose: dict[str, list[int]] = {}
            for row in range(len(sketches)):
                whose.setdefault(principals[start + row], []).append(row)
            for principal, all_rows in whose.items():
                past = self._of(principal)
                for first in range(0, len(all_rows), settings.memory):
                    rows = all_rows[first : first + settings.memory]
                    chains, distances = past.provenance.add(sketches[rows], self._nearness)
                    shares = past.fingerprints.add(hashes[rows]).tolist()
                    for row, chain, distance, shared in zip(rows, chains, distances, shares, strict=True):
                        at = start + row
                        past.account.add(
                            None if decided is None else decided[at], classes, chain == 0.0, bool(outside[row])
                        )
                        verdicts[at] = self._verdict(principal, past, bool(finite[at]), chain, distance, shared)
        return [one for one in verdicts if one is not None]

    def _verdict(
        self, principal: str, past: _Past, finite: bool, chain: float, distance: float, shared: int
    ) -> Verdict:
        settings, account = self.settings, past.account
        normality = past.normality.add(distance)
        alarms: list[Alarm] = [] if finite else ["not-finite"]
        if chain > settings.chain:
            alarms.append("search")
        if shared > settings.shared:
            alarms.append("repetition")
        if past.normality.computed and normality is not None and normality < settings.normality:
            alarms.append("synthetic")
        if account.queries >= _TOLD and account.outside > _FOREIGN:
            alarms.append("foreign")
        if settings.budget is not None and account.fresh > settings.budget:
            alarms.append("budget")
        return Verdict(
            principal=principal,
            alarms=tuple(alarms),
            chain=chain,
            shared=shared,
            distance=distance if distance != float("inf") else None,
            normality=normality,
            queries=account.queries,
            fresh=account.fresh,
            outside=account.outside,
            entropy=account.entropy(),
            fidelity=fidelity(settings.curve, account.fresh) if settings.curve else None,
        )

    def _of(self, principal: str) -> _Past:
        past = self._past.get(principal)
        if past is None:
            past = self._past[principal] = _Past(self.settings)
            if len(self._past) > self.settings.principals:
                self._past.popitem(last=False)
        else:
            self._past.move_to_end(principal)
        return past

    def state(self) -> bytes:
        """All that it knows, secret seed and principals included, for `restored`."""
        pasts = [
            _StoredPast(
                principal=principal,
                sketches=past.provenance.sketches.tobytes(),
                norms=past.provenance.norms.tobytes(),
                scores=past.provenance.scores.tobytes(),
                seen=past.provenance.seen,
                hashes=past.fingerprints.hashes.tobytes(),
                distances=list(past.normality.distances),
                distances_seen=past.normality.seen,
                normality=past.normality.value,
                account=past.account,
            )
            for principal, past in self._past.items()
        ]
        return msgspec.msgpack.encode(_State(settings=self.settings, pasts=pasts))

    @classmethod
    def restored(cls, state: bytes) -> Self:
        """The monitor whose state this is. Raises `UsageError` for what is none, or is torn."""
        try:
            found = msgspec.msgpack.decode(state, type=_State)
            monitor = cls(found.settings)
            for one in found.pasts:
                monitor._past[one.principal] = _past(one, found.settings)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise UsageError(f"no state of a monitor: {error}") from None
        return monitor


class _StoredPast(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    principal: str
    sketches: bytes
    norms: bytes
    scores: bytes
    seen: Annotated[int, msgspec.Meta(ge=0)]
    hashes: bytes
    distances: Annotated[list[float], msgspec.Meta(max_length=WINDOW)]
    distances_seen: Annotated[int, msgspec.Meta(ge=0)]
    normality: float | None
    account: Account


class _State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: Literal["garrison-monitor"] = "garrison-monitor"
    settings: Settings
    pasts: list[_StoredPast]


def _past(stored: _StoredPast, settings: Settings) -> _Past:
    past = _Past(settings)
    memory, length = settings.memory, settings.length
    provenance = past.provenance
    provenance.sketches = np.frombuffer(stored.sketches, np.float32).reshape(memory, length).copy()
    provenance.norms = np.frombuffer(stored.norms, np.float32).reshape(memory).copy()
    provenance.scores = np.frombuffer(stored.scores, np.float64).reshape(memory).copy()
    provenance.seen = stored.seen
    past.fingerprints.hashes = np.frombuffer(stored.hashes, np.uint32).reshape(GROUPS, memory).copy()
    past.fingerprints.seen = stored.seen
    past.normality.distances.extend(stored.distances)
    past.normality.seen, past.normality.value = stored.distances_seen, stored.normality
    past.account = stored.account
    return past


def _nearest_squares(sketches: NDArray[np.float32], references: NDArray[np.float32]) -> NDArray[np.float32]:
    squares = np.square(sketches).sum(1)[:, None] + np.square(references).sum(1) - 2 * sketches @ references.T
    return np.asarray(squares.min(1))
