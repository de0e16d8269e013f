"""Addresses and digests from anywhere become valid ones, or none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from garrison.reporting.bom.addresses import References, digests, path_address, web_address

VALIDATOR = Draft202012Validator({"format": "iri-reference"}, format_checker=Draft202012Validator.FORMAT_CHECKER)
ODD = st.text(st.sampled_from("ab:/?#[]@!$&'()*+,;=%-._~ é\\\"<>^`{|}\n\u202e0"))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://example.org", "https://example.org"),
        (" http://example.org:80/a b?c=d#e ", "http://example.org:80/a%20b?c=d#e"),
        ("https://example.org/é%zz%41", "https://example.org/%C3%A9%25zz%41"),
        ("https://example.org/a#b#c", "https://example.org/a#b%23c"),
        ("https://user@example.org/", ""),
        ("https://[::1]/", ""),
        ("https://exa mple.org/", ""),
        ("javascript:alert(1)", ""),
        ("file:///etc/passwd", ""),
        ("org/model", ""),
        ("", ""),
    ],
)
def test_addresses_of_the_web(text: str, address: str) -> None:
    assert web_address(text) == address


@given(ODD)
def test_any_text_is_a_valid_address_or_none(text: str) -> None:
    for address in (web_address(f"https://example.org/{text}"), path_address(text)):
        assert VALIDATOR.is_valid(address)
        assert not set(address) & set(' \\"<>^`{|}\n\u202e')


@given(ODD)
def test_the_same_address_twice_changes_nothing(text: str) -> None:
    once = web_address(f"https://example.org/{text}")
    assert web_address(once) == once


def test_digests_of_known_algorithms_and_of_their_length() -> None:
    given = [
        "sha256:" + "A" * 64,
        "sha256:" + "a" * 64,
        "SHA-1:" + "b" * 40,
        "sha512:" + "c" * 64,
        "crc:00",
        "sha256",
        "x",
    ]
    assert digests(given, 1) == [("SHA-256", "a" * 64), ("SHA-1", "b" * 40)]
    assert digests(["blake2b-256:" + "d" * 64], 2) == [("blake2b256", "d" * 64)]


def test_references_are_stable_and_never_shared() -> None:
    references = References()
    first = references.of("subject", "a\n")
    assert first == "subject:a\\n" == references.of("subject", "a\n")
    assert references.of("subject", "a\\n") == "subject:a\\n #2" and references.of("subject", "a\\n #2") != first
