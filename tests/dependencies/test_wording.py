"""Lists are cut where they get long, and say by how much."""

from garrison.dependencies.wording import first_of


def test_the_first_and_how_many_more() -> None:
    assert [first_of("abcd"[:count], 2) for count in range(5)] == [
        "",
        "a",
        "a, b",
        "a, b and 1 more",
        "a, b and 2 more",
    ]
