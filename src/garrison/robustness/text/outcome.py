"""What an attack on texts found, and how the card shows it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from garrison.core.robustness_card import Access, AttackResult, Curve, Picture, Slice, rate
from garrison.robustness.data import Data
from garrison.robustness.text.edits import Edit
from garrison.robustness.text.search import TextSearch
from garrison.robustness.text.words import split
from garrison.robustness.without_norms import class_name, curve, decision, slices

NAME = "word-level text"
ADAPTED = "word-level text, through a clean-up of the input"
LONGEST_PICTURE = 2000
"""Characters of a text that are shown."""


@dataclass(eq=False)
class Found:
    """What a search found in n texts."""

    texts: Sequence[str]
    labels: NDArray[np.int64]
    clean: NDArray[np.float64]
    """(n, classes): scores of the unchanged texts, NaN for those that were not answered."""
    incomplete: str
    attacked: NDArray[np.bool_] = field(init=False)
    """(n,): texts that the model gave finite scores for."""
    correct: NDArray[np.bool_] = field(init=False)
    """(n,): those that were decided rightly."""
    after: NDArray[np.float64] = field(init=False)
    """(n, classes): scores of the adversarial texts."""
    adversarial: list[str] = field(init=False)
    """n texts, with the fewest changes found; the text itself where nothing was found."""
    edits: list[dict[int, Edit]] = field(init=False)
    """Of each text, by the number of the word."""
    success: NDArray[np.bool_] = field(init=False)
    """(n,): texts that were decided rightly before and are not any more."""
    found_after: NDArray[np.int64] = field(init=False)
    """(n,): passes after the first until something was found, -1 where nothing was."""
    queries: NDArray[np.int64] = field(init=False)
    """(n,): passes in all."""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        count = len(self.texts)
        self.attacked = np.asarray(np.isfinite(self.clean).all(axis=1))
        decisions = np.nan_to_num(self.clean, nan=-np.inf).argmax(axis=1)
        self.correct = np.asarray(self.attacked & (decisions == self.labels))
        self.after = self.clean.copy()
        self.adversarial = list(self.texts)
        self.edits = [{} for _ in range(count)]
        self.success = np.zeros(count, dtype=bool)
        self.found_after = np.full(count, -1, dtype=np.int64)
        self.queries = np.ones(count, dtype=np.int64)

    def keep(self, index: int, search: TextSearch) -> None:
        """What the search of one text ended with."""
        self.queries[index] += search.spent
        self.found_after[index] = search.found_after
        if search.best is not None and search.scores is not None:
            self.success[index] = True
            self.adversarial[index] = search.best.text
            self.edits[index] = search.best.edits
            self.after[index] = search.scores


@dataclass(frozen=True, eq=False)
class TextOutcome:
    """What was found in n texts, with and without a clean-up of the input."""

    data: Data
    access: Access
    plain: Found
    outlived: NDArray[np.bool_] | None
    """(n,): whether what was found without knowledge of a clean-up is still decided wrongly after one."""
    adapted: Found | None
    """What was found through the clean-up."""
    queries: int
    """Allowed for one text."""
    words: float
    """The share of words that may change."""
    seed: int

    def results(self) -> tuple[AttackResult, ...]:
        """The attack on the model, and then the one on the model with a clean-up in front, which is another model."""
        found = [self._result(NAME, self.plain, "none")]
        if self.adapted is not None:
            found.append(self._result(ADAPTED, self.adapted, "clean-up of the input"))
        return tuple(found)

    def _result(self, name: str, found: Found, defence: str) -> AttackResult:
        count, of = int(found.success.sum()), int(found.correct.sum())
        settings: dict[str, bool | int | float | str] = {
            "queries_per_text": self.queries,
            "share_of_words": self.words,
            "defence": defence,
        }
        if count:
            settings["median_words_changed"] = float(np.median(self._changed(found)))
        return AttackResult(
            attack=name,
            access=self.access,
            budget=None,
            robust_accuracy=rate(of - count, int(found.attacked.sum())),
            success=rate(count, of),
            median_queries=float(np.median(found.found_after[found.success])) if count else None,
            queries=int(found.queries.sum()),
            gradients=0,
            seconds=found.seconds,
            seed=self.seed,
            settings=settings,
            incomplete=found.incomplete,
        )

    def _changed(self, found: Found) -> NDArray[np.int64]:
        """Words changed in each text that was found."""
        return np.asarray([len(found.edits[index]) for index in np.flatnonzero(found.success)], dtype=np.int64)

    def curves(self) -> tuple[Curve, ...]:
        """The share of texts that are found, over the words that change and over the queries that it takes."""
        queries, of = self.plain.found_after[self.plain.success], int(self.plain.correct.sum())
        curves = [
            curve(f"{NAME}: success over words", "words changed", self._changed(self.plain), of, "texts"),
            curve(f"{NAME}: success over queries", "forward passes for one text", queries, of, "texts"),
        ]
        if self.adapted is not None:
            words, of = self._changed(self.adapted), int(self.adapted.correct.sum())
            curves.append(curve(f"{ADAPTED}: success over words", "words changed", words, of, "texts"))
        return tuple(curves)

    def pictures(self, count: int) -> tuple[Picture, ...]:
        """The `count` texts with the fewest changes, the changed words between ⟦ and ⟧."""
        rows = np.flatnonzero(self.plain.success)
        rows = rows[self._changed(self.plain).argsort(kind="stable")][:count]
        return tuple(self._picture(int(row)) for row in rows)

    def _picture(self, row: int) -> Picture:
        words = split(str(self.data.inputs[row]))
        edits = self.plain.edits[row]
        before = words.with_words({at: f"⟦{edit.before}⟧" for at, edit in edits.items()})
        after = words.with_words({at: f"⟦{edit.shown}⟧" for at, edit in edits.items()})
        return Picture(
            attack=NAME,
            budget=f"{len(edits)} of {len(words.words)} words",
            label=class_name(self.data, int(self.data.labels[row])),
            before=decision(self.data, self.plain.clean[row]),
            after=decision(self.data, self.plain.after[row]),
            original=_shortened(before),
            perturbation=", ".join(str(edits[at]) for at in sorted(edits)),
            adversarial=_shortened(after),
            media="text/plain",
        )

    def slices(self) -> tuple[Slice, ...]:
        """Accuracy and robust accuracy of each group in the data, the least robust first."""
        return slices(self.data, self.plain.attacked, self.plain.correct, self.plain.success)

    def used(self) -> tuple[tuple[str, float], ...]:
        """Kinds of edits, with the share of the successes that hold one, the most used first."""
        rows = np.flatnonzero(self.plain.success)
        kinds = [{edit.kind for edit in self.plain.edits[row].values()} for row in rows]
        shares = {kind: sum(kind in one for one in kinds) / len(kinds) for kind in set().union(*kinds)} if kinds else {}
        return tuple(sorted(shares.items(), key=lambda one: (-one[1], one[0])))

    def notes(self) -> tuple[str, ...]:
        """What else there is to say, in sentences."""
        found = []
        if used := self.used():
            kinds = ", ".join(f"{kind} ({share:.0%})" for kind, share in used[:5])
            found.append(f"Edits in successful attacks on texts: {kinds}.")
        if self.outlived is not None and self.adapted is not None and (count := int(self.plain.success.sum())):
            share = rate(count - int(self.outlived.sum()), count)
            adapted = rate(int(self.adapted.success.sum()), int(self.adapted.correct.sum()))
            found.append(
                f"A clean-up of the input (NFKC, look-alike and invisible characters, repeats, spelling) undoes "
                f"{share.value:.0%} of the {count} changed texts that were made without knowledge of it; an attack "
                f"that knows of it succeeds on {adapted.value:.0%} of {adapted.of} texts."
            )
        return tuple(found)


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_PICTURE else text[:LONGEST_PICTURE] + " […]"
