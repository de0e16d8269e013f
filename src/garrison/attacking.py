"""`garrison.attack`: a model in a file, attacked, and what that showed as a card and as a report."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from garrison.core.assembly import assembled
from garrison.core.errors import UsageError
from garrison.core.policy import Policy
from garrison.core.report import Report
from garrison.core.robustness_card import Card, Model
from garrison.robustness.evaluation.clock import Progress
from garrison.robustness.evaluation.facts import examination
from garrison.robustness.evaluation.measuring import measure
from garrison.robustness.evaluation.request import Request
from garrison.robustness.inputs.alignment import aligned
from garrison.robustness.inputs.checking import check, check_data
from garrison.sources.connections import masked
from garrison.targets import Opened, bounds, open_model

if TYPE_CHECKING:
    from typing import Literal

    from garrison.robustness.classifier import Outputs
    from garrison.robustness.data import Data

ADDRESSES = ("http://", "https://")
_FIRST = 8
"""Inputs that an endpoint is asked about at once, to learn what its answers are."""


def attack(
    model: "str | os.PathLike[str]",
    data: "Data",
    request: Request | None = None,
    *,
    architecture: str = "",
    classes: int | None = None,
    low: float | None = None,
    high: float | None = None,
    outputs: "Outputs | Literal['auto']" = "auto",
    device: str = "auto",
    policy: Policy | None = None,
    command: Sequence[str] = (),
    progress: Progress | None = None,
    partial: Callable[[Card], None] | None = None,
) -> Card:
    """Attack a model in a file with labelled `data` (`garrison.robustness.inputs.reading.read`), and measure the rest.

    The model is loaded as `garrison.load` does; `garrison.targets.open_model` tells of the arguments after `request`.
    `progress` is told which share is done and what is under way, and `partial` gets the card so far again and again.

    Raises `LoadRefused` for a model that policy does not let through, and `UsageError` for what cannot be attacked:
    data that do not fit the model, labels counted from one, scores that are no numbers.
    """
    name = os.fspath(model)
    if data.kind == "text":
        return _attack_texts(name, data, request, policy, command, progress, partial)
    opened = open_model(
        name,
        data=data,
        architecture=architecture,
        classes=classes,
        low=low,
        high=high,
        outputs=outputs,
        device=device,
        policy=policy,
    )
    data = aligned(data, opened.class_names)
    notes = (*data.notes, *opened.notes, *check(opened.classifier, data))
    return measure(
        opened.classifier,
        data,
        request,
        described=_described(name, opened),
        model=opened.model,
        notes=notes,
        command=command,
        progress=progress,
        partial=partial,
    )


def attack_endpoint(
    address: str,
    data: "Data",
    request: Request | None = None,
    *,
    classes: int | None = None,
    low: float | None = None,
    high: float | None = None,
    outputs: "Outputs | Literal['auto']" = "auto",
    output: str = "",
    headers: Mapping[str, str] | None = None,
    queries: int | None = None,
    journal: str | None = None,
    command: Sequence[str] = (),
    progress: Progress | None = None,
    partial: Callable[[Card], None] | None = None,
) -> Card:
    """Attack a live endpoint: the address of a model (Open Inference Protocol, KServe's V1), or a template's file.

    It is asked about at most `queries` inputs, in all runs with the same `journal` together. A run that was stopped
    goes on where it ended if it is repeated with its journal and its seed. `classes` is how many it has, where the
    data have not all of them. `low` and `high` are as of `garrison.targets.open_model`. The other arguments are those
    of `garrison.robustness.endpoints.endpoint.endpoint`.

    Raises `UsageError` for what cannot be asked, and `EndpointError` for an endpoint that gives no answers from the
    start. Where it stops answering later, the card is not complete and says so. What may be a secret in an address is
    on no card.
    """
    import msgspec.structs
    import numpy as np
    import torch

    from garrison.robustness.classifier import Classifier
    from garrison.robustness.endpoints import template
    from garrison.robustness.endpoints.endpoint import Endpoint, endpoint

    if not isinstance(data.inputs, np.ndarray):
        raise UsageError("endpoints of texts are not attacked yet; images and tables are")
    # Whether data and bounds fit is looked at before anything is asked: each question counts.
    least, most = bounds(data, low, high)
    known = Classifier(torch.zeros_like, classes or len(data.classes) or int(data.labels.max()) + 1, least, most)
    check_data(known, data)
    classifier = endpoint(
        address if address.startswith(ADDRESSES) else template.read(address),
        data.inputs[:_FIRST],
        classes=known.classes,
        low=least,
        high=most,
        outputs=None if outputs == "auto" else outputs,
        output=output,
        names=(),
        headers=headers,
        budget=queries,
        journal=journal,
    )
    classifier.counted = True
    described = Model(
        name=classifier.name,
        format="endpoint",
        classes=classifier.classes,
        access="labels" if classifier.outputs == "labels" else "scores",
        outputs=classifier.outputs,
    )
    card = measure(
        classifier,
        data,
        request,
        described=described,
        notes=data.notes,
        command=[masked(word) if word.startswith(ADDRESSES) else word for word in command],
        progress=progress,
        partial=partial,
    )
    failure = classifier.forward.failure if isinstance(classifier.forward, Endpoint) else ""
    if not failure:
        return card
    note = f"the endpoint did not answer all that it was asked: {failure}"
    return msgspec.structs.replace(card, complete=False, notes=(*card.notes, note))


def _attack_texts(
    name: str,
    data: "Data",
    request: Request | None,
    policy: Policy | None,
    command: Sequence[str],
    progress: Progress | None,
    partial: Callable[[Card], None] | None,
) -> Card:
    from garrison.robustness.evaluation.measuring_texts import measure_texts
    from garrison.targets import open_text_model

    opened = open_text_model(name, data=data, policy=policy)
    classifier = opened.classifier
    data = aligned(data, classifier.class_names)
    return measure_texts(
        classifier,
        data,
        request,
        described=Model(
            name=name,
            format=opened.format,
            sha256=opened.sha256,
            classes=classifier.classes,
            access="labels" if classifier.outputs == "labels" else "scores",
            outputs=classifier.outputs,
        ),
        notes=data.notes,
        command=command,
        progress=progress,
        partial=partial,
    )


def _described(name: str, opened: Opened) -> Model:
    classifier = opened.classifier
    return Model(
        name=name,
        format=opened.format,
        sha256=opened.sha256,
        classes=classifier.classes,
        access="gradients" if classifier.differentiable else "labels" if classifier.outputs == "labels" else "scores",
        outputs=classifier.outputs,
        parameters=opened.parameters,
    )


def report(card: Card, policy: Policy) -> Report:
    """What a card says as findings, with the decision of a policy."""
    return assembled(
        [([examination(card)], None)],
        policy,
        subjects=[card.model.name],
        started=card.started,
        seconds=card.seconds,
        interrupted=not card.complete,
        notes=card.notes,
        online=False,
    )
