"""Anomalies name their rule themselves: each becomes a finding of that rule."""

from collections.abc import Iterator, Sequence

from garrison.core.facts import Anomaly, Examination
from garrison.core.findings import Finding
from garrison.core.judgement import finding
from garrison.core.policy import Policy


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding]:
    """One finding for each anomaly."""
    for examination in examinations:
        for fact in examination.facts:
            if type(fact) is Anomaly:
                yield finding(fact.what, examination.subject, fact.place, fact.detail)
