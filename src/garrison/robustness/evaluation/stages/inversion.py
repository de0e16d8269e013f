"""What the model gives away of how its classes look."""

from garrison.robustness.evaluation.stages.stage import Partial
from garrison.robustness.evaluation.working import UNASKED, Working
from garrison.robustness.privacy import inversion


def applies(working: Working) -> str:
    if working.data.kind != "image":
        return UNASKED
    return "" if working.classifier.differentiable else "the model gives no gradients"


def run(working: Working, partial: Partial) -> None:
    """Fill the card's inversion."""
    working.add(
        "inversion",
        inversion.measure(working.classifier, working.data, seed=working.request.seed, progress=working.clock.within),
    )
