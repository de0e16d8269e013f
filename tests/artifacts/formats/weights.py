"""Builds safetensors and GGUF files byte by byte, honest ones and others."""

import json
import struct
from typing import Any

Value = tuple[int, Any]
"""A GGUF value: its type, and what it is; an array's is (element type, list)."""


def safetensors(header: dict[str, Any] | str | bytes, data: bytes = b"", *, length: int | None = None) -> bytes:
    text = json.dumps(header) if isinstance(header, dict) else header
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def tensor(first: int, last: int, shape: list[int], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


class Gguf:
    """A GGUF file of a version and byte order."""

    def __init__(self, version: int = 3, order: str = "<") -> None:
        self.version, self.order = version, order
        self.wide = "I" if version == 1 else "Q"
        self.entries: list[bytes] = []
        self.tensors: list[bytes] = []
        self.data = b""

    def pack(self, form: str, *values: Any) -> bytes:
        return struct.pack(self.order + form, *values)

    def text(self, text: str | bytes) -> bytes:
        raw = text.encode() if isinstance(text, str) else text
        return self.pack(self.wide, len(raw)) + raw

    def value(self, kind: int, value: Any) -> bytes:
        if kind == 8:
            return self.text(value)
        if kind == 9:
            element, items = value
            return self.pack("I" + self.wide, element, len(items)) + b"".join(self.value(element, i) for i in items)
        return self.pack("BbHhIif?__QqdZ"[kind], value)

    def entry(self, key: str | bytes, kind: int, value: Any) -> "Gguf":
        self.entries.append(self.text(key) + self.pack("I", kind) + self.value(kind, value))
        return self

    def raw_entry(self, raw: bytes) -> "Gguf":
        self.entries.append(raw)
        return self

    def tensor(self, name: str, shape: list[int], kind: int, offset: int, size: int) -> "Gguf":
        raw = self.text(name) + self.pack("I", len(shape)) + b"".join(self.pack(self.wide, n) for n in shape)
        self.tensors.append(raw + self.pack("IQ", kind, offset))
        self.data = self.data.ljust(offset, b"\0") + b"\1" * size
        return self

    def bytes(self, *, tensors: int | None = None, entries: int | None = None) -> bytes:
        head = b"GGUF" + self.pack("I", self.version)
        head += self.pack(self.wide, len(self.tensors) if tensors is None else tensors)
        head += self.pack(self.wide, len(self.entries) if entries is None else entries)
        head += b"".join(self.entries) + b"".join(self.tensors)
        return head + (bytes(-len(head) % 32) + self.data if self.data else b"")


def model(version: int = 3, order: str = "<") -> Gguf:
    """An honest model with every type of value."""
    made = Gguf(version, order).entry("general.architecture", 8, "llama").entry("general.name", 8, "Tiny")
    made.entry("general.license", 8, "apache-2.0").entry("general.file_type", 4, 2)
    made.entry("general.url", 8, "https://example.org/tiny").entry("llama.context_length", 4, 4096)
    for kind, value in ((0, 200), (1, -3), (2, 60000), (3, -300), (5, -5), (6, 0.5), (7, True), (12, 0.25)):
        made.entry(f"values.{kind}", kind, value)
    made.entry("values.10", 10, 1 << 40).entry("values.11", 11, -(1 << 40))
    made.entry("general.tags", 9, (8, ["text-generation", "en"])).entry("values.array", 9, (5, [1, -2, 3]))
    made.entry("tokenizer.ggml.tokens", 9, (8, [f"token {n}" for n in range(1000)]))
    made.entry("tokenizer.chat_template", 8, "{% for m in messages %}{{ m['role'] + ': ' + m['content'] }}{% endfor %}")
    return made.tensor("a.weight", [5, 3], 0, 0, 60).tensor("b.weight", [64], 2, 64, 36).tensor("c", [7], 1, 128, 14)
