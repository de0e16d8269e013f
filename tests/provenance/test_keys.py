"""Keys in PEM: which open, which sign, and what a wrong one says."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from garrison.core.errors import UsageError
from garrison.provenance.keys import WrongPassphrase, load_private_key, load_public_key, pem, same, verified

KINDS = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}


def written(
    key: object,
    path: Path,
    encryption: KeySerializationEncryption | None = None,
    form: PrivateFormat = PrivateFormat.PKCS8,
) -> str:
    path.write_bytes(key.private_bytes(Encoding.PEM, form, encryption or NoEncryption()))  # type: ignore[attr-defined]
    return str(path)


def unasked() -> bytes:
    raise AssertionError("a passphrase was asked for")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.OpenSSH, PrivateFormat.TraditionalOpenSSL])
def test_what_a_key_signs_its_public_half_verifies(kind: str, form: PrivateFormat, tmp_path: Path) -> None:
    if kind == "Ed25519" and form is PrivateFormat.TraditionalOpenSSL:
        pytest.skip("there is no such form")
    signer = load_private_key(written(KINDS[kind](), tmp_path / "key", form=form), unasked)
    (tmp_path / "public").write_bytes(pem(signer.public_key))
    public = load_public_key(str(tmp_path / "public"))
    assert same(public, signer.public_key)
    signature = signer.sign(b"model")
    assert verified(public, signature, b"model") and signature == signer.sign(b"model")
    assert not verified(public, signature, b"other")
    assert not verified(public, signature[:-1], b"model") and not verified(public, b"", b"model")
    assert not verified(
        load_private_key(written(KINDS[kind](), tmp_path / "two"), unasked).public_key, signature, b"model"
    )


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_encrypted_keys_open_with_their_passphrase_only(form: PrivateFormat, tmp_path: Path) -> None:
    path = written(KINDS["P-256"](), tmp_path / "key", BestAvailableEncryption(b"long"), form)
    assert load_private_key(path, lambda: b"long").sign(b"model")
    with pytest.raises(WrongPassphrase, match="does not open"):
        load_private_key(path, lambda: b"short")
    with pytest.raises(WrongPassphrase, match="no passphrase"):
        load_private_key(path, lambda: None)


def test_keys_of_other_kinds_and_files_that_are_none(tmp_path: Path) -> None:
    weak = written(rsa.generate_private_key(65537, 2048), tmp_path / "rsa")
    koblitz = written(ec.generate_private_key(ec.SECP256K1()), tmp_path / "koblitz")
    (tmp_path / "empty").touch()
    for path in (weak, koblitz, str(tmp_path / "empty"), str(tmp_path / "none"), str(tmp_path)):
        with pytest.raises(UsageError):
            load_private_key(path, unasked)
        with pytest.raises(UsageError):
            load_public_key(path)


def test_a_private_key_is_never_taken_for_a_public_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="private"):
        load_public_key(written(KINDS["P-256"](), tmp_path / "key"))


def test_two_keys_in_one_file_are_not_taken_for_the_first(tmp_path: Path) -> None:
    keys = [pem(KINDS[kind]().public_key()) for kind in ("P-256", "P-384")]
    (tmp_path / "keys").write_bytes(b"".join(keys))
    with pytest.raises(UsageError, match="more than one"):
        load_public_key(str(tmp_path / "keys"))
