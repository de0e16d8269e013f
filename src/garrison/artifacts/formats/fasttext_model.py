"""fastText models, version 11 and 12 of the binary form.

Source: `src/fasttext.cc` (`FastText::loadModel`), `src/args.cc`, `src/dictionary.cc` and `src/densematrix.cc`.
"""

import struct

from garrison.core.errors import Malformed
from garrison.core.facts import Anomaly, Artifact
from garrison.sources.reader import Reader
from garrison.sources.source import Context, Extracted, Source

_ARGUMENTS = struct.Struct("<12id")
_DICTIONARY = struct.Struct("<iiiqq")
_LOSSES = {1: "hierarchical softmax", 2: "negative sampling", 3: "softmax", 4: "one-vs-all"}
_MODELS = {1: "cbow", 2: "skipgram", 3: "supervised"}
_CHUNK = 1 << 20
_ENTRY = 9
"""A count and a kind behind the NUL of each word."""


def sniff(source: Source) -> bool:
    """The magic number is followed by a version and by arguments that can be."""
    head = source.reader.pread(8, _ARGUMENTS.size)
    if len(head) < _ARGUMENTS.size or source.reader.pread(4, 4) not in (b"\x0b\0\0\0", b"\x0c\0\0\0"):
        return False
    arguments = _ARGUMENTS.unpack(head)
    return arguments[7] in _MODELS and arguments[6] in _LOSSES


def extract(source: Source, context: Context) -> Extracted:
    """What the model says of itself, and sizes that do not fit. Raises `Malformed`."""
    reader = source.reader
    arguments = _ARGUMENTS.unpack(reader.exactly(8, _ARGUMENTS.size))
    position = 8 + _ARGUMENTS.size
    size, words, labels, tokens, pruned = _DICTIONARY.unpack(reader.exactly(position, _DICTIONARY.size))
    position += _DICTIONARY.size
    dimension, buckets = arguments[0], arguments[8]
    details: dict[str, str | int | float | bool] = {
        "framework": "fasttext",
        "model": _MODELS[arguments[7]],
        "loss": _LOSSES[arguments[6]],
        "dimension": dimension,
        "words": words,
        "labels": labels,
        "tokens": tokens,
    }
    yield Artifact(format="fasttext", details=details)
    if min(dimension, buckets, size, words, labels) < 0 or size != words + labels:
        raise Malformed(f"a dictionary of {size} entries: {words} words and {labels} labels")
    position = _behind_words(reader, position, size, context)
    position += 8 * max(pruned, 0)
    quantized = reader.exactly(position, 1) != b"\0"
    details["quantized"] = quantized
    if quantized:
        return
    rows = words + buckets if pruned < 0 else words + max(pruned, 0)
    position = _matrix(reader, position + 1, rows, dimension, "input")
    if reader.exactly(position, 1) == b"\0":
        position = _matrix(reader, position + 1, labels if arguments[7] == 3 else words, dimension, "output")
        if reader.pread(position, 1):
            yield Anomaly(what="trailing-data", detail="bytes follow the model", place=f"@ {position:#x}")
            yield source.member("(trailing data)", reader.window(position, 1 << 60))


def _behind_words(reader: Reader, position: int, count: int, context: Context) -> int:
    """Where the dictionary's entries end: each is a word, a NUL, a count and a kind."""
    data = b""
    offset = 0
    for _ in range(count):
        end = data.find(b"\0", offset)
        while end < 0 or end + _ENTRY >= len(data):
            context.check_time()
            position += offset
            more = reader.pread(position, max(_CHUNK, 2 * (len(data) - offset)))
            if len(more) <= len(data) - offset:
                raise Malformed(f"a dictionary of {count} entries ends too early")
            data, offset = more, 0
            end = data.find(b"\0")
        offset = end + 1 + _ENTRY
    return position + offset


def _matrix(reader: Reader, position: int, rows: int, columns: int, name: str) -> int:
    """The end of a matrix, which must be as large as the arguments say: rows are looked up without a check."""
    height, width = (int(part) for part in struct.unpack("<qq", reader.exactly(position, 16)))
    if (height, width) != (rows, columns):
        raise Malformed(f"the {name} matrix is {height} by {width}, and the model needs {rows} by {columns}")
    end = position + 16 + 4 * height * width
    if height * width and not reader.pread(end - 1, 1):
        raise Malformed(f"the {name} matrix of {height} by {width} is longer than the file")
    return end
