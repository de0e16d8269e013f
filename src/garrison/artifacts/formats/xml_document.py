"""XML documents that no other format claims: only what their declarations make a parser do.

Source: https://www.w3.org/TR/xml/
"""

from garrison.artifacts.wire import xml_events
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
    """Entities, external references and the outermost element's name."""
    root = ""
    for event in xml_events.events(source.reader, context, text=False):
        if isinstance(event, Anomaly | Reference):
            yield event
        elif not root and isinstance(event, xml_events.Start):
            root = event.name
            yield Artifact(format="xml", details={"root": root[:100]})
