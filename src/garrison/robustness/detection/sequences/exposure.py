"""What a principal has had of the model: an account of it, since no test sees an attacker with natural inputs.

Whoever copies a model with inputs of its own kind sends what customers send. What is left is to know how much has
been given away, and what somebody could have made of that.
"""

import math

import msgspec


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """How well a copy agrees with the model after so many queries, as `garrison attack` measures it."""

    queries: int
    fidelity: float


class Account(msgspec.Struct, kw_only=True):
    """The account of one principal."""

    queries: int = 0
    fresh: int = 0
    """Queries that were no near repetition of an earlier one."""
    outside: float = 0.0
    """Of the last queries, the share that lies outside of what benign inputs look like; they fade with time."""
    classes: list[float] = []
    """How often the model decided for each class, fading with time."""

    def add(self, decided: int | None, classes: int, fresh: bool, outside: bool) -> None:
        """Take in a query."""
        fading = 1 - 1 / FADING
        self.queries += 1
        self.fresh += fresh
        self.outside += (float(outside) - self.outside) / min(self.queries, FADING)
        if decided is not None:
            if len(self.classes) != classes:
                self.classes = [0.0] * classes
            self.classes = [count * fading for count in self.classes]
            self.classes[decided] += 1.0

    def entropy(self) -> float | None:
        """Of the classes decided for, from 0 to 1; `None` before there were enough decisions to say."""
        total = sum(self.classes)
        if total < 20 or len(self.classes) < 2:
            return None
        shares = [count / total for count in self.classes if count]
        return -sum(share * math.log(share) for share in shares) / math.log(len(self.classes))


FADING = 200
"""Queries after which what was seen has faded to about a third."""


def fidelity(curve: tuple[Point, ...], queries: int) -> float | None:
    """What somebody could have reached with so many queries; the straight line between what was measured.

    Beyond the last point nothing was measured, and the last one counts; `None` without a curve.
    """
    before = None
    for point in sorted(curve, key=lambda one: one.queries):
        if point.queries >= queries:
            if before is None:
                return point.fidelity * queries / max(point.queries, 1)
            share = (queries - before.queries) / (point.queries - before.queries)
            return before.fidelity + share * (point.fidelity - before.fidelity)
        before = point
    return before.fidelity if before else None
