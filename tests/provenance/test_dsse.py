"""Envelopes: what is signed, and what base64 may look like."""

import base64

import msgspec
import pytest

from garrison.core.errors import Malformed
from garrison.provenance.dsse import Envelope, decoded, pre_authentication_encoding


def test_the_example_of_the_specification() -> None:
    found = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    assert found == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_lengths_are_of_bytes_and_not_of_letters() -> None:
    assert pre_authentication_encoding("é", "ü".encode()) == "DSSEv1 2 é 2 ü".encode()


def test_both_alphabets_of_base64_are_read() -> None:
    body = bytes(range(256))
    assert decoded(base64.b64encode(body).decode()) == decoded(base64.urlsafe_b64encode(body).decode()) == body


@pytest.mark.parametrize("text", ["a", "aa=a", "a b=", "ä===", "YWJj\n", "aGl=", "aGk"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        decoded(text)


def test_an_envelope_signs_its_own_type_and_payload() -> None:
    text = b'{"payload": "aGk=", "payloadType": "a/b", "signatures": [{"sig": "", "keyid": null}], "more": 1}'
    assert msgspec.json.decode(text, type=Envelope).signed() == b"DSSEv1 3 a/b 2 hi"
