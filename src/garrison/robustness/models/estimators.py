"""Estimators of scikit-learn, pipelines of them, and whatever else has their methods."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from garrison.core.errors import UsageError, first_line
from garrison.robustness.classifier import Classifier, Outputs
from garrison.robustness.models.built import Built, Wanted, classifier
from garrison.robustness.models.converted import Unconverted, converted
from garrison.robustness.models.feature_frames import Columns, columns, without_feature_name_warnings

_TOLERANCE = 1e-4
"""Between scores of the original, given float32 as they are, and of the module."""
_RANDOM = 256
"""Inputs to compare on where there is no data."""


def of_estimator(estimator: Any, wanted: Wanted) -> Built:
    """A fitted classifier: as a torch module with gradients where all its parts are known, else as it is.

    The module counts only if it decides and scores as the original does on the data, or on random inputs where there
    is none. Raises `UsageError` for what is no fitted classifier of one label.
    """
    names = class_names(estimator)
    seen = columns(estimator, wanted.data)
    decoded, said = _decoded(estimator, seen, wanted.probe())
    made, notes = _black_box(estimator, seen, wanted, decoded)
    notes = (*seen.notes, *said, *notes)
    if wanted.outputs != "auto":
        return Built(made, names, None, notes)
    try:
        module = converted(estimator, seen.categories if decoded else ()).to(wanted.device)
        exact, _ = classifier(
            lambda inputs: module(seen.selected(inputs)).float(),
            wanted,
            differentiable=True,
            outputs="logits",
            classes=len(names),
        )
    except Unconverted as reason:
        return Built(made, names, None, (*notes, f"attacks get no gradients of it: {reason}"))
    except (AttributeError, KeyError, UsageError) as error:  # a version of scikit-learn that fits something else
        note = f"attacks get no gradients of it: a torch module of it fails: {first_line(error)}"
        return Built(made, names, None, (*notes, note))
    if difference := _difference(made, exact, estimator, wanted):
        return Built(made, names, None, (*notes, f"attacks get no gradients of it: a torch module of it {difference}"))
    count = sum(value.numel() for value in module.buffers())
    return Built(
        exact, names, count, (*notes, "attacks get its gradients and logits from a torch module that equals it")
    )


def class_names(estimator: Any) -> tuple[str, ...]:
    """What a fitted estimator calls its classes. Raises `UsageError` for what is no classifier of one label."""
    found = getattr(estimator, "classes_", None)
    kind = type(estimator).__qualname__
    if found is None:
        raise UsageError(f"a {kind} without classes_: no classifier, or one that was not fitted")
    if isinstance(found, list) or np.ndim(found) != 1:
        raise UsageError(f"a {kind} that gives several labels to one input is not attacked here")
    if len(found) < 2:
        raise UsageError(f"a {kind} that knows one class only: there is nothing to attack")
    return tuple(str(name) for name in np.asarray(found).tolist())


def _black_box(estimator: Any, seen: Columns, wanted: Wanted, decoded: bool) -> tuple[Classifier, tuple[str, ...]]:
    """The classifier by the estimator's own methods: the first whose highest score is its decision."""
    classes = np.asarray(estimator.classes_)
    probe = wanted.probe()

    def rows(inputs: Tensor) -> Any:
        return seen.raw(np.asarray(seen.selected(inputs).detach().cpu().numpy()), decoded=decoded)

    def asked(function: Callable[[Any], Any]) -> Callable[[Tensor], NDArray[Any]]:
        def ask(inputs: Tensor) -> NDArray[Any]:
            with without_feature_name_warnings():
                return np.asarray(function(rows(inputs)))

        return ask

    def decisions(answer: Any) -> NDArray[np.int64]:
        return np.searchsorted(classes, np.asarray(answer)).astype(np.int64)

    decide = asked(lambda raw: decisions(estimator.predict(raw)))
    methods: list[tuple[str, Outputs]] = [("predict_proba", "probabilities"), ("decision_function", "logits")]
    found: list[tuple[Callable[[Tensor], NDArray[Any]], Outputs]] = [
        (asked(getattr(estimator, name)), kind) for name, kind in methods if hasattr(estimator, name)
    ]
    if wanted.outputs != "auto":
        found = [(ask, kind) for ask, kind in found if kind == wanted.outputs]
        if not found and wanted.outputs != "labels":
            raise UsageError(f"a {type(estimator).__qualname__} gives no {wanted.outputs}")
    for ask, kind in found:
        made, notes = classifier(ask, wanted, differentiable=False, outputs=kind, classes=len(classes))
        if probe is None:
            return made, notes
        right = torch.from_numpy(decide(probe)).to(probe.device)
        scores = made.scores(probe)
        best = scores.max(1).values
        if bool((scores.gather(1, right[:, None])[:, 0] >= best).all()):
            return made, notes
    made, notes = classifier(decide, wanted, differentiable=False, outputs="labels", classes=len(classes))
    if found:
        notes = (*notes, "its scores contradict its decisions, so that attacks see its decisions only")
    return made, notes


def _decoded(estimator: Any, seen: Columns, probe: Tensor | None) -> tuple[bool, tuple[str, ...]]:
    """Whether an estimator takes categories as texts; where it does not, it was fitted on their numbers."""
    if not any(seen.categories):
        return False, ()
    if probe is not None:
        try:
            estimator.predict(seen.raw(seen.selected(probe).cpu().numpy(), decoded=True))
        except (ValueError, TypeError):
            return False, ("it takes no texts, and gets categories as numbers in the order of their names",)
    return True, ()


def _difference(original: Classifier, module: Classifier, estimator: Any, wanted: Wanted) -> str:
    """In what a module differs from the estimator that it was made of; empty if in nothing."""
    inputs = wanted.probe()
    if inputs is None:
        shape = (_RANDOM, int(estimator.n_features_in_))
        inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(wanted.device)
    was, now = original.scores(inputs), module.scores(inputs)
    top = was.topk(2, 1).values
    sure = top[:, 0] - top[:, 1] > _TOLERANCE * was.abs().amax(1).clamp(min=1)
    differ = int(((was.argmax(1) != now.argmax(1)) & sure).sum())
    if differ:
        return f"decides otherwise on {differ} of {len(inputs)} inputs"
    if original.outputs == "labels":
        return ""
    comparable = now.softmax(1) if original.outputs == "probabilities" else now
    far = float(((comparable - was).abs() / was.abs().clamp(min=1)).max())
    return "" if far <= 10 * _TOLERANCE else f"scores otherwise, by up to {far:.2g}"  # or by NaN
