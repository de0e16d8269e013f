"""OpenVINO IR: layers of no known operator set, native libraries, templates, and where its weights should be.

Source: `src/frontends/ir/src/ir_deserializer.cpp` and `src/core/src/pass/serialize.cpp` of OpenVINO.
"""

from garrison.artifacts.knowledge.engine_operators import operators
from garrison.artifacts.wire import xml_events
from garrison.core.facts import Artifact, Operator, Reference
from garrison.sources.source import Context, Extracted, Source

_LIBRARY_ATTRIBUTES = ("library", "library_path", "extension", "lib")
_LIBRARY_ENDINGS = (".so", ".dll", ".dylib")
_TOLD = {
    "Runtime_version": "runtime",
    "OpenVINO Runtime": "runtime",
    "framework": "framework",
    "model_type": "model_type",
    "task": "task",
}
"""What the runtime information tells of the model, by its elements."""
_NEWEST = 17
"""The newest operator set whose operators are listed; later ones are taken at their word."""
_SKIPPED = frozenset({"dim", "port", "input", "output", "edge"})
"""Elements that only tell shapes and connections: most of a document."""
_TEMPLATES = 50
_ARGUMENTS = 50


def sniff(source: Source) -> bool:
    """An outermost element `net`, and a version or layers in the head."""
    if xml_events.root(source.reader) != "net":
        return False
    head = source.reader.pread(0, 1 << 16).replace(b"\0", b"")
    return b"version" in head or b"<layers" in head or b"<!DOCTYPE" in head


def extract(source: Source, context: Context) -> Extracted:
    """Custom layers with their attributes, references to libraries, templates in the runtime information."""
    reading = _Reading(source)
    for event in xml_events.events(source.reader, context, text=False, skip=_SKIPPED):
        if isinstance(event, xml_events.Start):
            yield from reading.start(event)
        elif isinstance(event, xml_events.End):
            yield from reading.end(event)
        elif not isinstance(event, xml_events.Text):
            yield event


class _Reading:
    """The document so far."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._details: dict[str, str | int | float | bool] = {"layers": 0, "weights_end": 0}
        self._open: list[tuple[xml_events.Start, dict[str, str]]] = []
        """Layers that have begun, with the attributes of their data; bodies of loops hold layers inside layers."""
        self._runtime = 0
        self._templates = 0

    def start(self, event: xml_events.Start) -> Extracted:
        if event.depth == 1:
            for key, given in (("name", "name"), ("ir_version", "version")):
                if given in event.attributes:
                    self._details[key] = event.attributes[given][:200]
            yield Artifact(format="openvino", details=self._details)
            weights = self._source.name.rpartition(".")[0] or self._source.name
            yield Reference(target=f"{weights}.bin", role="external-data", detail="weights", trigger="load")
        elif self._runtime:
            yield from self._told(event)
        elif event.name == "rt_info":
            self._runtime = event.depth
        elif event.name == "layer":
            self._details["layers"] = int(self._details["layers"]) + 1
            self._open.append((event, {}))
            yield from _libraries(event)
        elif event.name == "data" and self._open:
            self._data(event.attributes)
            yield from _libraries(event)

    def end(self, event: xml_events.End) -> Extracted:
        if self._runtime:
            if event.depth == self._runtime:
                self._runtime = 0
        elif self._open and self._open[-1][0].depth == event.depth:
            layer, arguments = self._open.pop()
            if not _is_known(layer.attributes.get("type", ""), layer.attributes.get("version", "")):
                yield Operator(
                    framework="openvino",
                    domain=layer.attributes.get("version", "")[:200],
                    name=layer.attributes.get("type", "")[:200],
                    arguments=arguments,
                    place=f"line {layer.line}, layer {layer.attributes.get('name', '')[:100]!r}",
                )

    def _told(self, event: xml_events.Start) -> Extracted:
        """Runtime information is kept for applications; those that chat render the templates in it."""
        value = event.attributes.get("value", "")
        key = event.attributes.get("name", "") if event.name == "info" else event.name
        if key in _TOLD:
            self._details.setdefault(_TOLD[key], value[:200])
        if ("{%" in value or "{{" in value) and self._templates < _TEMPLATES:
            self._templates += 1
            yield self._source.member(f"rt_info {key[:100]}", value.encode("utf-8", "replace"), loaded_as=("jinja",))

    def _data(self, attributes: dict[str, str]) -> None:
        arguments = self._open[-1][1]
        for key, value in list(attributes.items())[:_ARGUMENTS]:
            arguments[key] = value[:1000]
        offset, size = attributes.get("offset", ""), attributes.get("size", "")
        if offset.isdecimal() and size.isdecimal() and len(offset) < 20 and len(size) < 20:
            self._details["weights_end"] = max(int(self._details["weights_end"]), int(offset) + int(size))


def _libraries(event: xml_events.Start) -> Extracted:
    for key, value in event.attributes.items():
        if key.lower() in _LIBRARY_ATTRIBUTES and value.lower().endswith(_LIBRARY_ENDINGS):
            yield Reference(target=value, role="library", detail=f"attribute {key}", place=f"line {event.line}")


def _is_known(kind: str, version: str) -> bool:
    if kind in operators("openvino"):
        return True
    number = version.removeprefix("opset")
    return version != number and number.isdecimal() and _NEWEST < int(number[:4]) < 1000
