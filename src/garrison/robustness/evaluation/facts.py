"""A card as facts, for the detectors and the report that every examination ends in."""

from garrison.core.facts import Artifact, Doubt, Examination, Measurement, SuspectedTrigger
from garrison.core.robustness_card import Card
from garrison.core.robustness_measurements import measurements


def examination(card: Card) -> Examination:
    """What a card says of its model."""
    model = card.model
    details: dict[str, str | int | float | bool] = {"classes": model.classes, "outputs": model.outputs}
    if model.parameters is not None:
        details["parameters"] = model.parameters
    return Examination(
        subject=model.name,
        formats=[model.format] if model.format else [],
        facts=[
            Artifact(format=model.format, details=details),
            *(
                Measurement(
                    name=one.name,
                    value=one.value,
                    samples=one.samples,
                    lower=one.low,
                    upper=one.high,
                    attack=one.attack,
                    norm=one.norm or "",
                    epsilon=one.epsilon,
                )
                for one in measurements(card)
            ),
            *(
                Doubt(check=check.name, seen=check.seen, advice=check.advice)
                for check in card.checks
                if check.verdict == "failed"
            ),
            *(
                SuspectedTrigger(label=one.label, success=one.success, anomaly_index=one.anomaly_index)
                for one in card.triggers
                if one.suspected
            ),
        ],
        state="examined" if card.complete else "partial",
        reason="" if card.complete else "the attack was stopped before its end",
    )
