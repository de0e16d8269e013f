"""A card from a model of texts: its accuracy, and the words that change its mind."""

import dataclasses
import datetime
from collections.abc import Callable, Sequence

import msgspec.structs
import numpy as np

from garrison.core.report import Tool
from garrison.core.robustness_card import CARD_VERSION, Card, Dataset, Evasion, Model, Omitted, rate
from garrison.robustness.data import Data
from garrison.robustness.evaluation.advice import advice
from garrison.robustness.evaluation.clock import Clock, Progress
from garrison.robustness.evaluation.plan import effort_of
from garrison.robustness.evaluation.request import PARTS, Request
from garrison.robustness.text.classifier import TextClassifier
from garrison.robustness.text.evasion import attack

_WORDS = 0.2
"""The share of a text's words that may change: more, and people would notice."""
_PICTURES = 8
_BATCH = 256


def measure_texts(
    classifier: TextClassifier,
    data: Data,
    request: Request | None = None,
    *,
    described: Model,
    notes: Sequence[str] = (),
    command: Sequence[str] = (),
    progress: Progress | None = None,
    partial: Callable[[Card], None] | None = None,
) -> Card:
    """Measure the accuracy of a classifier of texts, and attack it by words.

    As `measuring.measure` does; budgets, attacks by name and the parts other than evasion are for images and tables.
    """
    from garrison import __version__

    request = request or Request()
    clock = Clock(request.seconds, progress)
    effort = effort_of(request)
    started = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    clock.stage("accuracy", 0.2)
    correct = _correct(classifier, data, clock)
    card = Card(
        card_version=CARD_VERSION,
        tool=Tool(name="garrison", version=__version__),
        started=started,
        seconds=0.0,
        command=tuple(command),
        seed=request.seed,
        complete=False,
        model=described,
        data=Dataset(name=data.name, kind="text", sha256=data.sha256, count=len(data), used=len(data)),
        clean_accuracy=rate(int(correct.sum()), len(correct)),
        omitted=tuple(Omitted(what=part, why="it is for images and tables") for part in PARTS[1:]),
        notes=tuple(notes),
    )
    if partial is not None:
        partial(card)
    if "evasion" in request.parts:
        clock.stage("words", 0.8)
        card = _attacked(card, classifier, data, request, effort.samples, effort.text_queries, clock)
    card = msgspec.structs.replace(card, complete=True, seconds=round(clock.elapsed, 3))
    return msgspec.structs.replace(card, advice=advice(card))


def _correct(classifier: TextClassifier, data: Data, clock: Clock) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    texts = [str(text) for text in data.inputs]
    found = []
    for start in range(0, len(texts), _BATCH):
        found.append(classifier(texts[start : start + _BATCH]).argmax(1) == data.labels[start : start + _BATCH])
        clock.told(start / len(texts))
    return np.concatenate(found)


def _attacked(
    card: Card,
    classifier: TextClassifier,
    data: Data,
    request: Request,
    usual: int,
    queries: int,
    clock: Clock,
) -> Card:
    order = np.random.default_rng(request.seed).permutation(len(data))[: min(request.samples or usual, len(data))]
    some = dataclasses.replace(
        data,
        inputs=[str(data.inputs[place]) for place in order],
        labels=data.labels[order],
        groups={name: values[order] for name, values in data.groups.items()},
    )
    found = attack(
        classifier,
        some,
        queries=queries,
        words=_WORDS,
        seed=request.seed,
        progress=clock.told,
        deadline=clock.deadline(1.0),
    )
    plain, *behind = found.results()
    return msgspec.structs.replace(
        card,
        evasion=(
            Evasion(budget=None, robust_accuracy=plain.robust_accuracy, worst_attack=plain.attack, attacks=(plain,)),
        ),
        costs=tuple(behind),
        curves=found.curves(),
        slices=found.slices(),
        pictures=found.pictures(_PICTURES),
        notes=(*card.notes, *found.notes()),
    )
