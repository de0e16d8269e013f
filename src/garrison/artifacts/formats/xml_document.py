"""XML documents that are no models: only what a parser would fetch or expand because they say so.

Drawings, manuals and settings declare entities and document types honestly, so only those that lead elsewhere or
multiply are stated.

Source: https://www.w3.org/TR/xml/
"""

from garrison.artifacts.wire import xml_events
from garrison.core.errors import Malformed
from garrison.core.facts import Anomaly, Artifact, Reference
from garrison.sources.source import Context, Extracted, Source


def sniff(source: Source) -> bool:
    """An XML declaration or a document type, and an outermost element; HTML is none."""
    head = source.reader.pread(0, 64)
    utf16 = head.startswith((b"\xff\xfe<\0", b"\xfe\xff\0<"))
    if not utf16 and not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<?xml", b"<!DOCTYPE")):
        return False
    return xml_events.root(source.reader).lower() not in ("", "html")


def extract(source: Source, context: Context) -> Extracted:
    """Entities that multiply or stand for something elsewhere, inclusions, and the outermost element's name."""
    root = xml_events.root(source.reader)
    yield Artifact(format="xml", details={"root": root[:100]})
    declared = False
    try:
        for event in xml_events.events(source.reader, context, text=False):
            if isinstance(event, Reference) and event.role in ("entity", "inclusion"):
                yield event
            elif isinstance(event, Anomaly):
                declared = True
                if event.what == "xml-nested-entity":
                    yield event
    except Malformed:
        # What follows declarations is not read, since it would have to be expanded.
        if not declared:
            raise
