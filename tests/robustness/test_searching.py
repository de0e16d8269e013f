"""Searches share batches, and none of them is forgotten."""

import time
from collections.abc import Generator, Sequence

import numpy as np
import pytest

from garrison.robustness.classifier import QueriesSpent
from garrison.robustness.searching import BATCH, Running, margins_of, together


def counting(index: int, found: dict[int, list[int]]) -> Generator[list[int], int, None]:
    """Asks `index` questions of growing size, and keeps the answers."""
    for length in range(1, index + 1):
        found.setdefault(index, []).append((yield [index] * length))


@pytest.mark.parametrize("count", [0, 1, 30, 600])
def test_each_search_gets_its_own_answers(count: int) -> None:
    found: dict[int, list[int]] = {}
    ended: list[int] = []
    told: list[float] = []

    def answers(batch: Sequence[Running[list[int], int]]) -> list[int]:
        sizes = [len(one.question) for one in batch]
        assert sum(sizes) <= BATCH or len(batch) == 1
        return [10 * one.question[0] + len(one.question) for one in batch]

    indices = [index % 40 for index in range(count)] if count == 600 else list(range(count))
    assert together(indices, lambda index: counting(index, found), answers, len, ended.append, told.append) == ""
    assert sorted(ended) == sorted(indices)
    assert told == sorted(told)
    if count == 30:
        assert found == {index: [10 * index + length for length in range(1, index + 1)] for index in range(1, 30)}


def test_a_model_that_refuses_ends_all_and_says_so() -> None:
    ended: list[int] = []

    def answers(batch: Sequence[Running[list[int], int]]) -> list[int]:
        if len(batch[0].question) > 2:
            raise QueriesSpent("enough.")
        return [0] * len(batch)

    why = together(range(6), lambda index: counting(index, {}), answers, len, ended.append, None)
    assert why == "enough. 3 of 6 inputs were not attacked to the end."
    assert sorted(ended) == list(range(6))


def test_a_deadline_keeps_what_was_found() -> None:
    found: dict[int, list[int]] = {}
    ended: list[int] = []
    deadline = time.monotonic() + 0.05

    def slow(batch: Sequence[Running[list[int], int]]) -> list[int]:
        time.sleep(0.06)
        return [7] * len(batch)

    why = together([1, 5], lambda index: counting(index, found), slow, len, ended.append, None, deadline)
    assert why == "The time is over. 1 of 2 inputs were not attacked to the end."
    assert found == {1: [7], 5: [7]}
    assert sorted(ended) == [1, 5]


def test_margins_and_decisions_agree() -> None:
    scores = np.asarray([[0.5, 0.5, 0.0], [0.1, 0.9, 0.0], [np.nan, 0.9, 0.0], [0.8, 0.1, np.inf]])
    margins, wrong = margins_of(scores, 0)
    assert margins == pytest.approx([0, -0.8, np.inf, np.inf])
    assert wrong.tolist() == [False, True, False, False]
