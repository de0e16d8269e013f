"""A rule, prepared once: tensors as the server gave them go in, and what these callers may know comes out."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from garrison.core.errors import UsageError
from garrison.serving.protect import methods
from garrison.serving.protect.methods import Floats
from garrison.serving.protect.noise import KeyedNoise
from garrison.serving.protect.settings import Rule
from garrison.serving.tensors.datatypes import DTYPES
from garrison.serving.tensors.tensor import Tensor

_FLOATS = frozenset({"FP16", "FP32", "FP64", "BF16"})
_LABELS = frozenset(DTYPES) - _FLOATS - {"BYTES"}
_SUM = 0.02
"""How far probabilities of one row may be from one together; half precision errs by less."""

Draw = Callable[[int, int], NDArray[np.float64]]


class Protection:
    """What a rule makes of outputs."""

    def __init__(self, rule: Rule, noise: KeyedNoise | None) -> None:
        """Raises `UsageError` for a rule that says nothing, or says what cannot be."""
        acts = rule.labels_only or bool(rule.noise) or bool(rule.top) or rule.digits is not None
        if acts == rule.unchanged:
            raise UsageError("a rule says how answers are protected, or `unchanged = true`")
        if rule.labels_only and (rule.noise or rule.top or rule.digits is not None):
            raise UsageError("with labels-only there is nothing left for noise, top and digits")
        if rule.scores == "numbers" and rule.labels_only:
            raise UsageError("numbers that decide nothing have no labels")
        if rule.top and rule.scores in ("numbers", "independent"):
            raise UsageError("top is for the probabilities of classes")
        if rule.noise and noise is None:
            raise UsageError("noise takes a key")
        self.unchanged = rule.unchanged
        self._rule = rule
        self._noise = noise
        self._outputs = frozenset(rule.outputs)
        self._as_they_are = frozenset(rule.as_they_are)

    def given(self, outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """What is given of outputs, without parameters. Raises `ValueError` for scores that are none."""
        found = []
        for tensor in outputs:
            if self._holds_scores(tensor):
                found.append(self._protected(tensor, inputs))
            elif tensor.name in self._as_they_are or (not self._outputs and tensor.datatype in _LABELS):
                found.append(Tensor(tensor.name, tensor.datatype, tensor.shape, tensor.data, {}))
        return tuple(found)

    def _holds_scores(self, tensor: Tensor) -> bool:
        if self._outputs:
            return tensor.name in self._outputs
        return tensor.datatype in _FLOATS and tensor.name not in self._as_they_are

    def _protected(self, tensor: Tensor, inputs: Sequence[Tensor]) -> Tensor:
        rule = self._rule
        if tensor.datatype == "BYTES":
            raise ValueError("texts are no scores")
        if not tensor.data.size:
            return Tensor(tensor.name, tensor.datatype, tensor.shape, tensor.data, {})
        values = _wide(tensor)
        classes = rule.scores in ("probabilities", "logits")
        if classes and values.ndim > 1 and not -values.ndim <= rule.axis < values.ndim:
            raise ValueError("there is no such axis")
        if classes and values.ndim > 1 and values.shape[rule.axis] > 1:
            last = rule.axis in (-1, values.ndim - 1)
            answer = self._of_classes(values if last else np.moveaxis(values, rule.axis, -1), inputs)
            held = _narrow(answer, tensor.datatype, decides=True)
            held = held if last else np.moveaxis(held, -1, rule.axis)
        else:
            held = _narrow(self._of_each(values, inputs), tensor.datatype, decides=False)
        # What came as whole numbers, in a protocol without datatypes, need not stay so.
        datatype = tensor.datatype if tensor.datatype in _FLOATS else "FP64"
        return Tensor(tensor.name, datatype, tensor.shape, held, {})

    def _of_classes(self, values: Floats, inputs: Sequence[Tensor]) -> Floats:
        rule = self._rule
        soft = methods.softmax(values) if rule.scores == "logits" else values
        if not np.isfinite(soft).all():
            raise ValueError("scores are not finite")
        if (rule.noise or rule.top) and (soft.min() < -_SUM or (np.abs(soft.sum(-1) - 1) > _SUM).any()):
            raise ValueError("scores are no probabilities")
        if rule.labels_only:
            return methods.labels(soft)
        if rule.noise:
            soft = methods.noised(soft, self._drawn(soft, inputs))
        answer = methods.top(soft, rule.top) if rule.top else soft
        if rule.digits is not None:
            answer = methods.shortened(answer, rule.digits, down=rule.rounding == "down")
        return methods.deciding(soft, answer)

    def _of_each(self, values: Floats, inputs: Sequence[Tensor]) -> Floats:
        rule = self._rule
        if rule.scores == "numbers":
            if rule.noise:
                values = values + self._drawn(values, inputs)
            if rule.digits is None:
                return values
            return methods.shortened(values, rule.digits, down=rule.rounding == "down")
        chances = 1 / (1 + np.exp(-values)) if rule.scores == "logits" else values
        if not (np.isfinite(chances).all() and chances.min() >= 0 and chances.max() <= 1):
            raise ValueError("scores are no probabilities")
        if rule.top:
            raise ValueError("there are no classes to choose from")
        if rule.labels_only:
            return methods.labels_each(chances)
        if rule.noise:
            chances = methods.noised_each(chances, self._drawn(chances, inputs))
        if rule.digits is None:
            return chances
        answer = methods.shortened(chances, rule.digits, down=rule.rounding == "down")
        return methods.deciding_each(chances, answer)

    def _drawn(self, values: Floats, inputs: Sequence[Tensor]) -> Floats:
        assert self._noise is not None
        rows = values.shape[0] if values.ndim else 1
        drawn = self._noise.normal(inputs, rows, values.size // rows)
        found: Floats = self._rule.noise * drawn.reshape(values.shape)
        return found


def _wide(tensor: Tensor) -> Floats:
    data = tensor.data
    if tensor.datatype == "BF16":
        data = (data.astype(np.uint32) << 16).view(np.float32)
    return data.astype(np.float64)


def _narrow(answer: Floats, datatype: str, *, decides: bool) -> NDArray[Any]:
    """Scores in the datatype of their output; a decision (along the last axis) outlives its precision."""
    if datatype == "BF16":
        bits = answer.astype(np.float32).view(np.uint32)
        held: NDArray[Any] = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
    else:
        held = answer.astype(DTYPES[datatype] if datatype in _FLOATS else np.float64)
    if decides and held.dtype != np.float64:
        decision = answer.argmax(-1)
        lost = held.argmax(-1) != decision
        if lost.any():
            above = _above(held)
            held[(*np.nonzero(lost), decision[lost])] = above[lost].max(-1)
    return held


def _above(held: NDArray[Any]) -> NDArray[Any]:
    """The next numbers."""
    if held.dtype == np.uint16:
        return held + np.uint16(1)  # the bits of positive numbers are in the order of the numbers
    found: NDArray[Any] = np.nextafter(held, np.array(np.inf, held.dtype))
    return found
