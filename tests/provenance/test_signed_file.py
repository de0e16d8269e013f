"""One file of a signed model: its own signature or its directory's must say its bytes, under its name."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from garrison.core.errors import UsageError
from garrison.core.policy import Identity
from garrison.provenance.hashing import Serialization
from garrison.provenance.keys import KeySigner, pem
from garrison.provenance.signed_file import verify_copy
from garrison.provenance.signing import sign, signature_path
from garrison.provenance.trust import Refused, Trust

SIGNER = KeySigner(ec.generate_private_key(ec.SECP256R1()))
OTHER = KeySigner(ec.generate_private_key(ec.SECP256R1()))


def trusting(tmp_path: Path, signer: KeySigner) -> Trust:
    (tmp_path / "key.pem").write_bytes(pem(signer.public_key))
    return Trust(identities=(Identity(name="alice", public_key="key.pem"),), base=str(tmp_path))


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    return trusting(tmp_path, SIGNER)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    model = tmp_path / "model"
    (model / "parts").mkdir(parents=True)
    (model / "a.bin").write_bytes(b"a" * 700)
    (model / "parts" / "b.bin").write_bytes(b"b" * 700)
    (model / "empty").touch()
    return model


def signed(model: Path, serialization: Serialization | None = None) -> None:
    path = Path(signature_path(str(model)))
    given = {} if serialization is None else {"serialization": serialization}
    path.write_bytes(sign(str(model), SIGNER, signature=str(path), **given).bundle)  # type: ignore[arg-type]


def check(original: Path, trust: Trust) -> str:
    """Verify a copy of the file that is called otherwise, as a private copy may be."""
    copy = original.parent.parent / "copy"
    shutil.copyfile(original, copy)
    return verify_copy(str(copy), str(original), trust).identity


@pytest.mark.parametrize(
    "serialization",
    [None, Serialization(algorithm="sha256"), Serialization(method="shards", algorithm="sha256", shard_size=300)],
)
def test_a_file_of_a_signed_directory(serialization: Serialization | None, model: Path, trust: Trust) -> None:
    signed(model, serialization)
    for name in ("a.bin", "parts/b.bin", "empty"):
        assert check(model / name, trust) == "alice"


ALTERATIONS: dict[str, Callable[[Path], object]] = {
    "other bytes": lambda model: (model / "a.bin").write_bytes(b"b" * 700),
    "a byte more": lambda model: (model / "a.bin").write_bytes(b"a" * 701),
    "another signed file": lambda model: shutil.copyfile(model / "parts" / "b.bin", model / "a.bin"),
    "no bytes": lambda model: (model / "a.bin").write_bytes(b""),
    "no signature": lambda model: (model / "model.sig").unlink(),
    "a signature that is none": lambda model: (model / "model.sig").write_bytes(b"{}"),
    "a signature of its own over another file": lambda model: shutil.copyfile(model / "model.sig", model / "a.bin.sig"),
}


@pytest.mark.parametrize("alteration", ALTERATIONS)
@pytest.mark.parametrize("method", ["files", "shards"])
def test_alterations(alteration: str, method: str, model: Path, trust: Trust) -> None:
    shards = Serialization(method="shards", algorithm="sha256", shard_size=300)
    signed(model, shards if method == "shards" else None)
    ALTERATIONS[alteration](model)
    with pytest.raises(Refused):
        check(model / "a.bin", trust)


def test_a_file_that_the_signature_does_not_name(model: Path, trust: Trust) -> None:
    signed(model)
    shutil.copyfile(model / "a.bin", model / "c.bin")
    with pytest.raises(Refused, match=r"names no c\.bin"):
        check(model / "c.bin", trust)


def test_somebody_elses_signature(model: Path, tmp_path: Path) -> None:
    signed(model)
    with pytest.raises(Refused):
        check(model / "a.bin", trusting(tmp_path, OTHER))
    with pytest.raises(UsageError):
        check(model / "a.bin", Trust(identities=()))


def test_a_signature_of_its_own(model: Path, trust: Trust) -> None:
    signed(model / "a.bin")
    assert check(model / "a.bin", trust) == "alice"
    (model / "a.bin").write_bytes(b"a" * 701)
    with pytest.raises(Refused, match="not as it was signed"):
        check(model / "a.bin", trust)


def test_a_signature_that_is_named(model: Path, trust: Trust, tmp_path: Path) -> None:
    bundle = sign(str(model / "a.bin"), SIGNER).bundle
    (tmp_path / "elsewhere").write_bytes(bundle)
    found = verify_copy(str(model / "a.bin"), str(model / "a.bin"), trust, signature=str(tmp_path / "elsewhere"))
    assert found.kind == "key"
    with pytest.raises(UsageError):
        verify_copy(str(model / "a.bin"), str(model / "a.bin"), trust, signature=str(tmp_path / "absent"))
