"""Classifiers of texts: pipelines of scikit-learn that begin with the texts themselves."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from garrison.core.errors import UsageError, first_line
from garrison.robustness.models.built import PROBES
from garrison.robustness.models.estimators import class_names
from garrison.robustness.text.classifier import TextClassifier

if TYPE_CHECKING:
    from garrison.robustness.classifier import Outputs


def of_text_estimator(estimator: Any, texts: Sequence[str], name: str = "") -> TextClassifier:
    """A fitted pipeline, asked about `texts` once: its scores are used if the highest is always its decision.

    Raises `UsageError` for what is no fitted classifier of one label, or does not take texts.
    """
    names = class_names(estimator)
    known = np.asarray(estimator.classes_)
    asked = list(texts[:PROBES])

    def decided(given: Sequence[str]) -> NDArray[np.int64]:
        return np.searchsorted(known, np.asarray(estimator.predict(list(given))))

    def probabilities(given: Sequence[str]) -> NDArray[np.float64]:
        return np.asarray(estimator.predict_proba(list(given)), dtype=np.float64)

    def decisions(given: Sequence[str]) -> NDArray[np.float64]:
        found = np.asarray(estimator.decision_function(list(given)), dtype=np.float64)
        return found if found.ndim == 2 else np.stack([np.zeros_like(found), found], 1)

    try:
        right = decided(asked)
        ways: list[tuple[str, Callable[[Sequence[str]], NDArray[np.float64]], Outputs]] = [
            ("predict_proba", probabilities, "probabilities"),
            ("decision_function", decisions, "logits"),
        ]
        for method, scores, outputs in ways:
            if hasattr(estimator, method) and (scores(asked).argmax(1) == right).all():
                return TextClassifier(scores, len(names), outputs, name, names)
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"the model does not take texts: {first_line(error)}") from None
    return TextClassifier(decided, len(names), "labels", name, names)
