"""Classifiers of texts: pipelines of scikit-learn that begin with the texts themselves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from garrison.core.errors import UsageError, first_line
from garrison.robustness.classifier import Outputs
from garrison.robustness.models.built import PROBES
from garrison.robustness.models.estimators import class_names


@dataclass(frozen=True, eq=False)
class TextClassifier:
    """Scores of texts."""

    scores: Callable[[Sequence[str]], NDArray[np.float64]]
    """n texts -> (n, classes); for `labels`, ones at the decisions."""
    outputs: Outputs
    class_names: tuple[str, ...]
    """What the model calls its classes, in the order of its scores."""

    def labels(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Decisions (n,)."""
        return np.asarray(self.scores(texts).argmax(1), dtype=np.int64)


def of_text_estimator(estimator: Any, texts: Sequence[str]) -> TextClassifier:
    """A fitted pipeline, asked about `texts` once: its scores are used if the highest is always its decision.

    Raises `UsageError` for what is no fitted classifier of one label, or does not take texts.
    """
    names = class_names(estimator)
    known = np.asarray(estimator.classes_)
    asked = list(texts[:PROBES])

    def decided(given: Sequence[str]) -> NDArray[np.float64]:
        return np.eye(len(names))[np.searchsorted(known, np.asarray(estimator.predict(list(given))))]

    def probabilities(given: Sequence[str]) -> NDArray[np.float64]:
        return np.asarray(estimator.predict_proba(list(given)), dtype=np.float64)

    def decisions(given: Sequence[str]) -> NDArray[np.float64]:
        found = np.asarray(estimator.decision_function(list(given)), dtype=np.float64)
        return found if found.ndim == 2 else np.stack([np.zeros_like(found), found], 1)

    try:
        right = decided(asked).argmax(1)
        ways: list[tuple[str, Callable[[Sequence[str]], NDArray[np.float64]], Outputs]] = [
            ("predict_proba", probabilities, "probabilities"),
            ("decision_function", decisions, "logits"),
        ]
        for name, scores, outputs in ways:
            if hasattr(estimator, name) and (scores(asked).argmax(1) == right).all():
                return TextClassifier(scores, outputs, names)
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"the model does not take texts: {first_line(error)}") from None
    return TextClassifier(decided, "labels", names)
