"""Personal data is told from numbers that look like it."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.errors import UsageError
from garrison.serving.screen.personal.checks import luhn, verhoeff
from garrison.serving.screen.personal.search import PersonalData

SEARCH = PersonalData()


@pytest.mark.parametrize(
    "kind, text",
    [
        ("email", "write to Ann.O'Neil+x@mail.example-shop.co.uk, please"),
        ("payment-card", "card 4111 1111 1111 1111 exp 12/29"),
        ("payment-card", "378282246310005"),
        ("iban", "DE89 3704 0044 0532 0130 00"),
        ("iban", "to GB82WEST12345698765432 today"),
        ("phone", "call +49 (0)30 901820"),
        ("us-social-security", "SSN: 536-22-1234."),
        ("uk-nino", "AB 12 34 56 C"),
        ("nhs-number", "NHS 943 476 5919"),
        ("german-tax", "86 095 742 719"),
        ("indian-aadhaar", "2345 6789 0124"),
        ("french-nir", "2 55 08 14 168 025 38"),
    ],
)
def test_it_is_found(kind: str, text: str) -> None:
    assert kind in {found.id for found in SEARCH.find(text)}


@pytest.mark.parametrize(
    "text",
    [
        "card 4111 1111 1111 1112", "0000 0000 0000 0000", "DE89 3704 0044 0532 0130 01", "user@localhost", "a @ b . c",
        "+1", "+11111111111", "000-12-3456", "666-12-3456", "123-456-7890", "943 476 5918", "86 095 742 718",
        "2 55 08 14 168 025 39", "version 1.2.3.4", "3.14159265358979323846", "2026-11-30 07:40:12",
        "d41d8cd98f00b204e9800998ecf8427e", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "",
    ],
)  # fmt: skip
def test_what_only_looks_like_it_is_not(text: str) -> None:
    assert [found.id for found in SEARCH.find(text)] == []


@given(st.lists(st.integers(0, 9), min_size=12, max_size=18), st.integers(1, 9))
def test_one_wrong_digit_never_passes_luhn(digits: list[int], by: int) -> None:
    for check in range(10):
        text = "".join(map(str, [*digits, check]))
        if luhn(text):
            wrong = f"{(digits[0] + by) % 10}{text[1:]}"
            assert not luhn(wrong)


@given(st.lists(st.integers(0, 9), min_size=5, max_size=12), st.integers(0, 3))
def test_neighbours_that_are_swapped_never_pass_verhoeff(digits: list[int], at: int) -> None:
    (whole,) = (text for check in range(10) if verhoeff(text := "".join(map(str, [*digits, check]))))
    swapped = whole[:at] + whole[at + 1] + whole[at] + whole[at + 2 :]
    assert verhoeff(swapped) is (swapped == whole)


@given(st.text(alphabet=string.printable + "é@", max_size=300))
def test_any_text_has_an_answer(text: str) -> None:
    assert len(list(SEARCH.find(text))) <= 10


@pytest.mark.parametrize("text", ["a@" * 40_000, "a." * 40_000 + "@", "1 " * 40_000, "AB12 " * 20_000, "+1(" * 40_000])
def test_texts_that_are_made_to_take_long_do_not(text: str) -> None:
    assert len(list(SEARCH.find(text))) <= 10


def test_kinds_are_chosen_by_name() -> None:
    only = PersonalData(["email"])
    assert [found.id for found in only.find("a@b.org, 4111 1111 1111 1111")] == ["email"]
    with pytest.raises(UsageError, match="no kind of personal data named 'e-mail'; there are email"):
        PersonalData(["e-mail"])
