"""What a copy of the model costs."""

from garrison.robustness.evaluation.stages.stage import Partial
from garrison.robustness.evaluation.working import Working
from garrison.robustness.privacy import extraction


def applies(working: Working) -> str:
    return "asking so much would spend the budget of queries" if working.classifier.counted else ""


def run(working: Working, partial: Partial) -> None:
    """Fill the card's extraction, with a curve for each strategy."""
    rows, curves = extraction.measure(
        working.classifier,
        working.data,
        model=working.model,
        queries=working.plan.effort.extraction_queries,
        seed=working.request.seed,
        progress=working.clock.within,
    )
    working.add("extraction", rows)
    working.add("curves", curves)
