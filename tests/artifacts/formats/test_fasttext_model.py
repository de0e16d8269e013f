"""fastText models: the arguments, the dictionary and the matrices must fit."""

import struct

import pytest
from hypothesis import given, settings

from garrison.core.facts import Artifact
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of

WORDS = ["</s>", "hello", "world"]


def model(
    words: list[str] | None = None,
    promised: int | None = None,
    shape: tuple[int, int] | None = None,
    kind: int = 2,
    rest: bytes = b"",
) -> bytes:
    words = WORDS if words is None else words
    size = len(words) if promised is None else promised
    dimension, buckets = 4, 5
    data = struct.pack("<ii", 793712314, 12)
    data += struct.pack("<12id", dimension, 5, 5, 1, 5, 1, 2, kind, buckets, 3, 6, 100, 1e-4)
    data += struct.pack("<iiiqq", size, size, 0, 100, -1)
    data += b"".join(word.encode() + b"\0" + struct.pack("<qb", 7, 0) for word in words)
    height, width = shape or (len(words) + buckets, dimension)
    data += b"\0" + struct.pack("<qq", height, width) + bytes(4 * (len(words) + buckets) * dimension)
    return data + b"\0" + struct.pack("<qq", len(words), dimension) + bytes(4 * len(words) * dimension) + rest


def rules(data: bytes) -> list[tuple[str, str]]:
    return [(item.rule, item.severity) for item in findings_of(data)]


def test_an_honest_model_gives_no_finding() -> None:
    assert rules(model()) == []
    (artifact,) = [f for f in facts_of(model()) if isinstance(f, Artifact)]
    assert artifact.format == "fasttext"
    assert (artifact.details["model"], artifact.details["words"]) == ("skipgram", 3)


def test_a_dictionary_longer_than_one_read() -> None:
    many = [f"word{number}" * 5 for number in range(60_000)]
    assert rules(model(many)) == []


@pytest.mark.parametrize(
    "broken",
    [model(promised=1 << 30), model(promised=-1), model(shape=(1, 4)), model(shape=(8, 1 << 40)), model()[:-1]],
    ids=["words", "negative", "rows", "columns", "cut"],
)
def test_sizes_that_do_not_fit(broken: bytes) -> None:
    assert rules(broken) == [("malformed", "low")]


def test_bytes_behind_the_model() -> None:
    assert rules(model(rest=b"more")) == [("trailing-data", "low")]


def test_the_magic_alone_is_no_model() -> None:
    assert examine_bytes(struct.pack("<ii", 793712314, 12) + bytes(100))[-1].formats == []
    assert examine_bytes(model(kind=9))[-1].formats == []


@given(damaged(model()))
@settings(max_examples=200, deadline=None)
def test_broken_files_do_not_fail(data: bytes) -> None:
    assert_no_failure(data)
