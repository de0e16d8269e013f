"""Jinja templates: chat templates above all."""

import re

from garrison.artifacts.jinja_reach import template
from garrison.core.facts import Artifact
from garrison.sources.source import Context, Extracted, Source

_ENDINGS = (".jinja", ".jinja2", ".j2")
_OTHER_ENDINGS = (".template", ".tmpl")
_STATEMENT = re.compile(rb"\{%-?\s*(?:for|if|set|macro|include|import|from|extends|block|call|filter|with|raw|do)\b")


def sniff(source: Source) -> bool:
    """A template's name, since loaders go by that; or text with Jinja statements that is no other document."""
    if source.name.lower().endswith(_ENDINGS):
        return True
    if source.name.lower().endswith((".py", ".pyi")):
        return False
    head = source.reader.pread(0, 1 << 16)
    named = source.name.lower().endswith(_OTHER_ENDINGS) and b"{{" in head
    if not named and not _STATEMENT.search(head):
        return False
    from garrison.artifacts.formats import json_document, yaml_document

    return not json_document.sniff(source) and not yaml_document.sniff(source)


def extract(source: Source, context: Context) -> Extracted:
    """What the template reaches."""
    text = source.reader.whole(context.limits.buffer).decode("utf-8", "replace")
    yield Artifact(format="jinja")
    yield template(source.name, text)
