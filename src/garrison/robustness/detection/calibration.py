"""Thresholds from benign inputs that the detector has not seen, with what they promise.

The threshold is an order statistic of the benign scores (split conformal prediction: Vovk, Gammerman and Shafer 2005;
Lei et al. 2018, section 2.2). Whatever the detector and whatever the inputs, if benign inputs later come from where
the calibrating ones came from, then at most the budget of them is flagged, on average over calibrations. For one
calibration the share is a random number, Beta distributed (Vovk 2012, proposition 2a), so its 95 % bound is given too.
"""

import math
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from garrison.core.errors import UsageError

Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """From which score on an input is flagged, and what that promises."""

    threshold: float
    """Flagged is what scores higher."""
    false_positives: Share
    """The budget: the most benign inputs that are flagged, on average over calibrations."""
    count: Annotated[int, msgspec.Meta(ge=1)]
    """Benign inputs that it was calibrated with."""
    bound: Share
    """The share of benign inputs that are flagged is below this with 95 % confidence, given this calibration."""


def needed(false_positives: float) -> int:
    """How many benign inputs a budget takes at the least."""
    return math.ceil(1 / false_positives - 1e-9) - 1


def calibrated(benign: NDArray[np.floating], false_positives: float) -> Calibration:
    """The threshold for a budget from benign scores (n,).

    Raises `UsageError` for a budget that is no share, for too few scores and for scores that are not finite.
    """
    if not 0 < false_positives < 1:
        raise UsageError(f"{false_positives:g} is no share of false positives; it lies between 0 and 1, such as 0.01")
    scores = np.sort(np.asarray(benign, dtype=np.float64).ravel())
    if not np.isfinite(scores).all():
        raise UsageError("the detector gives scores that are not finite for benign inputs: look for NaN in the data")
    count = len(scores)
    rank = math.ceil((count + 1) * (1 - false_positives) - 1e-9)
    if rank > count:
        raise UsageError(
            f"{count:,} benign inputs cannot show {false_positives:.3g} false positives; that takes "
            f"{needed(false_positives):,} at the least, {needed(false_positives) - count:,} more"
        )
    from scipy.special import betaincinv  # type: ignore[import-untyped,unused-ignore]

    return Calibration(
        threshold=float(scores[rank - 1]),
        false_positives=false_positives,
        count=count,
        bound=float(betaincinv(count + 1 - rank, rank, 0.95)),
    )


def flagged(scores: NDArray[np.floating], threshold: float) -> NDArray[np.bool_]:
    """Whether each score is beyond the threshold; what is not a number is."""
    return ~(scores <= threshold)


def p_values(scores: NDArray[np.floating], benign: NDArray[np.floating]) -> NDArray[np.float64]:
    """The share of benign inputs, this one among them, that score as high: (n,) against (m,) in ascending order."""
    below = np.searchsorted(benign, scores, side="left")  # what is not a number sorts last
    return np.asarray((len(benign) - below + 1) / (len(benign) + 1), dtype=np.float64)
