"""Passphrases: one stanza alone, as the format has it, whose cost is bounded before it is paid."""

import pytest

from garrison.core.errors import UsageError
from garrison.provenance.sealing.passphrase import Passphrase
from garrison.provenance.sealing.refusals import MalformedHeader, NoMatch

from .age_writer import KEY, X25519Key, b64, header, payload, scrypt_parts, scrypt_stanza, stanza
from .opening import X25519, opened, sealed

WORDS = b"password"
SALT = b64(b"\x22" * 16)
BODY = scrypt_parts(WORDS, 10)


def file(*stanzas: bytes, key: bytes = KEY) -> bytes:
    return header(*stanzas, key=key) + payload(b"text")


def test_what_another_writer_sealed_opens() -> None:
    assert opened(file(scrypt_stanza(WORDS, 10)), Passphrase(WORDS)) == b"text"


def test_round_trip() -> None:
    data = sealed(b"text", [Passphrase(WORDS, 4)])
    assert opened(data, X25519, Passphrase(WORDS)) == b"text"
    with pytest.raises(NoMatch):
        opened(data, Passphrase(b"Password"))


@pytest.mark.parametrize(
    "factor",
    [
        "",
        "0",
        "-1",
        "+10",
        "010",
        "0x0a",
        "a",
        "10 ",
        "10a",
        "1e1",
        " 10",
        "10.0",
        "21",
        "23",
        f"{1 << 64}",
        "9" * 1000,
    ],
)
def test_other_work_factors_are_refused_before_they_cost_anything(factor: str) -> None:
    with pytest.raises(MalformedHeader):
        opened(file(stanza(["scrypt", SALT, factor], BODY)), Passphrase(WORDS))


@pytest.mark.parametrize(
    "arguments, body",
    [
        (["scrypt"], BODY),
        (["scrypt", SALT], BODY),
        (["scrypt", "10"], BODY),
        (["scrypt", SALT, "10", "more"], BODY),
        (["scrypt", b64(bytes(17)), "10"], BODY),
        (["scrypt", b64(bytes(15)), "10"], BODY),
        (["scrypt", SALT[:-1] + "h", "10"], BODY),
        (["scrypt", SALT + "==", "10"], BODY),
        (["scrypt", SALT, "10"], BODY[:-1]),
        (["scrypt", SALT, "10"], scrypt_parts(WORDS, 10, KEY * 2)),
    ],
)
def test_malformed_stanzas_refuse_the_file(arguments: list[str], body: bytes) -> None:
    with pytest.raises(MalformedHeader):
        opened(file(stanza(arguments, body)), Passphrase(WORDS))


@pytest.mark.parametrize("beside", [X25519Key().stanza(), scrypt_stanza(WORDS, 10), stanza(["grease"], b"")])
def test_a_passphrase_stands_alone_whoever_opens_it(beside: bytes) -> None:
    for data in (file(scrypt_stanza(WORDS, 10), beside), file(beside, scrypt_stanza(WORDS, 10))):
        for identity in (Passphrase(WORDS), X25519):
            with pytest.raises(MalformedHeader, match="beside"):
                opened(data, identity)


def test_another_factor_body_or_kind_is_no_match() -> None:
    wrong = BODY[:-1] + bytes([BODY[-1] ^ 1])
    for arguments, body in ((["scrypt", SALT, "9"], BODY), (["scrypt", SALT, "10"], wrong), (["Scrypt", SALT], BODY)):
        with pytest.raises(NoMatch):
            opened(file(stanza(arguments, body)), Passphrase(WORDS))


def test_an_empty_passphrase_is_none() -> None:
    with pytest.raises(UsageError):
        Passphrase(b"")


def test_more_memory_than_there_is() -> None:
    with pytest.raises(UsageError, match="more memory"):
        Passphrase(b"words", 40).wrap(bytes(16))
