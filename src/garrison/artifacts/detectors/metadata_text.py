"""Judges program text in the metadata of weights: nothing runs it by itself, and no honest author writes it there."""

from collections.abc import Iterator, Sequence

from garrison.artifacts.knowledge import metadata_text as knowledge
from garrison.artifacts.metadata_text import FORM
from garrison.core.facts import EmbeddedCode, Examination
from garrison.core.findings import Finding
from garrison.core.judgement import finding
from garrison.core.policy import Policy


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding]:
    """One finding for each place and deed."""
    for examination in examinations:
        seen: set[tuple[str, tuple[str, ...]]] = set()
        for fact in examination.facts:
            if type(fact) is EmbeddedCode and fact.form == FORM and (fact.place, fact.names) not in seen:
                seen.add((fact.place, fact.names))
                does = ", ".join(knowledge.does(name) for name in fact.names)
                message = f"{fact.language} text that {does}: {fact.excerpt!r}"
                yield finding("code-in-metadata", examination.subject, fact.place, message)
