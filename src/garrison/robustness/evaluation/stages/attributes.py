"""What the model tells of one attribute of a record, to somebody who knows the others."""

from garrison.core.errors import UsageError
from garrison.robustness.evaluation.stages.stage import Partial
from garrison.robustness.evaluation.working import UNASKED, Working
from garrison.robustness.privacy import attributes


def applies(working: Working) -> str:
    if not working.request.attribute:
        return UNASKED
    if working.data.kind != "table":
        return "an attribute is a column of a table"
    return "asking so much would spend the budget of queries" if working.classifier.counted else ""


def run(working: Working, partial: Partial) -> None:
    """Add to the card's inference."""
    name = working.request.attribute
    # One-hot columns are named after their attribute, as encoders name them.
    columns = [
        place
        for place, feature in enumerate(working.data.features)
        if feature == name or feature.startswith((f"{name}_", f"{name}="))
    ]
    if not columns:
        raise UsageError(f"the data have no column {name!r}")
    working.add(
        "inference",
        attributes.measure(
            working.classifier,
            working.request.members or working.data,
            columns=columns,
            name=name,
            seed=working.request.seed,
            progress=working.clock.within,
        ),
    )
