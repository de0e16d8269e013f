"""Searches of single inputs that share the batches of one model.

A search is a generator: it yields what it asks of the model and is sent the answer.
"""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from garrison.robustness.attacks.attack import Progress
from garrison.robustness.classifier import QueriesSpent

Question = TypeVar("Question")
Answer = TypeVar("Answer")

BATCH = 1024
"""Inputs that the model is asked about at once: enough for its own overhead, few enough to lose when it refuses."""
CONCURRENT = 256
"""Searches that run at once."""


@dataclass(eq=False)
class Running(Generic[Question, Answer]):
    """A search that waits for an answer."""

    index: int
    """Of the input."""
    asking: Generator[Question, Answer, None]
    question: Question


def together(
    indices: Iterable[int],
    start: Callable[[int], Generator[Question, Answer, None]],
    answers: Callable[[Sequence[Running[Question, Answer]]], Sequence[Answer]],
    size: Callable[[Question], int],
    ended: Callable[[int], None],
    progress: Progress | None,
    deadline: float | None = None,
) -> str:
    """Run a search of each input to its end; `ended` is told of each that began. Returns why not all were, if so.

    After `deadline`, a time of `time.monotonic`, no more is asked. `answers` gives the answers to a batch of searches,
    in their order; `size` says how many inputs a question has.
    """
    waiting, running = deque(indices), list[Running[Question, Answer]]()
    total = len(waiting)

    def cut_short(why: str) -> str:
        for one in running:
            ended(one.index)
        return f"{why} {len(waiting) + len(running):,} of {total:,} inputs were not attacked to the end."

    while waiting or running:
        if deadline is not None and time.monotonic() > deadline:
            return cut_short("The time is over.")
        while waiting and len(running) < CONCURRENT:
            index = waiting.popleft()
            asking = start(index)
            try:
                running.append(Running(index, asking, next(asking)))
            except StopIteration:
                ended(index)
        try:
            for batch in _batches(tuple(running), size):
                for one, answer in zip(batch, answers(batch), strict=True):
                    try:
                        one.question = one.asking.send(answer)
                    except StopIteration:
                        running.remove(one)
                        ended(one.index)
        except QueriesSpent as error:
            return cut_short(str(error))
        if progress is not None:
            progress((total - len(waiting) - len(running)) / total)
    return ""


def _batches(
    running: Sequence[Running[Question, Answer]], size: Callable[[Question], int]
) -> Iterator[list[Running[Question, Answer]]]:
    """The searches in order, in batches of about `BATCH` inputs."""
    batch, total = list[Running[Question, Answer]](), 0
    for one in running:
        if batch and total + size(one.question) > BATCH:
            yield batch
            batch, total = [], 0
        batch.append(one)
        total += size(one.question)
    if batch:
        yield batch


def margins_of(scores: NDArray[np.float64], label: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """By how much the label (k,) leads over the next class, and whether the decision (k,) is another one.

    Scores (k, classes) that are no numbers make no decision wrong.
    """
    others = np.delete(scores, label, axis=1).max(axis=1)
    margins = scores[:, label] - others
    wrong = (scores.argmax(axis=1) != label) & np.isfinite(scores).all(axis=1)
    return np.where(np.isfinite(margins), margins, np.inf), wrong
