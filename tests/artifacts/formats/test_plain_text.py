"""Text that nothing acts on is text, and no finding."""

import pytest

from tests.support import examine_bytes, findings_of


@pytest.mark.parametrize("data", [b"the\nof\nand\n", "naïve café\n".encode(), b"#version: 0.2\nt h\n"])
def test_vocabularies_and_notes_are_text(data: bytes) -> None:
    assert examine_bytes(data, "vocab.txt")[-1].formats == ["text"]
    assert findings_of(data, "vocab.txt") == []
