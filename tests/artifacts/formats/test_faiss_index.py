"""FAISS indexes: the header and the vectors of flat ones must fit."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.facts import Artifact
from tests.support import examine_bytes, facts_of, findings_of


def index(code: bytes = b"IxF2", dimension: int = 4, vectors: int = 3, numbers: int = 12, metric: int = 1) -> bytes:
    head = struct.pack("<4siqqq?i", code, dimension, vectors, 1 << 20, 1 << 20, True, metric)
    return head + (struct.pack("<f", 3) if metric > 1 else b"") + struct.pack("<Q", numbers) + bytes(48)


def rules(data: bytes) -> list[tuple[str, str]]:
    return [(item.rule, item.severity) for item in findings_of(data)]


@pytest.mark.parametrize("data", [index(), index(b"IxFI", metric=0), index(b"IxFl", metric=4), index(b"IwFl")])
def test_an_honest_index_gives_no_finding(data: bytes) -> None:
    assert rules(data) == []
    (artifact,) = [f for f in facts_of(data) if isinstance(f, Artifact)]
    assert (artifact.format, artifact.details["vectors"], artifact.details["dimension"]) == ("faiss", 3, 4)


@pytest.mark.parametrize(
    "broken",
    [index(numbers=1 << 60), index(vectors=1 << 40, numbers=1 << 42), index(dimension=-4), index()[:-1]],
)
def test_sizes_that_do_not_fit(broken: bytes) -> None:
    assert rules(broken) == [("malformed", "low")]


def test_bytes_behind_the_index() -> None:
    assert rules(index() + b"more") == [("trailing-data", "low")]


def test_other_bytes_with_the_same_words_are_no_index() -> None:
    assert "faiss" not in examine_bytes(b"\0" + index()[1:])[-1].formats


@given(st.integers(0, 93))
def test_truncation_never_raises(length: int) -> None:
    assert all(e.state != "failed" for e in examine_bytes(index()[:length]))
