"""Synonyms come from the user's own files, or not at all."""

from pathlib import Path

import pytest

from garrison.core.errors import UsageError
from garrison.robustness.text.synonyms import from_list, from_vectors, in_case_of


def test_a_list(tmp_path: Path) -> None:
    path = tmp_path / "synonyms.json"
    path.write_text('{"Good": ["fine", "decent"]}')
    synonyms = from_list(str(path))
    assert synonyms("gOOD") == ("fine", "decent")
    assert synonyms("bad") == ()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 1}', b'{"a": [1]}', b"\xff", b'{"a": ["b"]'])
def test_what_is_no_list_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "synonyms.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"synonyms\.json"):
        from_list(str(path))


@pytest.mark.parametrize("head", ["", "4 2\n"])
def test_vectors(tmp_path: Path, head: str) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text(head + "good 1 0\nfine 2 0.1\ndecent 1 0.5\nbad -1 0\n")
    assert from_vectors(str(path))("Good") == ["fine", "decent"]
    assert from_vectors(str(path), neighbours=1)("good") == ["fine"]
    assert from_vectors(str(path), similarity=0.99)("good") == ["fine"]
    assert from_vectors(str(path))("unknown") == ()


@pytest.mark.parametrize("content", ["", "4 2\n", "good 1 0\nfine 1\n", "good 1 x\n", "good nan 1\n"])
def test_what_are_no_vectors_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"vectors\.txt"):
        from_vectors(str(path))


def test_capitals_are_kept() -> None:
    assert [in_case_of(word, "fine") for word in ("good", "Good", "GOOD", "I", "")] == [
        "fine",
        "Fine",
        "FINE",
        "Fine",
        "fine",
    ]
