"""A classifier of texts as attacks see it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from garrison.core.errors import UsageError
from garrison.robustness.classifier import Outputs


@dataclass(eq=False)
class TextClassifier:
    """Scores for texts, from a function such as `predict_proba` of a pipeline, or the client of an endpoint."""

    function: Callable[[list[str]], object]
    """n texts -> (n, classes) scores; for `labels`, (n,) indices of classes."""
    classes: int
    outputs: Outputs = "probabilities"
    name: str = ""
    class_names: tuple[str, ...] = ()
    """What the model calls its classes, in the order of its scores; empty where it does not say."""
    asked: int = field(default=0, init=False)
    """Texts that were passed since the start."""

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Scores (n, classes); of labels, ones at the decisions. Raises `UsageError` for answers of another shape."""
        self.asked += len(texts)
        answer = np.asarray(self.function(list(texts)))
        if self.outputs == "labels":
            if answer.shape != (len(texts),) or answer.dtype.kind not in "iu":
                raise UsageError(f"the classifier gave {answer.dtype} {answer.shape}, not {len(texts)} whole numbers")
            if len(answer) and not 0 <= answer.min() <= answer.max() < self.classes:
                raise UsageError(f"the classifier gave a class beyond 0 to {self.classes - 1}")
            return np.asarray(np.eye(self.classes)[answer])
        if answer.shape != (len(texts), self.classes) or answer.dtype.kind not in "fiu":
            expected = (len(texts), self.classes)
            raise UsageError(f"the classifier gave {answer.dtype} {answer.shape}, not numbers of shape {expected}")
        return answer.astype(np.float64)

    def behind(self, clean_up: Callable[[str], str]) -> "TextClassifier":
        """The same with a clean-up of its input in front; what it is asked counts here too."""
        name = f"{self.name} behind a clean-up".strip()
        return TextClassifier(lambda texts: self._through(clean_up, texts), self.classes, self.outputs, name)

    def _through(self, clean_up: Callable[[str], str], texts: list[str]) -> object:
        self.asked += len(texts)
        return self.function([clean_up(text) for text in texts])
