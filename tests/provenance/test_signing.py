"""Signing models and verifying them: what holds, and what each alteration of a model is called."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from garrison.core.errors import UsageError
from garrison.core.policy import Identity
from garrison.provenance import model_statement
from garrison.provenance.bundles import CertificateSigner
from garrison.provenance.hashing import DEFAULT_SERIALIZATION, Difference, Serialization
from garrison.provenance.keys import KeySigner, pem
from garrison.provenance.signing import SIGNATURE_NAME, Verification, sign, signature_path, verify
from garrison.provenance.trust import Refused, Trust
from tests.provenance.authorities import NOW, authority

SIGNER = KeySigner(ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    (tmp_path / "key.pem").write_bytes(pem(SIGNER.public_key))
    return Trust(identities=(Identity(name="alice", public_key="key.pem"),), base=str(tmp_path))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return made(tmp_path / "model")


def made(folder: Path) -> Path:
    """A small model with an empty file and a directory in it."""
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"\x01" * 1000)
    (folder / "config.json").write_text("{}")
    (folder / "empty").touch()
    (folder / "tokenizer" / "vocab.txt").write_text("a\nb\n")
    return folder


def signed(model: Path, **more: Any) -> bytes:
    path = Path(more.pop("signature", signature_path(str(model))))
    bundle = sign(str(model), SIGNER, signature=str(path), **more).bundle
    path.write_bytes(bundle)
    return bundle


def checked(model: Path, trust: Trust, **more: Any) -> Verification:
    return verify(str(model), trust, now=NOW, **more)


SERIALIZATIONS = {
    "the default": DEFAULT_SERIALIZATION,
    "SHA-256": Serialization(algorithm="sha256"),
    "BLAKE2b": Serialization(algorithm="blake2b"),
    "shards": Serialization(method="shards", algorithm="sha256", shard_size=300),
    "shards of BLAKE3": Serialization(method="shards", shard_size=1 << 40),
    "symbolic links": Serialization(follow_symlinks=True),
}


@pytest.mark.parametrize("how", SERIALIZATIONS)
def test_what_is_signed_verifies(how: str, model: Path, trust: Trust) -> None:
    bundle = signed(model, serialization=SERIALIZATIONS[how])
    found = checked(model, trust)
    assert found.holds and not found.passed_over and found.signatory.identity == "alice"
    assert bundle == signed(model, serialization=SERIALIZATIONS[how])


def test_one_file_has_its_signature_beside_it(tmp_path: Path, trust: Trust) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"weights")
    signed(path)
    assert (tmp_path / "model.onnx.sig").exists() and checked(path, trust).holds
    path.write_bytes(b"others!")
    assert checked(path, trust).difference == Difference(changed=(".",))


def test_a_signature_may_lie_anywhere(model: Path, trust: Trust, tmp_path: Path) -> None:
    for place in (tmp_path / "elsewhere.sig", model / "tokenizer" / "v1.sig", model / "model.sig"):
        signed(model, signature=place)
        assert checked(model, trust, signature=str(place)).holds
        place.unlink()


def test_a_signature_that_is_brought_into_the_model_does_not_count_as_added(
    model: Path, trust: Trust, tmp_path: Path
) -> None:
    signed(model, signature=tmp_path / "elsewhere.sig")
    os.rename(tmp_path / "elsewhere.sig", model / SIGNATURE_NAME)
    assert checked(model, trust).holds


def swap(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


ALTERATIONS: dict[str, tuple[Any, Difference]] = {
    "with a bit flipped": (
        lambda m: (m / "weights.bin").write_bytes(b"\x01" * 999 + b"\0"),
        Difference(changed=("weights.bin",)),
    ),
    "cut short": (lambda m: os.truncate(m / "weights.bin", 999), Difference(changed=("weights.bin",))),
    "emptied": (lambda m: os.truncate(m / "weights.bin", 0), Difference(changed=("weights.bin",))),
    "with something appended": (lambda m: os.truncate(m / "weights.bin", 1001), Difference(changed=("weights.bin",))),
    "that was empty, filled": (lambda m: (m / "empty").write_text("x"), Difference(changed=("empty",))),
    "removed": (lambda m: (m / "config.json").unlink(), Difference(missing=("config.json",))),
    "that was empty, removed": (lambda m: (m / "empty").unlink(), Difference(missing=("empty",))),
    "added": (lambda m: (m / "code.py").write_text("1"), Difference(added=("code.py",))),
    "that is empty, added": (lambda m: (m / "__init__.py").touch(), Difference(added=("__init__.py",))),
    "added with Git's name, further down": (
        lambda m: (m / "tokenizer/.git").write_text("1"),
        Difference(added=("tokenizer/.git",)),
    ),
    "renamed": (
        lambda m: (m / "config.json").rename(m / "confiG.json"),
        Difference(missing=("config.json",), added=("confiG.json",)),
    ),
    "moved": (
        lambda m: (m / "config.json").rename(m / "tokenizer/config.json"),
        Difference(missing=("config.json",), added=("tokenizer/config.json",)),
    ),
    "exchanged with another": (
        lambda m: swap(m / "config.json", m / "empty"),
        Difference(changed=("config.json", "empty")),
    ),
}


@pytest.mark.parametrize("how", ["the default", "shards", "shards of BLAKE3"])
@pytest.mark.parametrize("what", ALTERATIONS)
def test_each_file_that_is_not_as_it_was_is_named(what: str, how: str, model: Path, trust: Trust) -> None:
    signed(model, serialization=SERIALIZATIONS[how])
    alter, difference = ALTERATIONS[what]
    alter(model)
    found = checked(model, trust)
    assert not found.holds and found.difference == difference


def test_the_signature_of_another_model_or_another_version(model: Path, trust: Trust, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "weights.bin").write_bytes(b"\x02")
    signed(other)
    assert not checked(model, trust, signature=str(other / SIGNATURE_NAME)).holds


def test_what_the_signer_left_out_is_let_through_only_by_who_leaves_it_out_too(model: Path, trust: Trust) -> None:
    (model / "notes").mkdir()
    (model / "notes" / "a.txt").write_text("unsigned")
    signed(model, serialization=msgspec.structs.replace(DEFAULT_SERIALIZATION, ignored=("notes",)))
    assert checked(model, trust).difference == Difference(added=("notes/a.txt",))
    found = checked(model, trust, ignored=["notes"])
    assert found.holds and found.passed_over == ("notes",)


@pytest.mark.parametrize("name", [".", "", "..", "/", "weights.bin"])
def test_a_signature_that_leaves_out_the_model_itself(name: str, model: Path, trust: Trust, tmp_path: Path) -> None:
    """Whatever a signed statement says it passed over, files of the model are compared."""
    bundle = signed(model)
    import base64
    import json

    from garrison.provenance.bundles import write

    statement = json.loads(base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"]))
    statement["predicate"]["serialization"]["ignore_paths"] = [name]
    (model / SIGNATURE_NAME).write_bytes(write(json.dumps(statement).encode(), SIGNER))
    (model / "weights.bin").write_bytes(b"other")
    assert not checked(model, trust).holds


def test_what_is_left_out_is_named_and_so_must_be_text(model: Path) -> None:
    with pytest.raises(UsageError, match="UTF-8"):
        sign(str(model), SIGNER, serialization=Serialization(ignored=(os.fsdecode(b"\xff"),)))
    with pytest.raises(UsageError, match="UTF-8"):
        sign(str(model), SIGNER, signature=str(model / os.fsdecode(b"\xff")))


def test_what_would_be_too_large_to_read_again_is_not_signed(
    model: Path, trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(base64.b64decode(json.loads(signed(model))["dsseEnvelope"]["payload"]))
    monkeypatch.setattr(model_statement, "_PAYLOAD_BYTES", size)
    assert signed(model) and checked(model, trust).holds
    monkeypatch.setattr(model_statement, "_PAYLOAD_BYTES", size - 1)
    with pytest.raises(Refused, match="more than"):
        signed(model)


def test_git_s_own_files_are_left_out_and_said(model: Path, trust: Trust) -> None:
    signed(model)
    (model / ".git").mkdir()
    (model / ".git" / "HEAD").write_text("ref: refs/heads/main")
    found = checked(model, trust)
    assert found.holds and found.passed_over == (".git",)


def test_git_s_own_files_count_where_the_signer_did_not_leave_them_out(model: Path, trust: Trust) -> None:
    signed(model, serialization=Serialization())
    (model / ".gitignore").write_text("*")
    assert checked(model, trust).difference == Difference(added=(".gitignore",))


def test_who_leaves_out_a_signed_file_misses_it(model: Path, trust: Trust) -> None:
    signed(model)
    assert checked(model, trust, ignored=["config.json"]).difference == Difference(missing=("config.json",))


def test_certificates_are_judged_at_the_time_of_verification(model: Path, tmp_path: Path) -> None:
    root = authority()
    holder = root.signer()
    (tmp_path / "root.pem").write_bytes(root.pem)
    signer = CertificateSigner(KeySigner(holder.key), holder.chain)
    (model / SIGNATURE_NAME).write_bytes(sign(str(model), signer).bundle)
    trust = Trust(identities=(Identity(name="alice", authorities=str(tmp_path / "root.pem"), subject="alice@*"),))
    assert checked(model, trust).holds
    with pytest.raises(Refused, match="expired"):
        verify(str(model), trust, now=NOW.replace(year=2030))


def test_models_that_cannot_be_signed(model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(Refused):
        sign(str(tmp_path / "empty"), SIGNER)
    with pytest.raises(UsageError):
        sign(str(tmp_path / "nowhere"), SIGNER)
    with pytest.raises(UsageError, match="Ed25519"):
        sign(str(model), KeySigner(ed25519.Ed25519PrivateKey.generate()))


def test_a_signature_that_is_not_there(model: Path, trust: Trust) -> None:
    with pytest.raises(Refused, match="not signed"):
        checked(model, trust)
    with pytest.raises(UsageError, match="No such file"):
        checked(model, trust, signature=str(model / "elsewhere.sig"))
    with pytest.raises(UsageError, match="No such file"):
        checked(model / "nowhere", trust)
