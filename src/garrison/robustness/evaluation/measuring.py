"""A card from a model and data: stages one after the other, each of which adds its part and can be left out.

After each stage, and after each batch of the attacks, the card so far is handed out, so that what is stopped leaves
what it had. What a stage cannot do is listed under `omitted`, with the reason, and the others go on.
"""

import dataclasses
import datetime
import logging
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from garrison.core.errors import GarrisonError, first_line
from garrison.core.robustness_card import Card, Check, Model, rate
from garrison.robustness import masking
from garrison.robustness.classifier import Classifier, QueriesSpent
from garrison.robustness.data import Data
from garrison.robustness.evaluation import stages
from garrison.robustness.evaluation.clock import Clock, Progress, TimeIsOver
from garrison.robustness.evaluation.plan import plan
from garrison.robustness.evaluation.request import Request
from garrison.robustness.evaluation.stages.stage import Stage
from garrison.robustness.evaluation.working import UNASKED, Working
from garrison.robustness.inputs.checking import of_decisions

_CLEAN = 10_000
"""Inputs that the accuracy is measured on, at most; where questions are counted, only those that are attacked."""
_BATCH = 256
_COUNTED_BATCH = 32
"""Where questions are counted, so that little is lost when answers end."""


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
    classifier = dataclasses.replace(classifier, watch=clock.check)
    working = _begun(classifier, data, request, clock, described, model)
    working.notes += notes
    working.command = tuple(command)
    if len(working.inputs):
        working.add("checks", [masking.check_distinct(working.inputs, images=data.kind == "image")])

    def so_far() -> None:
        if partial is not None:
            partial(working.card(complete=False))

    so_far()
    for stage in stages.STAGES:
        if stage.part not in request.parts:
            continue
        clock.stage(stage.name, stage.share)
        reason = stage.applies(working)
        if reason == UNASKED:
            continue
        reason = reason or _run(stage, working, so_far)
        if reason:
            working.omit(stage.name, reason)
            if stage.doubts:
                working.add("checks", [_undoubted(stage.name, reason)])
        so_far()
    return working.card(complete=True)


def _run(stage: Stage, working: Working, so_far: Callable[[], None]) -> str:
    """Why a stage did not come to its end; empty where it did."""
    try:
        working.clock.check()
        stage.run(working, so_far)
    except TimeIsOver:
        return "its time was over"
    except GarrisonError as error:
        return str(error)
    except Exception as error:  # whatever the model or its framework raises, hours after the first answer
        logging.getLogger(__name__).debug("%s", stage.name, exc_info=True)
        working.failed = True
        return f"it failed: {type(error).__name__}: {first_line(error)}"
    return ""


def _undoubted(name: str, reason: str) -> Check:
    return Check(
        name="not-doubted",
        verdict="failed",
        seen=f"{name}: {reason}",
        advice="allow more time (--time-limit), or attack fewer inputs (--samples)",
    )


def _begun(
    classifier: Classifier, data: Data, request: Request, clock: Clock, described: Model, model: object
) -> Working:
    """The accuracy, and which inputs are attacked."""
    assert isinstance(data.inputs, np.ndarray)
    chosen = plan(data, classifier, request)
    random = np.random.default_rng(request.seed)
    order = torch.from_numpy(random.permutation(len(data)))[: chosen.samples]
    measured = order if classifier.counted else torch.from_numpy(random.permutation(len(data))[:_CLEAN])
    decided = _decided(classifier, data, measured, clock)
    measured = measured[: len(decided)]
    labels = torch.from_numpy(data.labels[measured.numpy()])
    correct = decided == labels
    # Of others this was looked at before; here each question counts.
    notes = of_decisions(decided, labels, classifier.classes) if classifier.counted else []
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
        notes=notes,
    )


def _decided(classifier: Classifier, data: Data, places: Tensor, clock: Clock) -> Tensor:
    """Decisions on the inputs at these places, or on the first of them where time or the answers of an endpoint end.

    Raises what the first batch does.
    """
    assert isinstance(data.inputs, np.ndarray)
    found = []
    size = _COUNTED_BATCH if classifier.counted else _BATCH
    for start in range(0, len(places), size):
        some = places[start : start + size].numpy()
        try:
            asked = classifier if start else dataclasses.replace(classifier, watch=None)
            found.append(asked.labels(torch.from_numpy(data.inputs[some]).to(classifier.device)).cpu())
        except TimeIsOver:
            break
        except GarrisonError as error:
            if not found or not classifier.counted or isinstance(error, QueriesSpent):
                raise
            break
        clock.told(start / len(places))
    return torch.cat(found)
