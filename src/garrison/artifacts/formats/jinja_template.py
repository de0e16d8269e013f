"""Jinja templates: chat templates above all."""

import re

from garrison.artifacts.jinja_reach import template
from garrison.core.facts import Artifact
from garrison.sources.source import Context, Extracted, Source

_ENDINGS = (".jinja", ".jinja2", ".j2", ".template", ".tmpl")
_STATEMENT = re.compile(rb"\{%-?\s*(?:for|if|set|macro|include|import|from|extends|block|call|filter|with|raw|do)\b")


def sniff(source: Source) -> bool:
    """Text with Jinja statements, or with expressions under a template's name."""
    head = source.reader.pread(0, 1 << 16)
    if _STATEMENT.search(head):
        return True
    return source.name.lower().endswith(_ENDINGS) and b"{{" in head


def extract(source: Source, context: Context) -> Extracted:
    """What the template reaches."""
    text = source.reader.whole(context.limits.buffer).decode("utf-8", "replace")
    yield Artifact(format="jinja")
    yield template(source.name, text)
