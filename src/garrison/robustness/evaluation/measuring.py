"""A card from a model and data: stages one after the other, each of which adds its part and can be left out.

After each stage, and after each batch of the attacks, the card so far is handed out, so that what is stopped leaves
what it had. What a stage cannot do is listed under `omitted`, with the reason, and the others go on.
"""

import datetime
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from garrison.core.errors import GarrisonError
from garrison.core.robustness_card import Card, Model, rate
from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data
from garrison.robustness.evaluation import stages
from garrison.robustness.evaluation.clock import Clock, Progress, TimeIsOver
from garrison.robustness.evaluation.plan import plan
from garrison.robustness.evaluation.request import Request
from garrison.robustness.evaluation.working import UNASKED, Working

_CLEAN = 10_000
"""Inputs that the accuracy is measured on, at most; where questions are counted, only those that are attacked."""
_BATCH = 256


def measure(
    classifier: Classifier,
    data: Data,
    request: Request | None = None,
    *,
    described: Model,
    model: object = None,
    notes: Sequence[str] = (),
    command: Sequence[str] = (),
    progress: Progress | None = None,
    partial: Callable[[Card], None] | None = None,
) -> Card:
    """Measure what `request` asks for of a classifier of images or tables, on `data`.

    `described` is what the card says of the model, and `model` the object that the classifier was made of. `partial`
    gets the card so far, again and again. Raises `UsageError` for what makes no sense, and whatever the model raises
    when it is first asked; later failures are omissions.
    """
    request = request or Request()
    clock = Clock(request.seconds, progress)
    clock.stage("accuracy", stages.SHARE_OF_ACCURACY)
    working = _begun(classifier, data, request, clock, described, model)
    working.notes += notes
    working.command = tuple(command)
    for stage in stages.STAGES:
        if stage.part not in request.parts:
            continue
        clock.stage(stage.name, stage.share)
        reason = stage.applies(working)
        if reason == UNASKED:
            continue
        if not reason and clock.over():
            reason = "its time was over"
        if reason:
            working.omit(stage.name, reason)
            continue
        try:
            stage.run(working, lambda: partial(working.card(complete=False)) if partial else None)
        except TimeIsOver:
            working.omit(stage.name, "its time was over")
        except GarrisonError as error:
            working.omit(stage.name, str(error))
        if partial is not None:
            partial(working.card(complete=False))
    return working.card(complete=True)


def _begun(
    classifier: Classifier, data: Data, request: Request, clock: Clock, described: Model, model: object
) -> Working:
    """The accuracy, and which inputs are attacked."""
    assert isinstance(data.inputs, np.ndarray)
    chosen = plan(data, classifier, request)
    random = np.random.default_rng(request.seed)
    order = torch.from_numpy(random.permutation(len(data)))[: chosen.samples]
    measured = order if classifier.counted else torch.from_numpy(random.permutation(len(data))[:_CLEAN])
    correct = _correct(classifier, data, measured, clock)
    return Working(
        classifier=classifier,
        model=model,
        described=described,
        data=data,
        request=request,
        plan=chosen,
        clock=clock,
        inputs=torch.from_numpy(data.inputs[order.numpy()]).to(classifier.device),
        labels=torch.from_numpy(data.labels[order.numpy()]).to(classifier.device),
        order=order,
        started=datetime.datetime.now(datetime.UTC).replace(microsecond=0),
        clean=rate(int(correct.sum()), len(correct)),
        measured=measured,
        correct=correct,
    )


def _correct(classifier: Classifier, data: Data, places: Tensor, clock: Clock) -> Tensor:
    assert isinstance(data.inputs, np.ndarray)
    found = []
    for start in range(0, len(places), _BATCH):
        some = places[start : start + _BATCH].numpy()
        labels = torch.from_numpy(data.labels[some])
        found.append(classifier.labels(torch.from_numpy(data.inputs[some]).to(classifier.device)).cpu() == labels)
        clock.told(start / len(places))
    return torch.cat(found)
