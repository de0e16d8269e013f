"""Texts that weights carry as metadata: templates among them, and program text that has no honest use there.

Nothing runs these texts by itself, so program text is stated as carried. What is looked for, and why, is in
`knowledge/metadata_text.json`; each expression names a deed, since licences, prompts, training commands and settings
are full of words that programs have too.
"""

import re
from collections.abc import Iterable, Iterator

from garrison.artifacts.knowledge import metadata_text as knowledge
from garrison.core.facts import EmbeddedCode
from garrison.sources.source import Context, Extracted, Source

FORM = "metadata text"
_SEARCHED = 1 << 18
_TEMPLATES = 200
_STATEMENT = re.compile(r"\{%-?\s*(?:for|if|set|macro|include|import|from|extends|block|call|filter|with|raw|do)\b")
_EXPRESSION = re.compile(r"\{\{.{1,2000}?\}\}", re.DOTALL)


def read(source: Source, context: Context, texts: Iterable[tuple[str, str]]) -> Extracted:
    """Facts about texts, each with the place where it stands; templates are yielded to be followed."""
    templates = 0
    for place, text in texts:
        context.check_time()
        if is_template(text) and templates < _TEMPLATES:
            templates += 1
            yield source.member(place, text.encode("utf-8", "replace"), loaded_as=("jinja",))
        else:
            yield from program(place, text)


def is_template(text: str) -> bool:
    """Whether a text is meant for Jinja: a statement, or an expression that reaches into something."""
    if _STATEMENT.search(text):
        return True
    found = _EXPRESSION.search(text)
    return found is not None and any(mark in found[0] for mark in "._([|")


def program(place: str, text: str) -> Iterator[EmbeddedCode]:
    """The deeds that a text has no honest use for."""
    for pattern in knowledge.patterns():
        found = knowledge.expression(pattern.expression).search(text[:_SEARCHED])
        if found is not None:
            excerpt = text[max(found.start() - 40, 0) : found.end() + 80][:300]
            yield EmbeddedCode(
                language=pattern.language,
                form=FORM,
                trigger="carried",
                names=(pattern.id,),
                excerpt=excerpt,
                place=place[:300],
            )
