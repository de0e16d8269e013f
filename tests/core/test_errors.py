"""What errors of libraries become."""

import pytest

from garrison.core.errors import first_line


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("a\nb"), "a"),
        (ValueError("\n  b \nc"), "b"),
        (EOFError(), "EOFError"),
        (ValueError("x" * 999), "x" * 200),
    ],
)
def test_the_first_line_of_what_it_says(error: Exception, expected: str) -> None:
    assert first_line(error) == expected
