"""A live endpoint as a classifier that can only be asked."""

import weakref
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from garrison.core.errors import UsageError
from garrison.robustness.classifier import Classifier, Outputs, QueriesSpent
from garrison.robustness.endpoints.answers import checked, kind, numbers
from garrison.robustness.endpoints.journal import Journal, Row, digest
from garrison.robustness.endpoints.template import Template, Templated
from garrison.robustness.endpoints.transport import EndpointError, EndpointGone, Host, Patience
from garrison.robustness.endpoints.wire import Wire, wire
from garrison.sources.connections import masked

_BATCH = 32
_PATIENCE = Patience()


class Endpoint:
    """Scores of inputs, from an endpoint or from the journal of what it answered before."""

    def __init__(
        self, host: Host, protocol: Wire, classes: int, names: Sequence[str], budget: int | None, journal: str | None
    ) -> None:
        """Raises `UsageError` for a journal that cannot be used."""
        self.outputs: Outputs = "logits"
        self.failure = ""
        """Why it gave no answer, the last time that it gave none."""
        self._gone = False
        self._host = host
        self._wire = protocol
        self._classes = classes
        self._names = names
        self._budget = budget
        self._journal = Journal(journal, protocol.described) if journal else None
        self._asked = 0
        # A classifier is not closed by whoever has it, only forgotten.
        self._end = weakref.finalize(self, _closed, host, self._journal)

    @property
    def asked(self) -> int:
        """Inputs that were sent, over all runs of the journal."""
        return self._journal.asked if self._journal else self._asked

    def __call__(self, inputs: Tensor) -> Tensor:
        """Scores (n, classes) of inputs (n, *shape); ones at the decisions of a model that gives no more.

        Raises `QueriesSpent`, and sends nothing, where the budget is too small for those that the journal lacks.
        Raises `EndpointError`.
        """
        values = checked(self.answers(inputs.detach().cpu().numpy()), self.outputs, self._classes)
        scores = torch.from_numpy(values)
        if self.outputs == "labels":
            scores = torch.nn.functional.one_hot(scores.long().reshape(len(inputs)), self._classes)
        return scores.float().reshape(len(inputs), self._classes).to(inputs.device)

    def answers(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Answers (n, k), as they came."""
        if not len(inputs):
            return np.zeros((0, 1 if self.outputs == "labels" else self._classes))
        keys = [digest(row) for row in inputs]
        rows: list[Row | None] = [self._journal.take(key) if self._journal else None for key in keys]
        unknown = [place for place, row in enumerate(rows) if row is None]
        if self._budget is not None and self.asked + len(unknown) > self._budget:
            raise QueriesSpent(
                f"the budget of {self._budget:,} queries is spent: {self.asked:,} were asked, "
                f"and {len(unknown):,} more were wanted at once"
            )
        size = self._wire.batch or _BATCH
        for start in range(0, len(unknown), size):
            places = unknown[start : start + size]
            for place, row in zip(places, self._sent(inputs[places], [keys[place] for place in places]), strict=True):
                rows[place] = row
        return np.array(rows, np.float64)

    def close(self) -> None:
        """Close the connection, and leave the journal to others."""
        self._end()

    def _sent(self, inputs: NDArray[np.float32], keys: Sequence[str]) -> list[Row]:
        if self._gone:
            raise EndpointError(self.failure)
        body = self._wire.body(inputs)
        self._asked += len(inputs)
        if self._journal:
            self._journal.asking(len(inputs))
        try:
            document = self._host.post(self._wire.target, body)
            values = numbers(self._wire.rows(document, len(inputs)), len(inputs), self._names)
        except EndpointError as error:
            self.failure, self._gone = str(error), isinstance(error, EndpointGone)
            raise
        rows = [tuple(row) for row in values.tolist()]
        if self._journal:
            self._journal.answered(keys, rows)
        return rows


def _closed(host: Host, journal: Journal | None) -> None:
    host.close()
    if journal:
        journal.close()


def endpoint(
    address: str | Template,
    sample: NDArray[np.float32],
    *,
    classes: int,
    low: float | Tensor = 0.0,
    high: float | Tensor = 1.0,
    outputs: Outputs | None = None,
    output: str = "",
    names: Sequence[str] = (),
    headers: Mapping[str, str] | None = None,
    budget: int | None = None,
    journal: str | None = None,
    patience: Patience = _PATIENCE,
) -> Classifier:
    """A classifier that asks an endpoint: an address of a V2 or V1 model, or a template.

    `sample` (m, *shape) are inputs that are asked about at once, to learn what the answers are; they count. `outputs`
    says so instead of the answers. `output` names the output of the model with its scores (of MLServer's scikit-learn
    runtime, `predict_proba`: without a name it gives decisions). `names` are what the answers call the classes.
    `headers` are sent and never shown.

    `budget` counts inputs that were sent, in all runs of the same journal; a batch that would exceed it raises
    `QueriesSpent` and is not sent. A run that is repeated with its journal takes from there what it was answered
    before, and so goes on where it ended. What was on its way when the process died counts as sent.

    `classifier.forward` is the `Endpoint`: `close()` ends its connection and gives the journal free, as does forgetting
    the classifier.
    Raises `UsageError` for what cannot be asked in this way, and `EndpointError` for an endpoint that does not answer.
    """
    if not len(sample):
        raise UsageError("no inputs to ask the endpoint about")
    if classes < 2:
        raise UsageError(f"a classifier has two classes at least, and the data has {classes}")
    if budget is not None and budget < len(sample):
        raise UsageError(f"a budget of {budget} queries is less than the {len(sample)} that are asked first")
    if isinstance(address, Template):
        expanded, secrets = address.expanded()
        host = Host(address.url, {**expanded, **(headers or {})}, (*secrets, *(headers or {}).values()), patience)
        if address.encoding == "png" and (isinstance(low, Tensor) or isinstance(high, Tensor)):
            raise UsageError("pictures have the same bounds everywhere")
        protocol: Wire = Templated(address, float(torch.as_tensor(low).min()), float(torch.as_tensor(high).max()))
        shown, names = masked(address.url), names or address.names
    else:
        host = Host(address, headers or {}, tuple((headers or {}).values()), patience)
        shown = masked(address)
        try:
            protocol = wire(host, address, sample.shape[1:], output)
        except BaseException:
            host.close()
            raise
    if names and len(names) != classes:
        raise UsageError(f"{len(names)} names of classes were given, and the data has {classes}")
    asked = Endpoint(host, protocol, classes, names, budget, journal)
    try:
        first = asked.answers(np.ascontiguousarray(sample, np.float32))
        asked.outputs = outputs or kind(first, classes)
        checked(first, asked.outputs, classes)
    except BaseException:
        asked.close()
        raise
    return Classifier(asked, classes, low, high, differentiable=False, outputs=asked.outputs, name=shown)
