"""safetensors: a length, a JSON header, and the tensors' bytes.

Source: https://github.com/huggingface/safetensors, `safetensors/src/tensor.rs`. Its loader refuses what breaks its
rules, overlaps and trailing bytes among them; the many other readers of the format check less, so each is stated.
"""

import json
from typing import Any

from garrison.artifacts import accounting, metadata_text
from garrison.core.described import described, text
from garrison.core.errors import LimitExceeded, Malformed
from garrison.core.facts import Anomaly, Artifact, Description, Link
from garrison.sources.source import Context, Extracted, Source

LENGTH = 8
LONGEST_HEADER = 100_000_000
_BITS = {"BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8}
_BITS |= {"F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "BF16": 16, "C64": 64}
_BITS |= {f"{kind}{bits}": bits for kind in "IUF" for bits in (8, 16, 32, 64) if (kind, bits) != ("F", 8)}
_STATED = 32
_WORD = 1 << 64
_INVENTORY = {
    "format": "framework",
    "modelspec.architecture": "architecture",
    "modelspec.title": "name",
    "modelspec.license": "licence",
    "modelspec.author": "author",
    "ss_base_model_version": "base_model_version",
    "ss_sd_model_name": "base_model",
    "ss_network_module": "network_module",
}

_FRAMEWORKS = {"pt": "torch", "tf": "tensorflow", "flax": "flax", "np": "numpy", "mlx": "mlx", "paddle": "paddle"}


def sniff(source: Source) -> bool:
    """A length below the loader's limit, or one that lies, and JSON of a header behind it."""
    head = source.reader.pread(0, 4096)
    if len(head) < LENGTH + 2:
        return False
    length = int.from_bytes(head[:LENGTH], "little")
    text = head[LENGTH : LENGTH + min(length, 4096)].lstrip(b" \t\r\n")
    if not text.startswith(b"{") or text[1:].lstrip(b" \t\r\n")[:1] not in (b'"', b"}"):
        return False
    if length <= LONGEST_HEADER:
        return True
    # A length that lies: its bytes are no text, and what follows is a header's start or an empty one.
    return b"\0" in head[:LENGTH] and (text[:2] == b"{}" or b'"dtype"' in text or b'"__metadata__"' in text)


def extract(source: Source, context: Context) -> Extracted:
    """The header's claims, held against each other and against the file; the metadata's texts."""
    length = int.from_bytes(source.reader.exactly(0, LENGTH), "little")
    if length > LONGEST_HEADER:
        yield _structure(f"the header claims {length:,} bytes, more than the {LONGEST_HEADER:,} that loaders take")
        raise Malformed("the header is too long to be read")
    if length > context.limits.buffer:
        raise LimitExceeded("buffer", f"a header of {length:,} bytes")
    data = source.reader.exactly(LENGTH, length)
    repeated: list[str] = []
    header = parse(data, repeated)
    for name in dict.fromkeys(repeated):
        yield _structure(f"the header has the key {name[:200]!r} more than once; readers differ in which one they take")
    metadata = header.pop("__metadata__", None)
    tensors = {name: entry for name, entry in header.items() if isinstance(entry, dict)}
    if len(tensors) != len(header):
        raise Malformed("the header has an entry that describes no tensor")
    yield _artifact(tensors, metadata)
    description = _description(tensors, metadata if isinstance(metadata, dict) else {})
    if description is not None:
        yield description
    yield from _tensors(source, context, tensors, LENGTH + length)
    if isinstance(metadata, dict):
        if not all(isinstance(value, str) for value in metadata.values()):
            yield _structure("the metadata has values that are no text, which loaders refuse")
        texts = ((f"__metadata__.{key}", value) for key, value in metadata.items() if isinstance(value, str))
        yield from metadata_text.read(source, context, texts)
    elif metadata is not None:
        yield _structure("the metadata is no object, which loaders refuse")


def _structure(detail: str) -> Anomaly:
    return Anomaly(what="weights-structure", detail=detail)


def parse(data: bytes, repeated: list[str]) -> dict[str, Any]:
    """The document of a header; keys that it has more than once are added to `repeated`. Raises `Malformed`."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            seen: set[str] = set()
            repeated.extend(key for key, _ in items if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        return found

    def constant(name: str) -> object:
        raise Malformed(f"the header has {name}, which is no JSON")

    try:
        header = json.loads(data.decode(), object_pairs_hook=pairs, parse_constant=constant)
    except UnicodeDecodeError as error:
        raise Malformed(f"the header is not UTF-8 at {LENGTH + error.start:#x}") from None
    except ValueError as error:
        raise Malformed(f"the header is not valid JSON: {str(error)[:120]}") from None
    if not isinstance(header, dict):
        raise Malformed("the header is no JSON object")
    return header


def _artifact(tensors: dict[str, dict[str, Any]], metadata: object) -> Artifact:
    types: dict[str, int] = {}
    parameters = 0
    for entry in tensors.values():
        types[str(entry.get("dtype"))] = types.get(str(entry.get("dtype")), 0) + 1
        parameters += _elements(entry.get("shape")) or 0
    details: dict[str, str | int | float | bool] = {"tensors": len(tensors)}
    if parameters < 1 << 63:
        details["parameters"] = parameters
    if types:
        details["dtypes"] = ", ".join(sorted(types, key=lambda name: -types[name]))[:200]
    if isinstance(metadata, dict):
        for key, name in _INVENTORY.items():
            if isinstance(metadata.get(key), str) and metadata[key]:
                details[name] = metadata[key][:200]
    return Artifact(format="safetensors", details=details)


def _description(tensors: dict[str, dict[str, Any]], metadata: dict[str, Any]) -> Description | None:
    """What the tensors are, and what Stability's model specification and kohya's scripts write."""
    types: dict[str, int] = {}
    for entry in tensors.values():
        kind = entry.get("dtype")
        if isinstance(kind, str):
            types[kind] = types.get(kind, 0) + (_elements(entry.get("shape")) or 0)
    framework = _FRAMEWORKS.get(text(metadata.get("format")), "")
    return described(
        name=metadata.get("modelspec.title") or metadata.get("ss_output_name"),
        summary=metadata.get("modelspec.description"),
        authors=metadata.get("modelspec.author"),
        released=metadata.get("modelspec.date"),
        licences=metadata.get("modelspec.license"),
        architecture=metadata.get("modelspec.architecture"),
        parameters=sum(types.values()),
        element_types=types,
        frameworks={framework: ""} if framework else {},
        tags=[one.strip() for one in text(metadata.get("modelspec.tags"), 2000).split(",")],
        base_models=metadata.get("ss_sd_model_name"),
        links=[Link(role="website", target=text(metadata.get("modelspec.implementation")))],
    )


def _elements(shape: object) -> int | None:
    if not isinstance(shape, list):
        return None
    count = 1
    for length in shape:
        if type(length) is not int or length < 0:
            return None
        count = min(count * length, _WORD)
    return count


def _tensors(source: Source, context: Context, tensors: dict[str, dict[str, Any]], start: int) -> Extracted:
    taken: list[tuple[int, int]] = []
    problems: list[str] = []
    for name, entry in tensors.items():
        context.check_time()
        problem, span = _tensor(entry)
        if problem:
            problems.append(f"tensor {name[:200]!r} {problem}")
        if span is not None:
            taken.append((start + span[0], start + span[1]))
    for problem in problems[:_STATED]:
        yield _structure(problem)
    if len(problems) > _STATED:
        yield _structure(f"and {len(problems) - _STATED:,} more tensors break rules")
    end = source.reader.size
    last = max((stop for _, stop in taken), default=start)
    gaps, overlap = accounting.gaps_between(taken, start, end)
    if overlap >= 0:
        yield Anomaly(
            what="weights-structure", detail="tensors share bytes, which loaders refuse", place=f"@ {overlap:#x}"
        )
    if not problems:
        yield from accounting.unaccounted(source, gaps)
    if last > end:
        raise Malformed(f"the tensors reach to {last:#x}, and the file ends at {end:#x}")


def _tensor(entry: dict[str, Any]) -> tuple[str, tuple[int, int] | None]:
    """What is wrong with one entry, if anything, and the bytes that it claims."""
    offsets = entry.get("data_offsets")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(type(offset) is int for offset in offsets):
        return "has no two offsets", None
    first, last = offsets
    if not 0 <= first <= last < _WORD:
        return f"lies between {first} and {last}", None
    count = _elements(entry.get("shape"))
    if count is None:
        return "has a shape that is none", (first, last)
    bits = _BITS.get(entry["dtype"]) if isinstance(entry.get("dtype"), str) else None
    if bits is None:
        return f"is of a type that loaders do not know: {str(entry.get('dtype'))[:60]!r}", (first, last)
    if count * bits != (last - first) * 8:
        return f"has {last - first:,} bytes where its shape and type ask for {count * bits // 8:,}", (first, last)
    return "", (first, last)
