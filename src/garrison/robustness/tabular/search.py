"""The search for a cheap change of one row that makes a model decide wrongly, within constraints.

1. Follow what helps. The effect of every change of one feature is measured (scores) or predicted from the gradient
   (Simonetto et al. 2024, CAPGD, moves along it too), with the features that follow from the changed one. The changes
   that gain most for their cost are put together, best first, and every beginning of that list is asked. From the
   best, again. For a linear model and costs in proportion to the change this is the optimum of a continuous knapsack,
   except for the last change, which step 3 shortens.
2. Where nothing was found, or nothing but decisions is known, take over the features of rows that the model decides
   otherwise, nearest first.
3. Give back what was not needed: whole features while the decision stays wrong, then parts of what is left by halving.
4. Spend the remaining queries on evolution (Simonetto et al. 2022, MoEvA2): take over, give back, halve and cross.

It runs beside others, as `garrison.robustness.searching` says.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from garrison.core.robustness_card import Access
from garrison.robustness.searching import margins_of
from garrison.robustness.tabular.constraints import Matrix
from garrison.robustness.tabular.moves import Moves, Row

Numbers = NDArray[np.float64]

ROUNDS = 20
"""Of step 1, at most."""
DONORS = 12
"""Rows that are taken over from at a time, in step 2."""
HALVINGS = 12
"""Of one change, in step 3: a part of 1/4096 of it is not worth a query."""
CHILDREN = 24
"""Of a generation, in step 4."""
ELITE = 6
PATIENCE = 5
"""Generations without anything cheaper until a search that has found something ends."""


@dataclass(frozen=True)
class Question:
    """Rows (k, features) to ask the model about, and whether the gradient is wanted too."""

    rows: Matrix
    gradient: bool = False


@dataclass(frozen=True)
class Answer:
    """Scores (k, classes) and, if asked for, the gradient (k, features) of the margin of the label."""

    scores: Numbers
    gradient: Numbers | None = None


Asking = Generator[Question, Answer, None]


class _Spent(Exception):
    """No queries are left."""


@dataclass(frozen=True, eq=False)
class _Proposals:
    """Changes of one variable each, with what they are expected to do."""

    which: NDArray[np.int64]
    settings: Numbers
    gains: Numbers
    """By how much the margin falls."""
    costs: Numbers
    """By how much the cost rises; may be negative."""


@dataclass(frozen=True, eq=False)
class Donors:
    """Rows (k, features) to take values from, with the classes (k,) that the model decides for."""

    rows: Matrix
    decisions: NDArray[np.int64]


class Search:
    """One row under attack."""

    def __init__(
        self,
        moves: Moves,
        origin: Row,
        label: int,
        margin: float,
        donors: Donors,
        *,
        access: Access,
        queries: int,
        random: np.random.Generator,
    ) -> None:
        """`margin` is that of the unchanged row; `queries` is how often the model may be asked."""
        self._moves = moves
        self._constraints = moves.constraints
        self._origin = origin
        self._label = label
        self._margin = margin
        self._donors = donors
        self._access = access
        self._allowed = queries
        self._random = random
        self._elite: list[tuple[tuple[bool, float], Row]] = [((True, margin), origin)]
        self._asked = {origin.tobytes()}
        options = {which: moves.options(which, origin) for which in range(len(moves.variables))}
        self._options = {which: settings for which, settings in options.items() if len(settings)}
        self._free = list(self._options)
        self.spent = 0
        self.gradients = 0
        self.best: Row | None = None
        """The cheapest row that is decided wrongly, within the budget of cost or not."""
        self.scores: Numbers | None = None
        """Of it (classes,)."""
        self.cost = np.inf
        self.found_after = -1
        """Queries until the first that is within the budget of cost."""

    @property
    def found(self) -> bool:
        """Whether something within the budget of cost was found."""
        return self.found_after >= 0

    def run(self) -> Asking:
        """Steps 1 to 4, until the queries are spent or nothing gets better."""
        if not self._free:
            return
        try:
            if self._access == "gradients":
                yield from self._follow(self._predicted)
            if self._access != "labels" and not self.found:
                yield from self._follow(self._measured)
            if not self.found:
                yield from self._take_over()
            while True:
                yield from self._give_back()
                before = self.cost
                yield from self._evolve()
                if not self.cost < 0.999 * before:
                    break
        except _Spent:
            return

    def _ask(self, rows: Matrix) -> Generator[Question, Answer, tuple[Numbers, NDArray[np.bool_]]]:
        """Margins (k,) of the label and whether the decision is wrong (k,); keeps the best."""
        allowed = rows[: self._allowed - self.spent]
        if not len(allowed):
            raise _Spent
        answer = yield Question(allowed)
        margins, wrong = margins_of(answer.scores, self._label)
        costs = self._costs(allowed)
        for row, scores, cost, margin, is_wrong in zip(allowed, answer.scores, costs, margins, wrong, strict=True):
            self.spent += 1
            self._asked.add(row.tobytes())
            if is_wrong and cost <= self._constraints.budget and self.found_after < 0:
                self.found_after = self.spent
            if is_wrong and cost < self.cost:
                self.best, self.scores, self.cost = row, scores, float(cost)
            self._remember(row, float(cost), float(margin), bool(is_wrong))
        if len(allowed) < len(rows):
            raise _Spent
        return margins, wrong

    def _remember(self, row: Row, cost: float, margin: float, wrong: bool) -> None:
        """Keep the parents of step 4: wrong ones by their cost, then others by their margin."""
        rank = (not wrong, cost if wrong else margin)
        if cost > self._constraints.budget and not wrong:
            return
        if len(self._elite) < ELITE or rank < self._elite[-1][0]:
            if any(np.array_equal(row, other, equal_nan=True) for _, other in self._elite):
                return
            self._elite = sorted([*self._elite, (rank, row)], key=lambda one: one[0])[:ELITE]

    def _costs(self, rows: Matrix) -> Numbers:
        return self._constraints.costs(np.broadcast_to(self._origin, rows.shape), rows)

    def _possible(self, rows: Matrix) -> tuple[Matrix, NDArray[np.bool_]]:
        """The rows (k, features) with what follows from the changes, and (k,) which of them are permitted."""
        rows = self._constraints.repaired(rows)
        return rows, self._constraints.permits(np.broadcast_to(self._origin, rows.shape), rows)

    # Step 1.

    def _follow(self, estimate: Callable[[Row, float], Generator[Question, Answer, _Proposals | None]]) -> Asking:
        row, margin = self._origin, self._margin
        for _ in range(ROUNDS):
            proposals = yield from estimate(row, margin)
            if self.found or proposals is None:
                return
            beginnings = self._put_together(row, proposals)
            if not len(beginnings):
                return
            margins, _ = yield from self._ask(beginnings)
            if self.found or not margins.min() < margin - 1e-9:
                return
            row, margin = beginnings[int(margins.argmin())], float(margins.min())

    def _single_changes(self, row: Row, most: int) -> tuple[Matrix, NDArray[np.int64], Numbers]:
        """Permitted changes (k, features) of one variable of `row`, the variables (k,) and their settings (k,)."""
        rows, which, settings = [], [], []
        for variable in self._free:
            for setting in _spread(self._options[variable], most):
                changed = row.copy()
                self._moves.put(variable, changed, float(setting))
                rows.append(changed)
                which.append(variable)
                settings.append(float(setting))
        changes, possible = self._possible(np.asarray(rows, dtype=np.float32).reshape(len(rows), len(row)))
        possible &= (changes != row).any(axis=1)
        return changes[possible], np.asarray(which)[possible], np.asarray(settings)[possible]

    def _measured(self, row: Row, margin: float) -> Generator[Question, Answer, _Proposals | None]:
        """Every change of one variable, asked."""
        most = int(np.clip(self._allowed // (4 * len(self._free)), 2, 12))
        changes, which, settings = self._single_changes(row, most)
        if not len(changes):
            return None
        margins, _ = yield from self._ask(changes)
        costs = self._costs(changes) - self._costs(row[None])
        return _Proposals(which, settings, margin - margins, costs)

    def _predicted(self, row: Row, margin: float) -> Generator[Question, Answer, _Proposals | None]:
        """Every change of one variable, with its effect to first order."""
        if self.spent >= self._allowed:
            raise _Spent
        answer = yield Question(row[None], gradient=True)
        self.spent += 1
        self.gradients += 1
        changes, which, settings = self._single_changes(row, 12)
        if answer.gradient is None or not np.isfinite(answer.gradient).all() or not len(changes):
            return None
        differences = np.nan_to_num(changes.astype(np.float64) - row)
        costs = self._costs(changes) - self._costs(row[None])
        return _Proposals(which, settings, -(differences @ answer.gradient[0]), costs)

    def _put_together(self, row: Row, proposals: _Proposals) -> Matrix:
        """The changes that gain most for their cost, one a variable: the first, the first two, ... (k, features)."""
        prices = np.maximum(proposals.costs, 1e-9)
        worth = proposals.gains / prices
        chosen: list[tuple[float, int]] = []
        for variable in np.unique(proposals.which[proposals.gains > 1e-12]):
            candidates = np.flatnonzero((proposals.which == variable) & (proposals.gains > 1e-12))
            # Where cost is in proportion to the change, all are worth the same to rounding: then the furthest.
            best = candidates[worth[candidates] >= 0.999 * worth[candidates].max()]
            best = best[proposals.gains[best].argmax()]
            chosen.append((float(worth[best]), int(best)))
        state, beginnings = row, []
        for _, index in sorted(chosen, reverse=True):
            changed = state.copy()
            self._moves.put(int(proposals.which[index]), changed, float(proposals.settings[index]))
            rows, possible = self._possible(changed[None])
            if possible[0] and self._costs(rows)[0] <= self._constraints.budget:
                state = rows[0]
                beginnings.append(state)
        return np.asarray(beginnings, dtype=np.float32).reshape(len(beginnings), len(row))

    # Step 2.

    def _take_over(self) -> Asking:
        others = self._donors.rows[self._donors.decisions != self._label]
        if not len(others):
            return
        others = others[self._random.permutation(len(others))[: 5 * DONORS]]
        rows = np.repeat(self._origin[None], len(others), axis=0)
        for row, donor in zip(rows, others, strict=True):
            for which in self._free:
                self._moves.put(which, row, self._moves.nearest(which, self._origin, self._moves.setting(which, donor)))
        rows, possible = self._possible(rows)
        rows = rows[possible]
        rows = rows[self._costs(rows).argsort(kind="stable")]
        for start in range(0, min(len(rows), 4 * DONORS), DONORS):
            yield from self._ask(rows[start : start + DONORS])
            if self.best is not None:
                return

    # Step 3.

    def _changed(self, row: Row) -> list[int]:
        return [which for which in self._free if self._differs(which, row)]

    def _differs(self, which: int, row: Row) -> bool:
        return self._moves.setting(which, row) != self._moves.setting(which, self._origin)

    def _without(self, row: Row, variables: list[int]) -> Row:
        """The row with `variables` as they were."""
        changed = row.copy()
        for which in variables:
            self._moves.put(which, changed, self._moves.setting(which, self._origin))
        return changed

    def _give_back(self) -> Asking:
        if self.best is None or self.scores is None:
            return
        start = self.best
        margin = float(margins_of(self.scores[None], self._label)[0][0])
        row, order = yield from self._drop(start, margin)
        yield from self._shorten(row, order)
        if row is not start:
            # To keep all and shorten the least worth of them can be cheaper than to do without one.
            yield from self._shorten(start, order)

    def _drop(self, row: Row, margin: float) -> Generator[Question, Answer, tuple[Row, list[int]]]:
        """The row without what it does not need, and what was changed in it, the least worth first."""
        order: list[int] | None = None
        while True:
            changed = self._changed(row)
            rows, possible = self._possible(np.asarray([self._without(row, [which]) for which in changed]))
            if not possible.any():
                return row, order or changed
            changed, rows = [which for which, ok in zip(changed, possible, strict=True) if ok], rows[possible]
            margins, wrong = yield from self._ask(rows)
            saved = self._costs(row[None])[0] - self._costs(rows)
            if order is None:
                worth = (margins - margin) / np.maximum(saved, 1e-9)
                order = [changed[index] for index in worth.argsort(kind="stable")]
            wrong &= saved > 0
            if not wrong.any():
                return row, order
            dispensable = [index for index in (-saved).argsort(kind="stable") if wrong[index]]
            without = [
                self._without(row, [changed[one] for one in dispensable[:end]])
                for end in range(2, len(dispensable) + 1)
            ]
            row = rows[dispensable[0]]
            if without:
                rows, possible = self._possible(np.asarray(without))
                rows = rows[possible]
                if len(rows):
                    _, wrong = yield from self._ask(rows)
                    row = rows[np.flatnonzero(wrong)[-1]] if wrong.any() else row

    def _shorten(self, row: Row, order: list[int]) -> Asking:
        """Move one number after the other towards what it was, by halving, as long as the decision stays wrong."""
        for which in order:
            near, far = self._moves.setting(which, self._origin), self._moves.setting(which, row)
            for _ in range(HALVINGS):
                setting = self._moves.nearest(which, self._origin, near + (far - near) / 2)
                if setting in (near, far):
                    break
                changed = row.copy()
                self._moves.put(which, changed, setting)
                rows, possible = self._possible(changed[None])
                wrong = np.zeros(1, dtype=bool)
                if possible[0]:
                    _, wrong = yield from self._ask(rows)
                if wrong[0]:
                    row, far = rows[0], setting
                else:
                    near = setting

    # Step 4.

    def _evolve(self) -> Asking:
        stale = idle = 0
        while not (self.found and stale >= PATIENCE) and idle < 2 * PATIENCE:
            best = self._elite[0][0]
            children = self._children()
            if len(children):
                yield from self._ask(children)
            stale = 0 if self._elite[0][0] < best else stale + 1
            idle = 0 if len(children) else idle + 1

    def _children(self) -> Matrix:
        """Permitted rows (k, features) that were not asked about, and that would be an improvement."""
        rows, possible = self._possible(np.asarray([self._child() for _ in range(CHILDREN)]))
        rows = np.unique(rows[possible], axis=0)
        costs = self._costs(rows)
        rows = rows[costs < self.cost if self.best is not None else costs <= self._constraints.budget]
        return rows[[row.tobytes() not in self._asked for row in rows]]

    def _child(self) -> Row:
        """A parent with a few changes."""
        parent = self._elite[int(self._random.integers(len(self._elite)))][1]
        child = parent.copy()
        for _ in range(int(self._random.integers(1, 4))):
            self._mutate(child)
        return child

    def _mutate(self, child: Row) -> None:
        random, moves = self._random, self._moves
        changed = self._changed(child)
        kind = random.random()
        if kind < 0.35 and changed:
            which = changed[int(random.integers(len(changed)))]
            moves.put(which, child, moves.setting(which, self._origin))
        elif kind < 0.55 and changed:
            which = changed[int(random.integers(len(changed)))]
            own, setting = moves.setting(which, self._origin), moves.setting(which, child)
            moves.put(which, child, moves.nearest(which, self._origin, own + (setting - own) * random.random()))
        elif kind < 0.7:
            other = self._elite[int(random.integers(len(self._elite)))][1]
            for which in self._free:
                if random.random() < 0.5:
                    moves.put(which, child, moves.setting(which, other))
        else:
            which = self._free[int(random.integers(len(self._free)))]
            options = self._options[which]
            moves.put(which, child, float(options[int(random.integers(len(options)))]))


def _spread(settings: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """At most `most` of the settings (k,), evenly, the extremes among them."""
    if len(settings) <= most:
        return settings
    return np.asarray(settings[np.unique(np.linspace(0, len(settings) - 1, most).round().astype(int))])
