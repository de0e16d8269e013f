"""What is asked of a model that becomes a classifier, and what comes of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from garrison.core.errors import UsageError, first_line
from garrison.robustness.classifier import Classifier, Outputs
from garrison.robustness.data import Data

PROBES = 64
"""Inputs of the data that a model is shown before it is attacked."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """What a caller knows of a model and wants of the classifier."""

    classes: int | None = None
    low: float | Tensor = 0.0
    high: float | Tensor = 1.0
    outputs: Outputs | Literal["auto"] = "auto"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    data: Data | None = None
    """What it will be attacked with: says how inputs look, and shows what the model makes of them."""
    name: str = ""

    def probe(self) -> Tensor | None:
        """The first inputs of the data (n, *shape), on the device; `None` without data of numbers."""
        if self.data is None or not isinstance(self.data.inputs, np.ndarray):
            return None
        return torch.from_numpy(self.data.inputs[:PROBES].copy()).to(self.device)


@dataclass(frozen=True, eq=False)
class Built:
    """A classifier of a model, and what is to be known of it."""

    classifier: Classifier
    class_names: tuple[str, ...] = ()
    """What the model itself calls its classes, in the order of its scores."""
    parameters: int | None = None
    notes: tuple[str, ...] = ()


Forward = Callable[[Tensor], Any]
"""From inputs (n, *shape) to whatever the framework answers."""


def scores(answer: Any, count: int) -> Tensor:
    """Scores (n, columns) of what a model answered to `count` inputs; decisions (n,) as integers stay as they are.

    Of a mapping or an object with several tensors that which is called `logits` counts, else the first. Raises
    `ValueError` for what is not one row for each input.
    """
    if not isinstance(answer, Tensor | np.ndarray):
        if isinstance(answer, dict):
            answer = answer.get("logits", next(iter(answer.values()), None))
        elif hasattr(answer, "logits"):
            answer = answer.logits
        elif isinstance(answer, list | tuple) and answer:
            answer = answer[0]
    tensor = torch.from_numpy(answer) if isinstance(answer, np.ndarray) else answer
    if not isinstance(tensor, Tensor):
        raise ValueError(f"it answers with a {type(answer).__name__}")
    shape = tuple(tensor.shape)
    if not shape or shape[0] != count or any(size != 1 for size in shape[2:]):
        raise ValueError(f"it answers {count} inputs with shape {shape}, not with one row of scores each")
    tensor = tensor.reshape(shape[:2])
    if tensor.is_floating_point():
        return tensor.float()
    if tensor.dim() == 1 or tensor.shape[1] == 1:
        return tensor.reshape(count).long()
    return tensor.float()


def classifier(
    forward: Forward,
    wanted: Wanted,
    *,
    differentiable: bool,
    outputs: Outputs | None = None,
    classes: int | None = None,
    shape: tuple[int, ...] | None = None,
) -> tuple[Classifier, tuple[str, ...]]:
    """A classifier of what a model computes, with what is to be said of it.

    `outputs`, `classes` and `shape` (of one input) are what the framework knows of the model. What it does not know is
    looked for in the answers to the probe: inputs as they are, then flattened, then with the channels last, whichever
    the model takes. One score becomes two: of the second class as it is, and of the first what is left. Raises
    `UsageError`.
    """
    notes: list[str] = []
    probe = wanted.probe()
    if probe is None:
        count = wanted.classes or classes
        if count is None:
            raise UsageError("how many classes the model has is not known without data: say it with --classes")
        kind = outputs if wanted.outputs == "auto" else wanted.outputs
        view: Callable[[Tensor], Tensor] = _unchanged
        if kind is None:
            kind = "logits"
            notes.append("its scores are taken for logits, unseen: there was no data to ask it about")
    else:
        view, answer, said = _viewed(forward, probe, shape)
        notes.extend(said)
        if not answer.is_floating_point():
            kind = "labels"
            count = wanted.classes or classes or int(answer.max()) + 1
        else:
            columns = answer.shape[1] if answer.dim() == 2 else 1
            count = max(columns, 2)
            kind = outputs or _kind(answer.reshape(len(probe), columns))
            if wanted.outputs != "auto":
                kind = wanted.outputs
        for known in (wanted.classes, classes):
            if known is not None and kind != "labels" and known != count:
                raise UsageError(f"the model gives scores of {count} classes, not of {known}")

    def scored(inputs: Tensor) -> Tensor:
        try:
            answer = scores(forward(view(inputs)), len(inputs)).to(inputs.device)
        except ValueError as error:
            raise UsageError(f"the model: {error}") from None
        if not answer.is_floating_point() or (kind == "labels" and answer.dim() == 1):
            if len(answer) and not 0 <= int(answer.min()) <= int(answer.max()) < count:
                raise UsageError(f"the model decides for class {int(answer.max())}, and it has {count}")
            return torch.nn.functional.one_hot(answer.long(), count).float()
        return two(answer.reshape(len(inputs), -1), kind) if count == 2 else answer

    made = Classifier(
        scored,
        count,
        wanted.low,
        wanted.high,
        differentiable=differentiable and kind != "labels",
        outputs=kind,
        device=wanted.device,
        name=wanted.name,
    )
    return made, tuple(notes)


def two(answer: Tensor, outputs: Outputs) -> Tensor:
    """Scores (n, 2) of one score (n, 1), which is of the second class; two stay as they are."""
    if answer.shape[1] == 2:
        return answer
    rest = torch.zeros_like(answer) if outputs == "logits" else 1 - answer
    return torch.cat([rest, answer], 1)


def _kind(answer: Tensor) -> Outputs:
    """What finite scores (n, columns) look like."""
    if bool(((answer >= 0) & (answer <= 1)).all()):
        sums = answer.sum(1)
        if answer.shape[1] == 1 or torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
            return "probabilities"
    return "logits"


def _unchanged(inputs: Tensor) -> Tensor:
    return inputs


def _flattened(inputs: Tensor) -> Tensor:
    return inputs.flatten(1)


def _channels_last(inputs: Tensor) -> Tensor:
    return inputs.movedim(1, -1)


def _views(probe: Tensor, shape: tuple[int, ...] | None) -> Iterator[tuple[Callable[[Tensor], Tensor], str]]:
    """Ways in which inputs may be handed to a model; those of another shape than it states are left out."""
    views: list[tuple[Callable[[Tensor], Tensor], str]] = [(_unchanged, "")]
    if probe.dim() == 4:
        views.append((_channels_last, "images are handed to it with their channels last"))
    if probe.dim() > 2:
        views.append((_flattened, "images are handed to it flattened"))
    for view, note in views:
        seen = view(probe[:1]).shape[1:]
        matches = shape is None or (
            len(shape) == len(seen) and all(size in (-1, own) for size, own in zip(shape, seen, strict=True))
        )
        if matches:
            yield view, note


def _viewed(
    forward: Forward, probe: Tensor, shape: tuple[int, ...] | None
) -> tuple[Callable[[Tensor], Tensor], Tensor, tuple[str, ...]]:
    """The first view of inputs that the model takes, with its answers to the probe. Raises `UsageError`."""
    given = tuple(probe.shape[1:])
    views = list(_views(probe, shape))
    if not views and shape is not None:
        stated = tuple("any" if size == -1 else size for size in shape)
        raise UsageError(f"the model takes inputs of shape {_named(stated)}, and the data has {_named(given)}")
    reasons: list[str] = []
    for view, note in views:
        try:
            with torch.no_grad():
                return view, scores(forward(view(probe)), len(probe)), (note,) * bool(note)
        except UsageError:
            raise
        except Exception as error:
            reasons.append(first_line(error))
    raise UsageError(f"the model does not take inputs of shape {_named(given)}: {reasons[0]}")


def _named(shape: tuple[object, ...]) -> str:
    return "×".join(map(str, shape))
