"""A trigger that was planted in the model."""

import msgspec.structs

from garrison.robustness.backdoor import triggers
from garrison.robustness.evaluation.slices import class_name
from garrison.robustness.evaluation.stages.stage import Partial
from garrison.robustness.evaluation.working import UNASKED, Working

_INPUTS = 200
_CLASSES = 20
"""More classes than that take too long to search unless somebody asks for it."""


def applies(working: Working) -> str:
    if working.data.kind != "image":
        return UNASKED
    if working.classifier.counted:
        return "asking so much would spend the budget of queries"
    if working.classifier.classes > _CLASSES and working.request.effort != "thorough":
        return f"{working.classifier.classes} classes take long to search; --effort thorough does it"
    return ""


def run(working: Working, partial: Partial) -> None:
    """Fill the card's triggers."""
    found = triggers(
        working.classifier,
        working.inputs[:_INPUTS],
        working.labels[:_INPUTS],
        seed=working.request.seed,
        progress=working.clock.within,
    )
    working.add(
        "triggers",
        [msgspec.structs.replace(one, label=class_name(working.data, int(one.label))) for one in found],
    )
    if not found:
        working.omit("backdoor", "without gradients only solid patches were tried, and none worked")
