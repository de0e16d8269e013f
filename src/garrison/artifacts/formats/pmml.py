"""PMML: models of statistics and trees in XML, with expressions and functions.

Sources: https://dmg.org/pmml/v4-4-1/GeneralStructure.html and .../Functions.html; `FunctionRegistry` of
JPMML-Evaluator, which loads a Java class where a function's name has the form of one.
"""

import re

from garrison.artifacts.wire import xml_events
from garrison.core.facts import Anomaly, Artifact, Reference
from garrison.sources.source import Context, Extracted, Source

_Details = dict[str, str | int | float | bool]
_SHOWN = 200
_EXTENSIONS = 50
_CLASS = re.compile(r"[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)+").fullmatch
_ADDRESS = re.compile(r"\b(?:https?|ftp|file|jar|jndi|ldap|rmi)://|\bjavascript:|\bjar:file:", re.IGNORECASE).search
_PROGRAM = re.compile(
    r"<script\b|\bRuntime\.getRuntime\b|\bProcessBuilder\b|\bjava\.lang\.|\b__import__\s*\(|\bos\.(?:system|popen)\b|"
    r"\bsubprocess\.|\b(?:eval|exec)\s*\(|/bin/(?:ba)?sh\b|\bpowershell\b|\bcmd(?:\.exe)?\s+/c\b",
    re.IGNORECASE,
).search


def sniff(source: Source) -> bool:
    """An XML document whose outermost element is `PMML`."""
    return xml_events.root(source.reader).upper() == "PMML"


def extract(source: Source, context: Context) -> Extracted:
    """What the document says of itself, the classes its functions name, and what its extensions carry.

    Raises `Malformed` and `LimitExceeded`.
    """
    details: _Details = {}
    yield Artifact(format="pmml", details=details)
    reading = _Reading(details)
    for event in xml_events.events(source.reader, context):
        if isinstance(event, Anomaly | Reference):
            yield event
        elif isinstance(event, xml_events.Start):
            yield from reading.start(event)
        elif isinstance(event, xml_events.Text):
            yield from reading.text(event)
        else:
            reading.end(event)


class _Reading:
    """What was seen of a document so far."""

    def __init__(self, details: _Details) -> None:
        self._details = details
        self._models: list[str] = []
        self._classes: set[str] = set()
        self._extension = 0
        """The depth of the outermost extension that is open."""
        self._stated = 0

    def start(self, event: xml_events.Start) -> Extracted:
        name = xml_events.local(event.name)
        attributes = event.attributes
        if event.depth == 1:
            self._details["version"] = attributes.get("version", "")[:_SHOWN]
        elif name == "Application" and "name" in attributes:
            self._details["application"] = f"{attributes['name']} {attributes.get('version', '')}".strip()[:_SHOWN]
        elif event.depth == 2 and (name.endswith(("Model", "Network")) or name in ("TreeModel", "Scorecard")):
            self._models.append(name)
            self._details["models"] = ", ".join(self._models[:20])
        elif name == "DataField":
            self._details["fields"] = int(self._details.get("fields", 0)) + 1
        function = attributes.get("function", "")
        if name == "Apply" and _CLASS(function) and function not in self._classes:
            self._classes.add(function)
            detail = f"a function is the Java class {function[:_SHOWN]}, which the evaluator loads by this name"
            yield Anomaly(what="java-class", detail=detail, place=f"line {event.line}")
        if name == "Extension" and not self._extension:
            self._extension = event.depth
        if self._extension:
            yield from self._carried(" ".join(attributes.values()), event.line)

    def text(self, event: xml_events.Text) -> Extracted:
        if self._extension:
            yield from self._carried(event.text, event.line)

    def end(self, event: xml_events.End) -> None:
        if event.depth == self._extension:
            self._extension = 0

    def _carried(self, text: str, line: int) -> Extracted:
        found = _PROGRAM(text) or _ADDRESS(text)
        if found is None or self._stated >= _EXTENSIONS:
            return
        self._stated += 1
        start = max(0, found.start() - 40)
        what = "program text" if _PROGRAM(text) else "an address"
        detail = f"an extension holds {what}: {text[start : start + _SHOWN].strip()!r}"
        yield Anomaly(what="pmml-extension", detail=detail, place=f"line {line}")
