"""Headers: what the format allows is read, and everything else is refused before a key is used."""

import pytest

from garrison.core.errors import UsageError
from garrison.provenance.sealing.header import check
from garrison.provenance.sealing.passphrase import Passphrase
from garrison.provenance.sealing.refusals import AlteredHeader, MalformedHeader, NoMatch
from garrison.provenance.sealing.x25519 import X25519Identity
from garrison.provenance.trust import Refused

from .age_writer import KEY, V1, X25519Key, b64, header, mac, payload, stanza
from .opening import HYBRID, X25519, opened, sealed

OURS = X25519Key().stanza()
TEXT = b"what is sealed"
BODY = payload(TEXT)


def raw(*stanzas: bytes, version: bytes = V1) -> bytes:
    """A header whose code is right whatever the stanzas look like, so that nothing but them is at fault."""
    return header(*stanzas, OURS, version=version) + BODY


@pytest.mark.parametrize(
    "other",
    [
        stanza(["grease"], b""),
        stanza(["!grease~", "a", "b", '"{|}'], b"\0" * 100),
        stanza(["multiple-lines"], b"\1" * 48),
        stanza(["multiple-lines"], b"\1" * 97),
        stanza(["".join(map(chr, range(33, 127)))], b"valid characters"),
        stanza(["x25519", "another", "kind"], b"kinds are told by their case"),
        stanza(["SCRYPT", "another", "kind"], b""),
    ],
)
def test_stanzas_of_unknown_kinds_are_passed_over(other: bytes) -> None:
    assert opened(raw(other)) == TEXT


MALFORMED = {
    "no arguments": b"->\n\n",
    "no arguments but a space": b"-> \n\n",
    "an empty argument": b"-> a  b\n\n",
    "an empty argument at the end": b"-> a \n\n",
    "another beginning": b"=> a\n\n",
    "no space": b"->a\n\n",
    "no body": b"-> a\n",
    "no last line": b"-> a\n" + b"A" * 64 + b"\n",
    "a long line": b"-> a\n" + b"A" * 68 + b"\n\n",
    "short lines": b"-> a\nAAAA\nAAAA\n",
    "an empty line too many": b"-> a\nAAAA\n\n",
    "padding": b"-> a\nAAA=\n",
    "no canonical base64": b"-> a\nAB\n",
    "a lone character of base64": b"-> a\nA\n",
    "no base64": b"-> a\nAA*A\n",
    "the URL's base64": b"-> a\nAA-_\n",
    "a control character": b"-> a\x7f\n\n",
    "a character beyond ASCII": "-> é\n\n".encode(),
    "a carriage return in the arguments": b"-> a\r\n\n",
    "a carriage return in the body": b"-> a\nAAAA\r\n",
    "a tab": b"-> a\tb\n\n",
}


@pytest.mark.parametrize("how", MALFORMED)
def test_malformed_stanzas_refuse_the_file(how: str) -> None:
    with pytest.raises(MalformedHeader):
        opened(raw(MALFORMED[how]))


@pytest.mark.parametrize(
    "version", [b"age-encryption.org/v2\n", b"age-encryption.org/v1\r\n", b"age-encryption.org/v1 \n", b"\n", b"v1\n"]
)
def test_other_versions_are_refused(version: bytes) -> None:
    with pytest.raises(Refused):
        opened(raw(version=version))


@pytest.mark.parametrize("data", [b"", b"age", V1, V1 + b"---", V1[:-1], b"\0" * 100, V1 * 2])
def test_what_is_no_sealed_file_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedHeader):
        opened(data)


def test_a_header_without_recipients_is_refused() -> None:
    with pytest.raises(MalformedHeader, match="no recipient"):
        opened(header() + BODY)


START = V1 + OURS + b"---"
CODE = b64(mac(START)).encode()


@pytest.mark.parametrize(
    "end",
    [
        b"\n",
        b" \n",
        b" " + CODE,
        CODE + b"\n",
        b"  " + CODE + b"\n",
        b" " + CODE + b" \n",
        b" " + CODE + b"\r\n",
        b" " + CODE + b"=\n",
        b" " + CODE[:-1] + b"\n",
        b" " + CODE[:-1] + bytes([CODE[-1] + 1]) + b"\n",
        b" " + CODE + b"A\n",
        b" " + CODE[:20] + b"*" + CODE[21:] + b"\n",
    ],
)
def test_a_malformed_code_is_refused(end: bytes) -> None:
    with pytest.raises(MalformedHeader):
        opened(START + end + BODY)


def test_a_wrong_code_is_refused() -> None:
    with pytest.raises(AlteredHeader):
        opened(START + b" " + b64(mac(START, b"ANOTHER FILE KEY")).encode() + b"\n" + BODY)


@pytest.mark.parametrize("change", ["added", "removed", "swapped", "renamed"])
def test_a_recipient_that_comes_or_goes_is_noticed(change: str) -> None:
    one, two = stanza(["one"], b"1"), stanza(["two"], b"2")
    whole = header(one, OURS, two)
    changed = {
        "added": whole.replace(one, one + two),
        "removed": whole.replace(one, b""),
        "swapped": whole.replace(one, b"@").replace(two, one).replace(b"@", two),
        "renamed": whole.replace(b"-> one", b"-> uno"),
    }[change]
    assert opened(whole + BODY) == TEXT
    with pytest.raises(AlteredHeader):
        opened(changed + BODY)


def test_it_opens_for_each_of_its_recipients_and_for_nobody_else() -> None:
    keys = [X25519Identity.generate() for _ in range(3)]
    data = sealed(TEXT, [key.recipient for key in keys[:2]])
    assert opened(data, keys[0]) == opened(data, keys[1]) == opened(data, keys[2], keys[1]) == TEXT
    with pytest.raises(NoMatch):
        opened(data, keys[2], HYBRID)


def test_a_file_key_of_another_length_is_refused() -> None:
    with pytest.raises(MalformedHeader, match="body of 48 bytes"):
        opened(header(X25519Key().stanza(KEY * 2), key=KEY * 2) + BODY)


def test_headers_end_somewhere() -> None:
    many = stanza(["grease"], b"") * 1001
    with pytest.raises(MalformedHeader, match="1000 recipients"):
        opened(header(many, OURS) + BODY)
    with pytest.raises(MalformedHeader, match="too long"):
        opened(V1 + b"-> " + b"a" * (1 << 21))
    with pytest.raises(MalformedHeader, match="too long"):
        opened(V1 + b"-> a\n" + (b"A" * 64 + b"\n") * (1 << 15))


def test_recipients_that_do_not_mix() -> None:
    passphrase = Passphrase(b"words")
    check([X25519.recipient, X25519.recipient])
    for recipients, said in (
        ([], "no recipient"),
        ([passphrase, X25519.recipient], "passphrase"),
        ([passphrase, passphrase], "passphrase"),
        ([HYBRID.recipient, X25519.recipient], "quantum"),
        ([X25519.recipient] * 1001, "1000"),
        ([HYBRID.recipient] * 700, "longer"),
    ):
        with pytest.raises(UsageError, match=said):
            sealed(b"", recipients)
