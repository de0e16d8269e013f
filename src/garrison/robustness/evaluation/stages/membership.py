"""Who was in the training set."""

from garrison.robustness.evaluation.stages.stage import Partial
from garrison.robustness.evaluation.working import UNASKED, Working
from garrison.robustness.privacy import membership


def applies(working: Working) -> str:
    if working.request.members is None:
        return "no training data were given (--members)"
    if working.data.kind == "text":
        return UNASKED
    return "asking so much would spend the budget of queries" if working.classifier.counted else ""


def run(working: Working, partial: Partial) -> None:
    """Fill the card's membership inference."""
    assert working.request.members is not None
    working.add(
        "inference",
        membership.measure(
            working.classifier,
            working.request.members,
            working.data,
            model=working.model,
            shadows=working.plan.effort.shadows,
            seed=working.request.seed,
            progress=working.clock.within,
        ),
    )
