"""CoreML models: classes of the app that they call, models that they link to, and weights kept in other files.

Source: `mlmodel/format/*.proto` of coremltools (Model, NeuralNetwork, CustomModel, LinkedModel, MIL), and
`mlmodel/src/MILBlob/Blob/StorageFormat.hpp` for the file of weights.
"""

from garrison.artifacts.wire.message_shape import fitting
from garrison.artifacts.wire.protobuf import LENGTH, VARINT, Span, Wire
from garrison.core.described import described
from garrison.core.errors import LimitExceeded, Malformed
from garrison.core.facts import Anomaly, Artifact, Operator, Reference
from garrison.sources.source import Context, Extracted, Source

_KINDS = {
    200: "pipeline classifier",
    201: "pipeline regressor",
    202: "pipeline",
    300: "GLM regressor",
    301: "support vector regressor",
    302: "tree ensemble regressor",
    303: "neural network regressor",
    304: "Bayesian probit regressor",
    400: "GLM classifier",
    401: "support vector classifier",
    402: "tree ensemble classifier",
    403: "neural network classifier",
    404: "nearest neighbours classifier",
    500: "neural network",
    501: "item similarity recommender",
    502: "ML program",
    555: "custom model",
    556: "linked model",
    560: "class confidence thresholding",
    600: "one-hot encoder",
    601: "imputer",
    602: "feature vectoriser",
    603: "dictionary vectoriser",
    604: "scaler",
    606: "categorical mapping",
    607: "normaliser",
    609: "array feature extractor",
    610: "non-maximum suppression",
    900: "identity",
    2000: "text classifier",
    2001: "word tagger",
    2002: "vision feature print",
    2003: "sound analysis preprocessing",
    2004: "gazetteer",
    2005: "word embedding",
    2006: "audio feature print",
    3000: "serialised model",
}
_MODEL = {1: VARINT, 2: LENGTH, 10: VARINT} | dict.fromkeys(_KINDS, LENGTH)
_NEURAL_NETWORKS = (303, 403, 500)
_CUSTOM_LAYER, _BRANCH, _LOOP = 500, 605, 615
_NESTED = 10_000
_METADATA = 500
_BLOB_HEADER, _BLOB_ENTRY = 64, 64
_BLOB_SENTINEL = 0xDEADBEEF
_BLOBS = 1_000_000
_PACKAGE = "@model_path/"


def sniff(source: Source) -> bool:
    """A message whose fields are those of a model, with exactly one kind of model in it."""
    numbers = fitting(source.reader, _MODEL)
    return len({number for number in numbers if number in _KINDS}) == 1 and len(numbers) <= 8


def extract(source: Source, context: Context) -> Extracted:
    """Custom classes, linked models, external weights and metadata of the model and those inside it."""
    wire = Wire(source.reader)
    reading = _Reading(source, wire, context)
    models: list[tuple[Span, str]] = [(wire.whole(), "")]
    for count in range(_NESTED):
        if not models:
            break
        context.check_time()
        span, place = models.pop()
        yield from reading.model(span, place, models, outermost=not count)
    else:
        raise LimitExceeded("members", f"more than {_NESTED} models in one pipeline")


class _Reading:
    """What is read of one file: each reference is stated once."""

    def __init__(self, source: Source, wire: Wire, context: Context) -> None:
        self._source = source
        self._wire = wire
        self._context = context
        self._files: set[str] = set()

    def model(self, span: Span, place: str, models: list[tuple[Span, str]], *, outermost: bool) -> Extracted:
        """One model; those inside it are added to `models`."""
        wire = self._wire
        details: dict[str, str | int | float | bool] = {}
        description: Span | None = None
        parts: list[tuple[int, Span]] = []
        for number, _, value in wire.fields(span):
            if number == 1 and isinstance(value, int):
                details["specification_version"] = value
            elif number == 10 and isinstance(value, int):
                details["updatable"] = bool(value)
            elif number == 2 and isinstance(value, Span):
                description = value
            elif number in _KINDS and isinstance(value, Span):
                parts.append((number, value))
        if parts:
            details["model"] = _KINDS[parts[-1][0]]
        metadata = list(self._metadata(description, details)) if description is not None else []
        if outermost:
            yield Artifact(format="coreml", details=details)
            inputs, outputs = (self._features(description, number) for number in (1, 10))
            said = described(
                version=details.get("version"),
                summary=details.get("description"),
                authors=details.get("author"),
                licences=details.get("licence"),
                architecture=details.get("model"),
                frameworks={"coremltools": details.get("coremltools")},
                inputs=inputs,
                outputs=outputs,
            )
            if said is not None:
                yield said
        for key, text in metadata:
            yield from self._described(key, text)
        for number, part in parts:
            inner = f"{place}.{_KINDS[number]}".lstrip(".")
            if number in (200, 201):
                for pipeline in wire.spans(part, 1):
                    models += [(one, inner) for one in wire.spans(pipeline, 1)]
            elif number == 202:
                models += [(one, inner) for one in wire.spans(part, 1)]
            elif number in _NEURAL_NETWORKS:
                yield from self._layers(part, place)
            elif number == 502:
                yield from self._program(part)
            elif number == 555:
                yield self._custom("custom model", part, place)
            elif number == 556:
                yield from self._linked(part, place)

    def _features(self, description: Span | None, number: int) -> list[str]:
        """Names of the features that a model takes or gives."""
        features = self._wire.spans(description, number) if description is not None else ()
        return [self._wire.text(name, 200) for feature in features for name in self._wire.spans(feature, 1)][:64]

    def _metadata(self, description: Span, details: dict[str, str | int | float | bool]) -> "list[tuple[str, str]]":
        wire = self._wire
        names = {1: "description", 2: "version", 3: "author", 4: "licence"}
        found: list[tuple[str, str]] = []
        for metadata in wire.spans(description, 100):
            for number, _, value in wire.fields(metadata):
                if not isinstance(value, Span):
                    continue
                if number in names:
                    details[names[number]] = wire.text(value, 300)
                    found.append((names[number], wire.text(value, 1 << 20)))
                elif number == 100 and len(found) < _METADATA:
                    key, text = self._entry(value)
                    found.append((key, text))
                    if key == "com.github.apple.coremltools.version":
                        details["coremltools"] = text[:100]
                    elif key == "com.github.apple.coremltools.source":
                        details["converted_from"] = text[:100]
        return found

    def _entry(self, span: Span) -> tuple[str, str]:
        key = text = ""
        for number, _, value in self._wire.fields(span):
            if isinstance(value, Span):
                if number == 1:
                    key = self._wire.text(value, 200)
                elif number == 2:
                    text = self._wire.text(value, 1 << 20)
        return key, text

    def _described(self, key: str, text: str) -> Extracted:
        """Metadata is only shown, by honest apps; templates in it are rendered by those that chat."""
        from garrison.artifacts.program_text import is_program_text

        if "{%" in text or "{{" in text:
            yield self._source.member(f"metadata {key}", text.encode(), loaded_as=("jinja",))
        elif is_program_text(text):
            yield Anomaly(what="program-text-in-metadata", detail=f"{key} is {text[:200]!r}", place=f"metadata {key}")

    def _layers(self, network: Span, place: str) -> Extracted:
        """Layers of a network and of the networks in its branches and loops."""
        wire = self._wire
        networks = [network]
        while networks:
            self._context.check_time()
            for layer in wire.spans(networks.pop(), 1):
                name = ""
                for number, _, value in wire.fields(layer):
                    if not isinstance(value, Span):
                        continue
                    if number == 1:
                        name = wire.text(value, 200)
                    elif number == _CUSTOM_LAYER:
                        yield self._custom("custom layer", value, f"{place} layer {name!r}".strip())
                    elif number == _BRANCH:
                        networks += wire.spans(value, 1, 2)
                    elif number == _LOOP:
                        networks += wire.spans(value, 3, 4)

    def _custom(self, what: str, span: Span, place: str) -> Operator:
        """A class of the app, which is made with parameters from the file."""
        wire = self._wire
        name = ""
        arguments: dict[str, str] = {}
        for number, _, value in wire.fields(span):
            if not isinstance(value, Span):
                continue
            if number == 10:
                name = wire.text(value, 200)
            elif number == 30 and len(arguments) < 50:
                key, item = "", ""
                for inner, _, part in wire.fields(value):
                    if inner == 1 and isinstance(part, Span):
                        key = wire.text(part, 100)
                    elif inner == 2 and isinstance(part, Span):
                        item = next((wire.text(text, 1000) for text in wire.spans(part, 20)), "")
                if item:
                    arguments[key] = item
        return Operator(framework="coreml", domain=what, name=name, arguments=arguments, place=place)

    def _linked(self, span: Span, place: str) -> Extracted:
        wire = self._wire
        for file in wire.spans(span, 1):
            name = path = ""
            for number, _, value in wire.fields(file):
                if isinstance(value, Span):
                    text = next((wire.text(item, 2000) for item in wire.spans(value, 1)), "")
                    name, path = (text, path) if number == 1 else (name, text)
            for folder in dict.fromkeys(path.split(":")[:50]):
                target = f"{folder}/{name}" if folder else name
                yield Reference(target=target, role="linked-model", detail="a compiled model", place=place)

    def _program(self, program: Span) -> Extracted:
        """Blocks of all functions: what they keep in other files, and classes that they name."""
        wire = self._wire
        blocks: list[Span] = []
        for function in self._values(program, 2):
            blocks += self._values(function, 3)
            for attribute in self._values(function, 4):
                yield from self._value(attribute)
        operations = 0
        while blocks:
            for operation in wire.spans(blocks.pop(), 3):
                operations += 1
                if operations % 1024 == 0:
                    self._context.check_time()
                for number, _, value in wire.fields(operation):
                    if not isinstance(value, Span):
                        continue
                    if number == 4:
                        blocks.append(value)
                    elif number == 5:
                        for item in wire.spans(value, 2):
                            yield from self._value(item)
                    elif number == 2:
                        for argument in wire.spans(value, 2):
                            for binding in wire.spans(argument, 1):
                                for item in wire.spans(binding, 2):
                                    yield from self._value(item)

    def _values(self, span: Span, number: int) -> list[Span]:
        """The values of a map field."""
        return [value for entry in self._wire.spans(span, number) for value in self._wire.spans(entry, 2)]

    def _value(self, span: Span) -> Extracted:
        """A value that stands in another file."""
        wire = self._wire
        for blob in wire.spans(span, 5):
            for number, _, value in wire.fields(blob):
                if number == 1 and isinstance(value, Span):
                    name = wire.text(value, 2000)
                    if name not in self._files:
                        self._files.add(name)
                        target = name.removeprefix(_PACKAGE)
                        yield Reference(target=target, role="external-data", detail="weights of the ML program")


def sniff_weights(source: Source) -> bool:
    """A header of 64 bytes whose reserved part is zero, and an entry's sentinel behind it."""
    head = source.reader.pread(0, _BLOB_HEADER + 4)
    count = int.from_bytes(head[:4], "little")
    if head[4:8] != b"\x02\0\0\0" or head[8:64].strip(b"\0") or len(head) < _BLOB_HEADER:
        return False
    return not count or int.from_bytes(head[64:68], "little") == _BLOB_SENTINEL


def extract_weights(source: Source, context: Context) -> Extracted:
    """Entries in order, each with its own header; bytes that none accounts for are stated."""
    reader = source.reader
    count = int.from_bytes(reader.exactly(0, 4), "little")
    yield Artifact(format="coreml-weights", details={"tensors": count})
    size = reader.size
    end = _BLOB_HEADER
    position = _BLOB_HEADER
    for index in range(min(count, _BLOBS)):
        if index % 1024 == 0:
            context.check_time()
        header = reader.exactly(position, _BLOB_ENTRY)
        length, offset = int.from_bytes(header[8:16], "little"), int.from_bytes(header[16:24], "little")
        if int.from_bytes(header[:4], "little") != _BLOB_SENTINEL:
            raise _bad(index, f"does not begin with its mark at {position:#x}")
        if offset < position + _BLOB_ENTRY or offset + length > size:
            raise _bad(index, f"holds {length} bytes at {offset:#x}, outside the file or over its own header")
        end = offset + length
        position = -(-end // 64) * 64
    if count > _BLOBS:
        raise LimitExceeded("members", f"{count} tensors in one file of weights")
    if size > position:
        yield Anomaly(what="trailing-data", detail=f"{size - end} bytes follow the last tensor", place=f"@ {end:#x}")


def _bad(index: int, why: str) -> Malformed:
    return Malformed(f"tensor {index} {why}")
