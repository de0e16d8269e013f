"""GGUF: typed metadata, tensor descriptions and tensors, as llama.cpp and its kin read them.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md and `ggml/src/gguf.cpp`. Versions 1 to 3, either byte
order. Lengths come before what they count, so each is held against the rest of the file before anything is read.
"""

import itertools
import re
import struct
from typing import Literal

from garrison.artifacts import accounting, metadata_text
from garrison.artifacts.knowledge import ggml
from garrison.artifacts.wire.cursor import Cursor
from garrison.core.described import described, texts
from garrison.core.errors import ExaminationError, LimitExceeded, Malformed, NotUnderstood
from garrison.core.facts import Anomaly, Artifact, Description, Link
from garrison.sources.source import Context, Extracted, Source

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_SIGNED = frozenset({1, 3, 5, 11})
_FLOATS = {6: "f", 12: "d"}
_UINT32, _BOOL, _TEXT, _ARRAY = 4, 7, 8, 9
_ABSURD = 1 << 31
"""No honest count or length comes near; readers with 32-bit or unchecked arithmetic wrap from here on."""
_ENTRY = 16
_TENSOR = 24
_DIMENSIONS = 4
_LONGEST_KEY = 1 << 16
_LONGEST_NAME = 64
_NESTING = 8
_ALIGNMENT = 32
_KEPT_ITEMS = 256
_STATED = 32
_HOSTILE_KEY = re.compile(r"[\x00-\x1f\x7f]|\.\.[/\\]|^[/\\~]|://")
_INVENTORY = {
    "general.architecture": "architecture",
    "general.name": "name",
    "general.basename": "basename",
    "general.finetune": "finetune",
    "general.size_label": "size_label",
    "general.author": "author",
    "general.organization": "organization",
    "general.quantized_by": "quantized_by",
    "general.version": "model_version",
    "general.license": "licence",
    "general.license.name": "licence_name",
    "general.license.link": "licence_link",
    "general.url": "url",
    "general.repo_url": "repository",
    "general.source.url": "source_url",
    "general.source.huggingface.repository": "source_repository",
    "general.type": "type",
    "adapter.type": "adapter_type",
    "tokenizer.ggml.model": "tokenizer",
    "split.no": "split_number",
    "split.count": "split_count",
}
_LISTED = 16
_LINKS: "dict[str, Literal['repository', 'website', 'paper', 'licence']]" = {
    "url": "website",
    "repo_url": "repository",
    "source.repo_url": "repository",
    "doi": "paper",
    "license.link": "licence",
}
_SETTINGS = {
    "context_length": "context",
    "embedding_length": "hidden size",
    "block_count": "layers",
    "feed_forward_length": "intermediate size",
    "attention.head_count": "attention heads",
    "attention.head_count_kv": "key-value heads",
    "expert_count": "experts",
    "vocab_size": "vocabulary",
}
_BASE_MODEL = re.compile(r"general\.base_model\.\d+\.(?:repo_url|name)")

_Value = str | int | float | bool | list[str] | None


class _Overflow(Exception):
    """A length with which the arithmetic of readers wraps; nothing behind it can be read."""


def extract(source: Source, context: Context) -> Extracted:
    """What the header tells, its templates, and where it lies."""
    file = _File(source, context)
    try:
        file.read_header()
        file.read_metadata()
        file.read_tensors()
    except _Overflow as overflow:
        place = f"@ {file.cursor.position:#x}"
        file.anomalies.append(Anomaly(what="weights-length-overflow", detail=str(overflow), place=place))
        yield from file.facts()
        raise Malformed(f"what stands behind {place[2:]} could not be read") from None
    except ExaminationError:
        yield from file.facts()
        raise
    yield from file.facts()
    if file.complete:
        yield from file.account()


class _File:
    """One GGUF file, filled in as it is read, so that a file that breaks off keeps what came before."""

    def __init__(self, source: Source, context: Context) -> None:
        self.source = source
        self.context = context
        self.size = source.reader.size
        self.cursor = Cursor(source.reader, 4)
        self.anomalies: list[Anomaly] = []
        self.values: dict[str, _Value] = {}
        self.complete = False
        self._version = 0
        self._wide = 8
        self._counts = (0, 0)
        self._tensors: list[tuple[str, int, int | None]] = []
        self._types: dict[str, int] = {}
        self._elements: dict[str, int] = {}
        self._parameters = 0
        self._structural = 0
        self._kept = 0

    def read_header(self) -> None:
        version = self.cursor.number(4)
        if version & 0xFFFF == 0 and version:
            self.cursor.order = "big"
            version = int.from_bytes(version.to_bytes(4, "little"), "big")
        if version not in (1, 2, 3):
            raise NotUnderstood(f"version {version} of the format")
        self._version = version
        self._wide = 4 if version == 1 else 8
        tensors = self.cursor.number(self._wide)
        entries = self.cursor.number(self._wide)
        self._counts = (tensors, entries)
        self._bounded(entries, _ENTRY - 8 + self._wide, "the number of metadata entries")

    def _bounded(self, count: int, each: int, what: str) -> None:
        """Hold a count of things that take at least `each` bytes against what the file still has."""
        left = self.size - self.cursor.position
        if count * each <= left:
            return
        if count >= _ABSURD:
            raise _Overflow(f"{what} is {count:#x}, and {max(left, 0):,} bytes follow")
        raise Malformed(f"{what} is {count:,}, and {max(left, 0):,} bytes follow")

    def _text(self, what: str) -> str:
        length = self.cursor.number(self._wide)
        self._bounded(length, 1, f"the length of {what}")
        self._kept += length
        if self._kept > self.context.limits.buffer:
            raise LimitExceeded("buffer", f"the metadata's texts are more than {self.context.limits.buffer:,} bytes")
        return self.cursor.take(length).decode("utf-8", "replace")

    def _structure(self, detail: str) -> None:
        self._structural += 1
        if self._structural <= _STATED:
            place = f"@ {self.cursor.position:#x}"
            self.anomalies.append(Anomaly(what="weights-structure", detail=detail, place=place))

    def read_metadata(self) -> None:
        if self._counts[1] > self.context.limits.members:
            raise LimitExceeded("members", f"{self._counts[1]:,} metadata entries")
        seen: set[str] = set()
        for _ in range(self._counts[1]):
            self.context.check_time()
            key = self._text("a key")
            if key in seen:
                self._structure(f"the key {key[:200]!r} occurs more than once; readers differ in which one they take")
            if len(key) >= _LONGEST_KEY:
                self._structure(f"a key of {len(key):,} characters, where the format allows {_LONGEST_KEY - 1:,}")
            elif _HOSTILE_KEY.search(key):
                self._structure(
                    f"the key {key[:200]!r} is made to be taken for a path, an address or a terminal's command"
                )
            value = self._value(self.cursor.number(4), key, 0)
            # The first of several wins, as in llama.cpp's own search; the others are kept to be judged.
            self.values.setdefault(key if key not in seen else f"{key} (again @ {self.cursor.position:#x})", value)
            seen.add(key)
        self._check_alignment()

    def _value(self, kind: int, key: str, depth: int) -> _Value:
        if kind == _TEXT:
            return self._text(f"the value of {key[:100]!r}")
        if kind == _ARRAY:
            return self._array(key, depth)
        if kind not in _SIZES:
            raise Malformed(f"the value of {key[:100]!r} is of type {kind}, which there is not")
        if kind in _FLOATS:
            order = ">" if self.cursor.order == "big" else "<"
            return float(struct.unpack(order + _FLOATS[kind], self.cursor.take(_SIZES[kind]))[0])
        number = self.cursor.number(_SIZES[kind], signed=kind in _SIGNED)
        if key == "general.alignment" and kind != _UINT32:
            self._structure("the alignment is no 32-bit number, which loaders refuse")
        return bool(number) if kind == _BOOL else number

    def _array(self, key: str, depth: int) -> _Value:
        kind = self.cursor.number(4)
        count = self.cursor.number(self._wide)
        what = f"the number of elements of {key[:100]!r}"
        if kind in _SIZES:
            self._bounded(count, _SIZES[kind], what)
            self.cursor.skip(count * _SIZES[kind])
            return None
        if kind == _TEXT:
            self._bounded(count, self._wide, what)
            return self._texts(key, count)
        if kind != _ARRAY:
            raise Malformed(f"the elements of {key[:100]!r} are of type {kind}, which there is not")
        self._bounded(count, 4 + self._wide, what)
        if depth == 0:
            self._structure(f"the value of {key[:100]!r} is an array of arrays, which loaders refuse")
        if depth >= _NESTING:
            raise Malformed(f"the value of {key[:100]!r} is nested more than {_NESTING} deep")
        for _ in range(count):
            self.context.check_time()
            self._array(key, depth + 1)
        return None

    def _texts(self, key: str, count: int) -> _Value:
        if count <= _KEPT_ITEMS:
            return [self._text(f"an element of {key[:100]!r}") for _ in range(count)]
        left = count
        while left:
            self.context.check_time()
            skipped = self.cursor.skip_texts(left, self._wide)
            left -= skipped
            if not skipped:
                length = self.cursor.number(self._wide)
                self._bounded(length, 1, f"the length of an element of {key[:100]!r}")
                self.cursor.skip(length)
                left -= 1
        return None

    def _check_alignment(self) -> None:
        alignment = self.values.get("general.alignment", _ALIGNMENT)
        if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
            self._structure(f"the alignment is {str(alignment)[:40]}, and no power of two; old loaders divide by it")
        elif alignment > 1 << 20:
            self._structure(f"the alignment is {alignment:,}")

    @property
    def _alignment(self) -> int:
        value = self.values.get("general.alignment", _ALIGNMENT)
        sound = isinstance(value, int) and 0 < value <= 1 << 20 and not value & (value - 1)
        return int(value) if sound and isinstance(value, int) else _ALIGNMENT

    def read_tensors(self) -> None:
        self._bounded(self._counts[0], _TENSOR, "the number of tensors")
        if self._counts[0] > self.context.limits.members:
            raise LimitExceeded("members", f"{self._counts[0]:,} tensors")
        names: set[str] = set()
        total = 0
        for _ in range(self._counts[0]):
            self.context.check_time()
            name = self._text("a tensor's name")
            if name in names:
                self._structure(f"the tensor {name[:100]!r} is described more than once")
            if len(name.encode("utf-8", "replace")) >= _LONGEST_NAME:
                self._structure(f"a tensor's name of {len(name):,} characters, where loaders keep {_LONGEST_NAME - 1}")
            names.add(name)
            total += self._tensor(name)
            if total >= 1 << 63:
                raise _Overflow("the tensors' sizes add up to more than 63 bits hold")
        self.complete = True

    def _tensor(self, name: str) -> int:
        count = self.cursor.number(4)
        if count > _DIMENSIONS:
            raise _Overflow(
                f"the tensor {name[:100]!r} has {count:,} dimensions, and loaders keep room for {_DIMENSIONS}"
            )
        elements = 1
        for _ in range(count):
            elements *= self.cursor.number(self._wide)
        if elements >= 1 << 63:
            raise _Overflow(f"the tensor {name[:100]!r} has more elements than 63 bits count")
        number = self.cursor.number(4)
        offset = self.cursor.number(8)
        kind = ggml.tensor_type(number)
        size = None
        if kind is not None:
            if elements % kind.elements:
                self._structure(f"the tensor {name[:100]!r} has {elements:,} elements in blocks of {kind.elements}")
            size = -(-elements // kind.elements) * kind.bytes
        if offset + (size or 0) >= 1 << 62:
            raise _Overflow(f"the tensor {name[:100]!r} lies at {offset:#x}")
        if offset % self._alignment:
            self._structure(f"the tensor {name[:100]!r} lies at {offset:#x}, which is not aligned")
        self._tensors.append((name, offset, size))
        called = kind.name if kind is not None else f"type {number}"
        self._types[called] = self._types.get(called, 0) + 1
        self._parameters += elements
        self._elements[called] = self._elements.get(called, 0) + elements
        return size or 0

    def account(self) -> Extracted:
        """Hold the tensors against the file's end, and state what they leave."""
        mask = self._alignment - 1
        start = (self.cursor.position + mask) & ~mask
        taken = [(self.cursor.position, min(start, self.size))]
        ordered = sorted(offset for _, offset, _ in self._tensors)
        following = dict(itertools.pairwise(ordered))
        for name, offset, size in self._tensors:
            if size is None:
                size = max(following.get(offset, self.size - start) - offset, 0)
            if start + offset + size > self.size:
                yield Anomaly(
                    what="malformed",
                    detail=f"GGUF model: the tensor {name[:100]!r} reaches to {start + offset + size:#x}, "
                    f"and the file ends at {self.size:#x}",
                )
                return
            taken.append((start + offset, start + offset + size))
        gaps, overlap = accounting.gaps_between(taken, self.cursor.position, self.size)
        if overlap >= 0:
            yield Anomaly(
                what="weights-structure", detail="tensors share bytes, which loaders refuse", place=f"@ {overlap:#x}"
            )
        yield from accounting.unaccounted(self.source, gaps, padding=self._alignment)

    def facts(self) -> Extracted:
        """The inventory's entry, the anomalies and the texts."""
        yield Artifact(format="gguf", details=self._details())
        description = self._description()
        if description is not None:
            yield description
        yield from self.anomalies
        if self._structural > _STATED:
            yield Anomaly(what="weights-structure", detail=f"and {self._structural - _STATED:,} more such breaches")
        yield from metadata_text.read(self.source, self.context, self._texts_to_judge())
        # A tokenizer's own JSON, which some programs load instead of GGUF's vocabulary.
        tokenizer = self.values.get("tokenizer.huggingface.json")
        if isinstance(tokenizer, str):
            yield self.source.member("tokenizer.huggingface.json", tokenizer.encode("utf-8", "replace"))

    def _texts_to_judge(self) -> "list[tuple[str, str]]":
        texts: list[tuple[str, str]] = []
        for key, value in self.values.items():
            if key == "tokenizer.huggingface.json":
                continue
            if isinstance(value, str):
                # Keys are chosen by the file: a template's place keeps the name only.
                texts.append((key.replace("!/", "_")[:300], value))
            elif isinstance(value, list) and not key.startswith("tokenizer.ggml."):
                texts += [(f"{key.replace('!/', '_')[:300]}[{index}]", item) for index, item in enumerate(value)]
        return texts

    def _description(self) -> Description | None:
        """What the keys `general.*` say, and what the tensors are."""
        general = {key[8:]: value for key, value in self.values.items() if key.startswith("general.")}
        family = general.get("architecture")
        file_type = general.get("file_type")
        addresses = [
            Link(role=role, target=value)
            for key, role in _LINKS.items()
            if isinstance(value := general.get(key), str) and value
        ]
        return described(
            name=general.get("name"),
            version=general.get("version"),
            summary=general.get("description"),
            authors=[general.get(key) for key in ("author", "organization", "quantized_by")],
            licences=[general.get(key) for key in ("license.name", "license")],
            family=family,
            parameters=self._parameters,
            element_types=dict(self._elements),
            quantisation=ggml.file_type(file_type) if file_type is not None else None,
            settings={name: self.values.get(f"{family}.{key}") for key, name in _SETTINGS.items()},
            languages=general.get("languages"),
            tags=general.get("tags"),
            datasets=[*self._listed("dataset"), *texts(general.get("datasets"))],
            base_models=self._listed("base_model"),
            links=addresses,
        )

    def _listed(self, what: str) -> list[str]:
        """`general.base_model.0.repo_url` or, for want of it, its organization and name; and the same of data sets."""
        found: list[str] = []
        for number in range(_LISTED):
            place = f"general.{what}.{number}."
            address = self.values.get(f"{place}repo_url")
            parts = (self.values.get(f"{place}organization"), self.values.get(f"{place}name"))
            named = "/".join(part for part in parts if isinstance(part, str) and part)
            if isinstance(address, str) and address:
                found.append(address)
            elif named:
                found.append(named)
        return found

    def _details(self) -> dict[str, str | int | float | bool]:
        details: dict[str, str | int | float | bool] = {"version": self._version, "byte_order": self.cursor.order}
        for key, name in _INVENTORY.items():
            value = self.values.get(key)
            if isinstance(value, str | int | float) and value != "":
                details[name] = value[:200] if isinstance(value, str) else value
        if "general.file_type" in self.values:
            details["quantisation"] = ggml.file_type(self.values["general.file_type"])
        bases = [value for key, value in self.values.items() if _BASE_MODEL.fullmatch(key) and isinstance(value, str)]
        if bases:
            details["base_models"] = ", ".join(bases)[:400]
        context_length = self.values.get(f"{self.values.get('general.architecture')}.context_length")
        if isinstance(context_length, int):
            details["context_length"] = context_length
        details["tensors"] = self._counts[0] if self._counts[0] < 1 << 63 else -1
        if self._parameters and self._parameters < 1 << 63:
            details["parameters"] = self._parameters
            details["tensor_types"] = ", ".join(sorted(self._types, key=lambda name: -self._types[name]))[:200]
        return details
