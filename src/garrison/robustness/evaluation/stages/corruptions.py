"""Damage that nobody intended."""

from garrison.robustness import corruptions
from garrison.robustness.evaluation.stages.stage import Partial
from garrison.robustness.evaluation.working import UNASKED, Working


def applies(working: Working) -> str:
    if working.data.kind != "image":
        return UNASKED
    return "asking so much would spend the budget of queries" if working.classifier.counted else ""


def run(working: Working, partial: Partial) -> None:
    """Fill the card's corruptions."""
    count = working.plan.effort.stage_inputs
    working.add(
        "corruptions",
        corruptions.measure(
            working.classifier,
            working.inputs[:count].cpu().numpy(),
            working.labels[:count].cpu().numpy(),
            seed=working.request.seed,
            progress=working.clock.within,
        ),
    )
