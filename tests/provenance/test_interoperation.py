"""Both ways with the real `model_signing`: what garrison signs it verifies, and what it signs garrison verifies."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from model_signing import hashing, signing, verifying

from garrison.core.policy import Identity
from garrison.provenance.bundles import CertificateSigner
from garrison.provenance.hashing import DEFAULT_SERIALIZATION, Difference, Serialization
from garrison.provenance.keys import KeySigner, pem
from garrison.provenance.signing import sign, verify
from garrison.provenance.trust import Refused, Trust
from tests.provenance.authorities import NOW, Holder, authority

CURVES = [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()]
GIT = DEFAULT_SERIALIZATION.ignored


class Bench:
    """A model, and a key and a certificate to sign it with, as both sides want them."""

    def __init__(self, directory: Path, curve: ec.EllipticCurve) -> None:
        self.directory = directory
        self.model = directory / "model"
        (self.model / "a").mkdir(parents=True)
        for name in ("weights", "a.txt", "a/b", "a/empty", "ümlaut"):
            (self.model / name).write_bytes(name.encode() * 500 if name != "a/empty" else b"")
        self.signature = directory / "model.sig"
        root = authority()
        middle = root.authority("middle")
        self.holder: Holder = middle.signer(key=ec.generate_private_key(curve))
        self.signer = KeySigner(self.holder.key)
        self._write("key", self.holder.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self._write("key.pub", pem(self.signer.public_key))
        self._write("leaf.pem", self.holder.pem)
        self._write("middle.pem", middle.pem)
        self._write("root.pem", root.pem)

    def _write(self, name: str, data: bytes) -> None:
        (self.directory / name).write_bytes(data)

    def path(self, name: str) -> Path:
        return self.directory / name

    def trust(self, kind: str = "key") -> Trust:
        key = Identity(name="alice", public_key="key.pub")
        certificate = Identity(name="alice", authorities="root.pem", subject="alice@example.com")
        return Trust(identities=(key if kind == "key" else certificate,), base=str(self.directory))

    def sign(self, *, certificate: bool = False, **more: Any) -> None:
        signer = CertificateSigner(self.signer, self.holder.chain) if certificate else self.signer
        bundle = sign(str(self.model), signer, signature=str(self.signature), **more).bundle
        self.signature.write_bytes(bundle)

    def verify(self, kind: str = "key", **more: Any) -> Any:
        return verify(str(self.model), self.trust(kind), signature=str(self.signature), now=NOW, **more)


@pytest.fixture(params=CURVES, ids=lambda curve: curve.name)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    return Bench(tmp_path, request.param)


@pytest.fixture
def one(tmp_path: Path) -> Bench:
    return Bench(tmp_path, CURVES[0])


def theirs(bench: Bench) -> verifying.Config:
    return verifying.Config().use_elliptic_key_verifier(public_key=bench.path("key.pub"))


def test_they_verify_what_garrison_signs_with_a_key(bench: Bench) -> None:
    bench.sign()
    theirs(bench).verify(bench.model, bench.signature)
    (bench.model / "weights").write_bytes(b"other")
    with pytest.raises(ValueError, match="mismatch"):
        theirs(bench).verify(bench.model, bench.signature)


def test_they_verify_what_garrison_signs_with_a_certificate(bench: Bench) -> None:
    bench.sign(certificate=True)
    config = verifying.Config().use_certificate_verifier(certificate_chain=[bench.path("root.pem")])
    config.verify(bench.model, bench.signature)


def test_garrison_verifies_what_they_sign_with_a_key(bench: Bench) -> None:
    signing.Config().use_elliptic_key_signer(private_key=bench.path("key")).sign(bench.model, bench.signature)
    assert bench.verify().holds
    (bench.model / "weights").write_bytes(b"other")
    assert bench.verify().difference == Difference(changed=("weights",))


def test_garrison_verifies_what_they_sign_with_a_certificate(bench: Bench) -> None:
    signing.Config().use_certificate_signer(
        private_key=bench.path("key"),
        signing_certificate=bench.path("leaf.pem"),
        certificate_chain=[bench.path("middle.pem")],
    ).sign(bench.model, bench.signature)
    found = bench.verify("certificate")
    assert found.holds and found.signatory.subject == "alice@example.com"
    with pytest.raises(Refused, match="expired"):
        verify(str(bench.model), bench.trust("certificate"), signature=str(bench.signature), now=NOW.replace(year=2030))


HASHING: dict[str, tuple[hashing.Config, Serialization]] = {
    "sha256": (
        hashing.Config().use_file_serialization(hashing_algorithm="sha256"),
        Serialization(algorithm="sha256", ignored=GIT),
    ),
    "blake2b": (
        hashing.Config().use_file_serialization(hashing_algorithm="blake2"),
        Serialization(algorithm="blake2b", ignored=GIT),
    ),
    "blake3": (
        hashing.Config().use_file_serialization(hashing_algorithm="blake3"),
        Serialization(algorithm="blake3", ignored=GIT),
    ),
    "shards": (
        hashing.Config().use_shard_serialization(shard_size=700),
        Serialization(method="shards", algorithm="sha256", shard_size=700, ignored=GIT),
    ),
}


@pytest.mark.parametrize("how", HASHING)
def test_both_hash_alike(how: str, one: Bench) -> None:
    their_way, our_way = HASHING[how]
    (one.model / "a" / "empty").unlink()  # they leave an empty file out of shards
    if our_way.method == "files":  # under shards they expect an algorithm's name that the format does not have
        one.sign(serialization=our_way)
        theirs(one).set_hashing_config(their_way).verify(one.model, one.signature)
    config = signing.Config().use_elliptic_key_signer(private_key=one.path("key"))
    config.set_hashing_config(their_way).sign(one.model, one.signature)
    assert one.verify().holds


def test_an_empty_file_that_they_leave_out_of_shards_counts_as_added(one: Bench) -> None:
    config = signing.Config().use_elliptic_key_signer(private_key=one.path("key"))
    config.set_hashing_config(HASHING["shards"][0]).sign(one.model, one.signature)
    assert one.verify().difference == Difference(added=("a/empty",))


def test_one_file(one: Bench) -> None:
    one.model = one.model / "weights"
    one.sign()
    theirs(one).verify(one.model, one.signature)
    signing.Config().use_elliptic_key_signer(private_key=one.path("key")).sign(one.model, one.signature)
    assert one.verify().holds


def test_what_is_left_out(one: Bench) -> None:
    left_out = Serialization(ignored=(*GIT, "a"))
    one.sign(serialization=left_out)
    theirs(one).verify(one.model, one.signature)
    their_way = hashing.Config().set_ignored_paths(paths=["a"])
    config = signing.Config().use_elliptic_key_signer(private_key=one.path("key"))
    config.set_hashing_config(their_way).sign(one.model, one.signature)
    assert one.verify().difference == Difference(added=("a/b", "a/empty"))
    assert one.verify(ignored=["a"]).holds


def test_a_signature_within_the_model(one: Bench) -> None:
    one.signature = one.model / "model.sig"
    one.sign()
    theirs(one).verify(one.model, one.signature)
    one.signature.unlink()
    their_way = hashing.Config().set_ignored_paths(paths=["model.sig"])
    config = signing.Config().use_elliptic_key_signer(private_key=one.path("key"))
    config.set_hashing_config(their_way).sign(one.model, one.signature)
    assert one.verify().holds


def test_links(one: Bench) -> None:
    (one.model / "link").symlink_to("weights")
    one.sign(serialization=Serialization(algorithm="sha256", follow_symlinks=True, ignored=GIT))
    their_way = hashing.Config().use_file_serialization(allow_symlinks=True).set_allow_symlinks(True)
    theirs(one).set_hashing_config(their_way).verify(one.model, one.signature)
    config = signing.Config().use_elliptic_key_signer(private_key=one.path("key"))
    config.set_hashing_config(their_way).sign(one.model, one.signature)
    assert one.verify().holds


def test_their_command_line(one: Bench) -> None:
    """It hashes with SHA-256, whatever the bundle says."""
    one.signature = one.model / "model.sig"
    one.sign()
    place = [str(one.model), "--signature", str(one.signature)]
    for command in (["verify", "key", "--public_key", "key.pub"], ["sign", "key", "--private_key", "key"]):
        whole = [sys.executable, "-m", "model_signing", *command, *place]
        subprocess.run(whole, cwd=one.directory, check=True, capture_output=True)
    assert one.verify().holds


def test_names_that_sort_otherwise_by_their_parts(one: Bench) -> None:
    """`a.txt` comes before `a/b` by code points, and after it as they sort; either order is read."""
    names = []
    for config in (None, signing.Config().use_elliptic_key_signer(private_key=one.path("key"))):
        if config:
            config.sign(one.model, one.signature)
        else:
            one.sign()
        names.append([entry.name for entry in one.verify().manifest.entries])
    assert sorted(names[0]) == names[0] and sorted(names[1]) == names[0]
