"""The GGML files that came before GGUF: numbers without names, a vocabulary, tensors.

Source: the loaders of llama.cpp before August 2023 (`ggml`, `ggmf`, `ggjt`, `ggla`), whisper.cpp (`models/ggml-*.bin`,
still written) and the examples of ggml. Nothing in a file says which program wrote it, so each layout is tried on it.
"""

import msgspec

from garrison.artifacts.knowledge import ggml
from garrison.artifacts.wire.cursor import Cursor
from garrison.core.errors import ExaminationError, LimitExceeded, Malformed, NotUnderstood
from garrison.core.facts import Anomaly, Artifact
from garrison.sources.source import Context, Extracted, Source

_NAMES = {b"lmgg": "ggml", b"fmgg": "ggmf", b"tjgg": "ggjt", b"algg": "ggla"}
_ABSURD = 1 << 31
_LONGEST_TOKEN = 4096
_LONGEST_NAME = 512
_DIMENSIONS = 4
_TENSORS = 100_000
_TYPES = 64
_VOCABULARY = 2_000_000
_OLD_BYTES = {2: (20,), 3: (24,), 4: (10,), 5: (12,), 8: (36,)}
"""Bytes of blocks in older releases, and of types that are gone."""
_OLD_ELEMENTS = {4: 16, 5: 16}


class _Layout(msgspec.Struct, frozen=True):
    """How one family of programs arranges the file."""

    family: str
    magic: str
    fields: tuple[str, ...]
    counted: bool = False
    """Whether the size of the vocabulary stands before it once more."""
    scored: bool = False
    filters: bool = False
    vocabulary: bool = True
    aligned: bool = False


_LLAMA = ("vocabulary", "embedding", "multiple", "heads", "layers", "rotation", "file_type")
_WHISPER: tuple[str, ...] = (
    "vocabulary",
    "audio_context",
    "audio_state",
    "audio_heads",
    "audio_layers",
    "text_context",
    "text_state",
)
_WHISPER += ("text_heads", "text_layers", "mels", "file_type")
_GPT = ("vocabulary", "context", "embedding", "heads", "layers")
_LAYOUTS = (
    _Layout("llama", "ggjt", _LLAMA, scored=True, aligned=True),
    _Layout("llama", "ggmf", _LLAMA, scored=True),
    _Layout("llama adapter", "ggla", ("rank", "alpha"), vocabulary=False, aligned=True),
    _Layout("whisper", "ggml", _WHISPER, counted=True, filters=True),
    _Layout("gpt-2", "ggml", (*_GPT, "file_type"), counted=True),
    _Layout("gpt-j", "ggml", (*_GPT, "rotation", "file_type"), counted=True),
    _Layout("gpt-neox", "ggml", (*_GPT, "rotation", "parallel_residual", "file_type"), counted=True),
    _Layout("llama or bert", "ggml", _LLAMA),
)


def sniff(source: Source) -> bool:
    """The magic's letters are no text here: numbers with zero bytes follow."""
    return b"\0" in source.reader.pread(4, 8)


def extract(source: Source, context: Context) -> Extracted:
    """The layout that fits, and its tensors held against the file."""
    magic = _NAMES[source.reader.exactly(0, 4)]
    file = _fitting(source, context, [layout for layout in _LAYOUTS if layout.magic == magic])
    if file is None:
        yield Artifact(format="ggml", details={"container": magic})
        raise NotUnderstood("a layout of GGML that garrison does not know")
    problem: ExaminationError | None = None
    try:
        file.read()
    except ExaminationError as error:
        problem = error
    yield Artifact(format="ggml", details=file.details)
    if file.overflow:
        yield Anomaly(what="weights-length-overflow", detail=file.overflow, place=f"@ {file.cursor.position:#x}")
    if problem is not None:
        raise problem


def _fitting(source: Source, context: Context, layouts: list[_Layout]) -> "_File | None":
    if len(layouts) == 1:
        return _File(source, context, layouts[0])
    for layout in layouts:
        try:
            file = _File(source, context, layout)
            file.read_head()
            if file.at_tensor():
                return _File(source, context, layout)
        except Malformed:
            continue
    return None


class _File:
    """One file, read by one layout."""

    def __init__(self, source: Source, context: Context, layout: _Layout) -> None:
        self.size = source.reader.size
        self.cursor = Cursor(source.reader, 4)
        self.overflow = ""
        self.details: dict[str, str | int | float | bool] = {"container": layout.magic, "family": layout.family}
        self._context = context
        self._layout = layout
        self._version = 0

    def read(self) -> None:
        """All of it. Raises `Malformed` and `NotUnderstood`; what was learnt before stays."""
        self.read_head()
        tensors = parameters = 0
        while self.cursor.position < self.size:
            self._context.check_time()
            parameters += self._tensor()
            tensors += 1
            if tensors > _TENSORS:
                raise LimitExceeded("members", f"more than {_TENSORS:,} tensors")
            self.details["tensors"] = tensors
            self.details["parameters"] = min(parameters, (1 << 63) - 1)

    def read_head(self) -> None:
        """Numbers and vocabulary."""
        layout = self._layout
        if layout.magic != "ggml":
            self._version = self.cursor.number(4)
            self.details["version"] = self._version
        fields = {name: self.cursor.number(4) for name in layout.fields}
        if "file_type" in fields:
            self.details["quantisation"] = ggml.file_type(fields["file_type"] % 1000)
        self.details.update({name: value for name, value in fields.items() if name not in ("file_type", "multiple")})
        if layout.filters:
            rows, columns = self.cursor.number(4), self.cursor.number(4)
            self._skip(rows * columns * 4, "the number of filters")
        if layout.vocabulary:
            count = self.cursor.number(4) if layout.counted else fields["vocabulary"]
            if layout.counted and not layout.filters and count != fields["vocabulary"]:
                raise Malformed(f"the vocabulary has {count:,} entries, and {fields['vocabulary']:,}")
            self._vocabulary(count)

    def _skip(self, length: int, what: str) -> None:
        if length >= _ABSURD and length > self.size:
            self.overflow = f"{what} asks for {length:,} bytes, and the file has {self.size:,}"
        self.cursor.skip(length)

    def _vocabulary(self, count: int) -> None:
        if count * 4 > self.size:
            if count >= _ABSURD:
                self.overflow = f"the vocabulary has {count:,} entries, and the file {self.size:,} bytes"
            raise Malformed(f"the vocabulary has {count:,} entries, and the file {self.size:,} bytes")
        if count > _VOCABULARY:
            raise LimitExceeded("members", f"a vocabulary of {count:,} entries")
        for index in range(count):
            if not index & 0xFFF:
                self._context.check_time()
            length = self.cursor.number(4)
            if length > _LONGEST_TOKEN:
                if length >= _ABSURD:
                    self.overflow = f"an entry of the vocabulary is {length:,} bytes long"
                raise Malformed(f"an entry of the vocabulary is {length:,} bytes long")
            self.cursor.take(length + 4 * self._layout.scored)

    def at_tensor(self) -> bool:
        """Whether a tensor's description could stand here, or the file ends."""
        if self.cursor.position >= self.size:
            return self.cursor.position == self.size
        head = self.cursor.peek(12 + 4 * _DIMENSIONS + _LONGEST_NAME)
        dimensions, length, kind = (int.from_bytes(head[at : at + 4], "little") for at in (0, 4, 8))
        if not 0 < dimensions <= _DIMENSIONS or not 0 < length <= _LONGEST_NAME or kind >= _TYPES:
            return False
        name = head[12 + 4 * dimensions :][:length]
        return len(name) == length and name.isascii() and name.decode().isprintable()

    def _tensor(self) -> int:
        """Skip one tensor, and return the number of its elements."""
        dimensions, length, kind = (self.cursor.number(4) for _ in range(3))
        if dimensions > _DIMENSIONS:
            self.overflow = f"a tensor has {dimensions:,} dimensions, and loaders keep room for {_DIMENSIONS}"
            raise Malformed(f"a tensor has {dimensions:,} dimensions")
        elements = 1
        for _ in range(dimensions):
            elements *= self.cursor.number(4)
        if length > _LONGEST_NAME:
            if length >= _ABSURD:
                self.overflow = f"a tensor's name is {length:,} bytes long"
            raise Malformed(f"a tensor's name is {length:,} bytes long")
        self.cursor.take(length)
        if self._layout.aligned:
            self.cursor.position += -self.cursor.position % 32
        if elements >= 1 << 60:
            self.overflow = f"a tensor has {elements:,} elements"
            raise Malformed("a tensor has more elements than can be counted")
        self._skip_data(elements, kind)
        return elements

    def _skip_data(self, elements: int, kind: int) -> None:
        """Skip as many bytes as lead to the next tensor: blocks had other sizes in older releases."""
        known = ggml.tensor_type(kind)
        per = known.elements if known is not None else _OLD_ELEMENTS.get(kind, 0)
        sizes = ((known.bytes,) if known is not None else ()) + _OLD_BYTES.get(kind, ())
        if not sizes or not per:
            raise NotUnderstood(f"a tensor of type {kind}")
        start = self.cursor.position
        for size in sizes:
            self.cursor.position = start + elements // per * size
            if self.cursor.position <= self.size and self.at_tensor():
                return
        self.cursor.position = start
        needed = elements // per * sizes[0]
        if start + needed > self.size:
            raise Malformed(f"a tensor reaches to {start + needed:#x}, and the file ends at {self.size:#x}")
        self.cursor.position = start + needed
