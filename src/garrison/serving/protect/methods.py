"""Ways to answer less, on NumPy arrays: those of `garrison.robustness.privacy.defences`, which measures what they cost.

All take and give float64. None but noise changes a decision.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_TINY = 1e-6


def softmax(logits: Floats) -> Floats:
    """Probabilities (..., classes) of logits."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    found: Floats = powers / powers.sum(-1, keepdims=True)
    return found


def shortened(values: Floats, digits: int, *, down: bool) -> Floats:
    """Numbers with so many decimal digits, to the nearest (halves to even ones) or down."""
    scale = 10.0**digits
    found: Floats = (np.floor(values * scale) if down else np.round(values * scale)) / scale
    return found


def top(soft: Floats, count: int) -> Floats:
    """The probabilities (..., classes) of the most likely classes only, the rest shared evenly by the others."""
    classes = soft.shape[-1]
    if count >= classes:
        return soft
    kept = np.argsort(-soft, -1, kind="stable")[..., :count]
    values = np.take_along_axis(soft, kept, -1)
    rest = np.clip(1 - values.sum(-1, keepdims=True), 0, None) / (classes - count)
    # Evenly shared, but never more than what was shown.
    found = np.broadcast_to(np.minimum(rest, values[..., -1:]), soft.shape).copy()
    np.put_along_axis(found, kept, values, -1)
    return found


def labels(soft: Floats) -> Floats:
    """One at the decision (..., classes)."""
    found: Floats = (np.arange(soft.shape[-1]) == soft.argmax(-1)[..., None]).astype(np.float64)
    return found


def noised(soft: Floats, noise: Floats) -> Floats:
    """Probabilities (..., classes) with noise of the same shape on their logarithms."""
    return softmax(np.log(np.clip(soft, _TINY, None)) + noise)


def deciding(soft: Floats, answer: Floats) -> Floats:
    """The answer (..., classes), with a nudge where it would decide otherwise."""
    decision = soft.argmax(-1)
    lost = answer.argmax(-1) != decision
    if lost.any():
        answer = answer.copy()
        answer[(*np.nonzero(lost), decision[lost])] = answer[lost].max(-1) + _TINY
    return answer


def noised_each(chances: Floats, noise: Floats) -> Floats:
    """As `noised`, for probabilities of yes and no: two classes each, with noise on both."""
    sure = np.clip(chances, _TINY, 1 - _TINY)
    found: Floats = 1 / (1 + np.exp(-(np.log(sure / (1 - sure)) + np.sqrt(2.0) * noise)))
    return found


def labels_each(chances: Floats) -> Floats:
    """One where yes is likelier than no, or as likely."""
    return (chances >= 0.5).astype(np.float64)


def deciding_each(chances: Floats, answer: Floats) -> Floats:
    """The answer, with a nudge where it lies on the other side of one half, or no longer on any."""
    answer = np.where((chances > 0.5) & (answer <= 0.5), 0.5 + _TINY, answer)
    return np.where((chances < 0.5) & (answer >= 0.5), 0.5 - _TINY, answer)
