"""Anomalies name their rule themselves: each becomes a finding of that rule."""

from collections.abc import Iterator, Sequence

from garrison.core.facts import Anomaly, Examination
from garrison.core.findings import Finding
from garrison.core.judgement import finding
from garrison.core.policy import Policy
from garrison.core.registry import formats


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding]:
    """One finding for each anomaly."""
    known = formats()
    for examination in examinations:
        packed = any(name in known and known[name].ends_in_zip for name in examination.formats)
        for fact in examination.facts:
            if type(fact) is Anomaly and not (packed and fact.what == "prefixed-data"):
                yield finding(fact.what, examination.subject, fact.place, fact.detail)
