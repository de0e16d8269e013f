"""Jinja templates: chat templates above all."""

import re

from garrison.core.errors import LimitExceeded
from garrison.core.facts import Artifact
from garrison.sources.source import Context, Extracted, Source

_ENDINGS = (".jinja", ".jinja2", ".j2")
_OTHER_ENDINGS = (".template", ".tmpl")
_PARSED = 1 << 18
_PAGES = (".md", ".markdown", ".rst", ".adoc")
_STATEMENT = re.compile(rb"\{%-?\s*(?:for|if|set|macro|include|import|from|extends|block|call|filter|with|raw|do)\b")


def sniff(source: Source) -> bool:
    """A template's name, since loaders go by that; or text with Jinja statements that is no other document."""
    name = source.name.lower()
    if name.endswith(_ENDINGS):
        return True
    if name.endswith((".py", ".pyi")) or _is_page(name):
        return False
    head = source.reader.pread(0, 1 << 16)
    named = name.endswith(_OTHER_ENDINGS) and b"{{" in head
    if not named and not _STATEMENT.search(head):
        return False
    from garrison.artifacts.formats import json_document, yaml_document

    if json_document.sniff(source) or yaml_document.sniff(source):
        return False
    return b"{%" in head or not _is_of_another_language(source)


def _is_of_another_language(source: Source) -> bool:
    """Whether a file of a common ending has doubled braces that are not Jinja's, such as C for `str.format`."""
    if source.reader.size > _PARSED:
        return False
    from garrison.artifacts.jinja_reach import template

    text = source.reader.whole(_PARSED).decode("utf-8", "replace")
    problem: str = template(source.name, text).problem
    return problem.startswith("TemplateSyntaxError")


def _is_page(name: str) -> bool:
    """Pages quote templates, which nothing renders, unless the name says that the page is one itself."""
    last = name.rpartition("/")[2]
    return last.endswith(_PAGES) and "template" not in last and "prompt" not in last


def extract(source: Source, context: Context) -> Extracted:
    """What the template reaches."""
    # The sniffer is asked for every text, and Jinja's parser takes longer to import than most texts to be examined.
    from garrison.artifacts.jinja_reach import TOO_DEEP, template

    text = source.reader.whole(context.limits.buffer).decode("utf-8", "replace")
    yield Artifact(format="jinja")
    fact = template(source.name, text)
    yield fact
    if fact.problem == TOO_DEEP:
        raise LimitExceeded("depth", "the template is nested too deep to be parsed")
