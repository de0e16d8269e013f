"""Keys as text and files of keys, as `age-keygen` writes them; a mistake never repeats a secret."""

import secrets
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from garrison.core.errors import UsageError
from garrison.provenance.keys import pem
from garrison.provenance.sealing.encoding import bech32_bytes, bech32_text
from garrison.provenance.sealing.hybrid import HybridIdentity, HybridRecipient
from garrison.provenance.sealing.identities import KINDS, identity, identity_file, recipient, recipients_file
from garrison.provenance.sealing.passphrase import Passphrase
from garrison.provenance.sealing.tagged import TaggedRecipient
from garrison.provenance.sealing.x25519 import X25519Identity, X25519Recipient

from .opening import HYBRID, X25519, sealed

TAGGED = TaggedRecipient(ec.derive_private_key(7, ec.SECP256R1()).public_key())


def nothing() -> None:
    raise AssertionError("no passphrase is needed")


@pytest.mark.parametrize(
    "key, kind", [(X25519.recipient, X25519Recipient), (HYBRID.recipient, HybridRecipient), (TAGGED, TaggedRecipient)]
)
def test_recipients_round_trip(key: X25519Recipient, kind: type) -> None:
    read = recipient(str(key))
    assert isinstance(read, kind)
    assert str(read) == str(key)


@pytest.mark.parametrize("kind", KINDS)
def test_identities_round_trip(kind: str) -> None:
    key = KINDS[kind]()
    assert str(identity(str(key))) == str(key)
    assert str(identity(str(key)).recipient) == str(key.recipient)
    assert str(key) != str(KINDS[kind]())


def test_text_is_that_of_the_specification() -> None:
    key = identity("AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX")
    assert str(key.recipient) == "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
    hybrid = identity("AGE-SECRET-KEY-PQ-1XX76JRALNLXDMEW0CRK45QMCCH4X06SE84UN3VPM33W6HWDX0H3SK3ZQFR")
    assert str(hybrid.recipient).startswith(
        "age1pq1x34nzsvr0rxjsgdn8zgyhfe8j7ceq5r9rdelkjuh3y235jzxshfg87pzf5zrqtzdxz95pa"
    )
    tagged = "age1tag1qt8lw0ual6avlwmwatk888yqnmdamm7xfd0wak53ut6elz5c4swx2yqdj4e"
    assert str(recipient(tagged)) == tagged


SECRET = str(X25519Identity.generate())


@pytest.mark.parametrize(
    "text, said",
    [
        (SECRET, "secret key"),
        ("ssh-ed25519 AAAA", "SSH"),
        ("age1", "short"),
        (str(X25519.recipient)[:-1] + "q", "checksum"),
        (str(X25519.recipient).capitalize(), "case"),
        (bech32_text("age1yubikey", bytes(33)), "plugin"),
        (bech32_text("bc", bytes(32)), "another kind"),
        (bech32_text("age", bytes(31)), "no valid key"),
        (bech32_text("age", bytes(32)), "no valid key"),
        (bech32_text("age1pq", bytes(1217)), "no valid key"),
        (bech32_text("age1tag", bytes(33)), "no valid key"),
        (bech32_text("age1tag", bytes(65)), "no valid key"),
    ],
)
def test_other_recipients_are_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        recipient(text)
    assert secrets.compare_digest(SECRET, text) is False or SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        str(X25519.recipient),
        str(X25519.recipient).upper(),
        SECRET.lower(),
        SECRET[:-1],
        SECRET + "Q",
        bech32_text("age-plugin-yubikey-", bytes(8)).upper(),
        bech32_text("age-secret-key-", bytes(31)).upper(),
        bech32_text("age-secret-key-pq-", bytes(64)).upper(),
        "-----BEGIN OPENSSH PRIVATE KEY-----",
    ],
)
def test_other_identities_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        identity(text)
    assert text[-12:] not in str(refused.value)


def test_files_as_age_keygen_writes_them(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    file.write_text(f"# created: today, näive\n# public key: {X25519.recipient}\n{X25519}\n\n  {HYBRID}  \r\n")
    assert [str(key) for key in identity_file(str(file), nothing)] == [str(X25519), str(HYBRID)]
    file.write_text(f"# mine\n{X25519.recipient}\n{TAGGED}\n")
    assert [str(key) for key in recipients_file(str(file))] == [str(X25519.recipient), str(TAGGED)]


@pytest.mark.parametrize("armored", [False, True])
def test_identity_files_sealed_with_a_passphrase(tmp_path: Path, armored: bool) -> None:
    file = tmp_path / "keys.age"
    file.write_bytes(sealed(f"{X25519}\n".encode(), [Passphrase(b"words", 2)], armored=armored))
    assert [str(key) for key in identity_file(str(file), lambda: b"words")] == [str(X25519)]
    for given in (b"other", b"", None):
        with pytest.raises(UsageError, match="passphrase"):
            identity_file(str(file), lambda given=given: given)  # type: ignore[misc]


@pytest.mark.parametrize(
    "data, said",
    [
        (b"", "no key"),
        (b"# nothing\n", "no key"),
        (b"\0\xff" * 100, "line 1"),
        (f"{X25519}\nnonsense\n".encode(), "line 2"),
        (b"#" * ((1 << 20) + 1), "more than 1,048,576 bytes"),
    ],
)
def test_files_that_hold_no_keys(tmp_path: Path, data: bytes, said: str) -> None:
    file = tmp_path / "keys"
    file.write_bytes(data)
    with pytest.raises(UsageError, match=said) as refused:
        identity_file(str(file), nothing)
    assert str(file) in str(refused.value)
    with pytest.raises(UsageError):
        recipients_file(str(file))
    with pytest.raises(UsageError, match="No such file"):
        recipients_file(str(tmp_path / "none"))


def test_prefixes_are_the_longest_that_fit() -> None:
    assert [bech32_bytes(str(key))[0] for key in (X25519.recipient, HYBRID.recipient, TAGGED)] == [
        "age",
        "age1pq",
        "age1tag",
    ]
    assert isinstance(HYBRID, HybridIdentity)


def test_nobody_in_a_file_is_passed_over_for_a_public_key_in_it(tmp_path: Path) -> None:
    key = pem(ec.generate_private_key(ec.SECP256R1()).public_key()).decode()
    line = f"{X25519Identity.generate().recipient}\n"
    for text in (key + line, line + key, key + key):
        (tmp_path / "team").write_text(text)
        with pytest.raises(UsageError, match=r"alone|more than one"):
            recipients_file(str(tmp_path / "team"))
    (tmp_path / "team").write_text(f"\n{key}\n")
    assert len(recipients_file(str(tmp_path / "team"))) == 1
