"""Says what was resolved, for which environment and when, and what was not."""

from collections.abc import Iterator, Sequence

from garrison.core.facts import Examination, Setting
from garrison.core.findings import Check
from garrison.core.policy import Policy


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Check]:
    """How many of the manifests that leave versions open were resolved; nothing where nobody tried."""
    tried = [
        fact
        for examination in examinations
        for fact in examination.facts
        if type(fact) is Setting and fact.topic == "resolution"
    ]
    if tried:
        done = [fact for fact in tried if fact.state == "value"]
        failed = [f"{fact.name}: {fact.value}" for fact in tried if fact.state != "value"]
        yield Check(
            name="open requirements, resolved",
            checked=len(done),
            total=len(tried),
            data="; ".join(f"{fact.name}: {fact.value}" for fact in done[:3]),
            reason="; ".join(failed[:3]),
            gap=bool(failed),
        )
