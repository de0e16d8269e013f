"""The attack on a classifier of tables: one search a row, all of them through the batches of one model."""

import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Access
from garrison.robustness.attacks.attack import Progress
from garrison.robustness.classifier import Classifier, QueriesSpent
from garrison.robustness.data import Data
from garrison.robustness.searching import BATCH, Running, margins_of, together
from garrison.robustness.tabular.constraints import Constraints, Matrix, features_of, matrix_of
from garrison.robustness.tabular.moves import Moves
from garrison.robustness.tabular.outcome import TabularOutcome
from garrison.robustness.tabular.search import Answer, Asking, Donors, Question, Search


def attack(
    classifier: Classifier,
    data: Data,
    constraints: Constraints,
    *,
    queries: int,
    seed: int,
    progress: Progress | None = None,
    deadline: float | None = None,
) -> TabularOutcome:
    """Look for the cheapest permitted change of each row of `data` that makes the model decide otherwise.

    Each row may cost `queries` forward passes beside that of the unchanged row; each gradient counts as one. Gradients
    are used where the classifier is differentiable, only decisions where it gives no more. Its bounds are not used:
    the constraints say what values may be. Rows that break the constraints themselves are not attacked. When the
    classifier's own budget of queries is spent, or after `deadline` (of `time.monotonic`), the outcome holds what was
    found until then.

    Raises `UsageError` for data that are no table or that the constraints were not made for, and where no row keeps
    the constraints.
    """
    if queries < 1:
        raise UsageError(f"{queries} queries: a row needs at least one")
    if features_of(data) != constraints.features:
        raise UsageError("the constraints were made for data with other features")
    started = time.perf_counter()
    rows, labels = matrix_of(data), np.asarray(data.labels)
    if len(labels) != len(rows) or labels.min() < 0 or labels.max() >= classifier.classes:
        raise UsageError(f"labels must be {len(rows)} whole numbers from 0 to {classifier.classes - 1}")
    broken, breaks = constraints.broken(data)
    if breaks.all():
        raise UsageError(f"every row breaks the constraints before it is changed: {broken[0]}")
    model = _Model(classifier, labels)
    clean, incomplete = model.clean(rows)
    outcome = TabularOutcome(
        data=data,
        constraints=constraints,
        broken=broken,
        attacked=~breaks & np.isfinite(clean).all(axis=1),
        clean=clean,
        after=clean.copy(),
        adversarial=rows.copy(),
        costs=np.full(len(rows), np.nan),
        success=np.zeros(len(rows), dtype=bool),
        found_after=np.full(len(rows), -1, dtype=np.int64),
        queries=np.asarray(np.isfinite(clean).all(axis=1), dtype=np.int64),
        gradients=np.zeros(len(rows), dtype=np.int64),
        access=_access(classifier),
        queries_per_row=queries,
        seed=seed,
        incomplete=incomplete,
    )
    if not incomplete:
        outcome.incomplete = _search(model, outcome, rows, labels, progress, deadline)
    outcome.seconds = time.perf_counter() - started
    return outcome


def _access(classifier: Classifier) -> Access:
    if classifier.outputs == "labels":
        return "labels"
    return "gradients" if classifier.differentiable else "scores"


def _search(
    model: "_Model",
    outcome: TabularOutcome,
    rows: Matrix,
    labels: NDArray[np.int64],
    progress: Progress | None,
    deadline: float | None,
) -> str:
    """Attack all rows that are decided rightly, write what is found into the outcome, and say why not all were."""
    moves, searches = Moves(outcome.constraints, rows), dict[int, Search]()
    donors = Donors(rows[outcome.attacked], outcome.clean[outcome.attacked].argmax(axis=1))

    def start(index: int) -> Asking:
        label = int(labels[index])
        searches[index] = Search(
            moves,
            rows[index],
            label,
            float(margins_of(outcome.clean[index][None], label)[0][0]),
            donors,
            access=outcome.access,
            queries=outcome.queries_per_row,
            random=np.random.default_rng([outcome.seed, index]),
        )
        return searches[index].run()

    def ended(index: int) -> None:
        _keep(outcome, index, searches.pop(index))

    indices = [int(index) for index in np.flatnonzero(outcome.correct)]
    return together(indices, start, model.answers, lambda question: len(question.rows), ended, progress, deadline)


def _keep(outcome: TabularOutcome, index: int, search: Search) -> None:
    outcome.queries[index] += search.spent
    outcome.gradients[index] = search.gradients
    outcome.found_after[index] = search.found_after
    if search.found and search.best is not None and search.scores is not None:
        outcome.success[index] = True
        outcome.adversarial[index] = search.best
        outcome.costs[index] = search.cost
        outcome.after[index] = search.scores


class _Model:
    """A classifier that takes and gives arrays."""

    def __init__(self, classifier: Classifier, labels: NDArray[np.int64]) -> None:
        self._classifier = classifier
        self._labels = labels

    def clean(self, rows: Matrix) -> tuple[NDArray[np.float64], str]:
        """Scores (n, classes) of the unchanged rows, NaN for those that were not answered, and why not."""
        scores = np.full((len(rows), self._classifier.classes), np.nan)
        try:
            for start in range(0, len(rows), BATCH):
                scores[start : start + BATCH] = self._scores(rows[start : start + BATCH])
        except QueriesSpent as error:
            return scores, f"{error} Not even the unchanged rows were all asked about."
        return scores, ""

    def answers(self, batch: Sequence[Running[Question, Answer]]) -> list[Answer]:
        """The answers to the question of each."""
        plain = [one.question.rows for one in batch if not one.question.gradient]
        steep = [(one.index, one.question.rows) for one in batch if one.question.gradient]
        scores = self._scores(np.concatenate(plain)) if plain else np.empty((0, self._classifier.classes))
        pieces = iter(np.split(scores, np.cumsum([len(rows) for rows in plain])))
        sloped = iter(self._gradients(steep) if steep else ())
        return [next(sloped) if one.question.gradient else Answer(next(pieces)) for one in batch]

    def _scores(self, rows: Matrix) -> NDArray[np.float64]:
        inputs = torch.from_numpy(np.ascontiguousarray(rows)).to(self._classifier.device)
        return self._classifier.scores(inputs).cpu().numpy().astype(np.float64)

    def _gradients(self, steep: Sequence[tuple[int, Matrix]]) -> list[Answer]:
        """Scores and gradients of the margins, of one row each."""
        inputs = torch.from_numpy(np.concatenate([rows for _, rows in steep])).to(self._classifier.device)
        inputs.requires_grad_(True)
        with torch.enable_grad():
            scores = self._classifier(inputs)
            labels = torch.from_numpy(self._labels[[index for index, _ in steep]]).to(scores.device)
            own = scores.gather(1, labels[:, None])[:, 0]
            others = scores.scatter(1, labels[:, None], float("-inf")).max(1).values
            (gradient,) = torch.autograd.grad((own - others).sum(), inputs)
        values, slopes = (one.detach().cpu().numpy().astype(np.float64) for one in (scores, gradient))
        return [Answer(value[None], slope[None]) for value, slope in zip(values, slopes, strict=True)]
