"""Judges credentials: whoever gets the artifact gets what they open."""

import functools
import re
from collections.abc import Iterator, Sequence

from garrison.artifacts.secrets import shapes
from garrison.core.facts import Examination, Secret
from garrison.core.findings import Finding, Severity
from garrison.core.judgement import finding
from garrison.core.policy import Policy

_FOR_SHOW = re.compile(
    r"(?:^|/)(?:tests?|testing|testdata|test_data|fixtures?|examples?|samples?|docs?)/|"
    r"(?:^|/)(?:test_[^/]*|[^/]*_test)\.\w+$"
)
"""Where projects keep credentials that open nothing."""


@functools.cache
def _doubtful() -> frozenset[str]:
    return frozenset(shape.what for shape in shapes() if shape.doubtful)


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding]:
    """One finding for each credential."""
    for examination in examinations:
        for fact in examination.facts:
            if type(fact) is Secret:
                severity = Severity.MEDIUM if fact.what in _doubtful() else Severity.HIGH
                if _FOR_SHOW.search(examination.subject):
                    severity = Severity.LOW
                if fact.hidden:
                    rule, message = "deleted-secret", f"{fact.what} is in a lower layer: {fact.masked}; {fact.hidden}"
                else:
                    rule, message = "secret", f"{fact.what} is written here: {fact.masked}"
                yield finding(rule, examination.subject, fact.place, message, severity=severity)
