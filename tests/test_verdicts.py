"""`verify`, `gate` and `admitted` agree on a model, whatever was done to it after it was signed and attested."""

import datetime
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import garrison
from garrison.artifacts.loading.refusal import LoadRefused
from garrison.core.errors import UsageError
from garrison.core.gate_policy import gate_policy
from garrison.core.policy import Identity
from garrison.core.policy_file import load_policy
from garrison.provenance.attestations import Approval, attest, attested, directory_of, store, subject_of
from garrison.provenance.attestations.checking import checked
from garrison.provenance.attestations.storage import stored
from garrison.provenance.gate import decide
from garrison.provenance.gate.sources import files
from garrison.provenance.keys import KeySigner, pem
from garrison.provenance.signing import sign, signature_path, verify
from garrison.provenance.trust import Refused, Trust

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
SIGNER, APPROVER = (KeySigner(ec.generate_private_key(ec.SECP256R1())) for _ in range(2))


class Model:
    """A signed directory with an approval beside it."""

    def __init__(self, top: Path) -> None:
        self.path = top / "model"
        (self.path / "sub").mkdir(parents=True)
        for name in ("a.pkl", "b.pkl", "sub/c.pkl"):
            (self.path / name).write_bytes(pickle.dumps({"name": name}))
        (self.path / "config.json").write_text('{"layers": 2}')
        (self.path / "empty").touch()
        keys = []
        for name, key in (("signer", SIGNER), ("approver", APPROVER)):
            keys.append(Identity(name=name, public_key=str(top / f"{name}.pem")))
            (top / f"{name}.pem").write_bytes(pem(key.public_key))
        self.identities = tuple(keys)
        self.signature = Path(signature_path(str(self.path)))
        self.signature.write_bytes(sign(str(self.path), SIGNER).bundle)
        approval = Approval(created=NOW, decision="approved")
        self.approval = attest([subject_of(*attested(str(self.path)))], approval, APPROVER)
        self.attestations = directory_of(str(self.path))
        store(self.approval, "approval", self.attestations)

    def verified(self) -> bool:
        trust = Trust(identities=self.identities[:1])
        try:
            return verify(str(self.path), trust, now=NOW).holds
        except (Refused, UsageError):
            return False

    def passes(self) -> bool:
        policy = gate_policy({"signature": {"signed-by": ["signer"]}, "approvals": {"signed-by": ["approver"]}})
        return decide(str(self.path), policy, self.identities, files.beside(str(self.path)), now=NOW).allowed

    def attests(self) -> bool:
        trust = Trust(identities=self.identities[1:])
        try:
            found = checked(str(self.path), stored(self.attestations), trust, now=NOW)
        except (Refused, UsageError):
            return False
        return bool(found) and all(one.holds for one in found)

    def admitted(self) -> bool:
        try:
            with garrison.admitted(self.path, trust=Trust(identities=self.identities[:1])):
                return True
        except (LoadRefused, UsageError):
            return False


def _in_place_of(model: Model, name: str, make: Callable[[Path], object]) -> None:
    path = model.path / name
    path.unlink()
    make(path)


def _exchange(model: Model) -> None:
    one, other = model.path / "a.pkl", model.path / "b.pkl"
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def _hide_below_the_signature(model: Model) -> None:
    """Its own signature stays among the evidence."""
    store(model.signature.read_bytes(), "signature", model.attestations)
    _in_place_of(model, "model.sig", Path.mkdir)
    (model.signature / "evil.pkl").write_bytes(b"...")


def _hide_below_a_link(model: Model) -> None:
    _hide_below_the_signature(model)
    shutil.move(model.signature, elsewhere := model.path.parent / "elsewhere")
    model.signature.symlink_to(elsewhere)


def _sign_otherwise(model: Model, signer: KeySigner) -> None:
    model.signature.write_bytes(sign(str(model.path), signer).bundle)


SAME: dict[str, Callable[[Model], object]] = {
    "nothing": lambda model: None,
    "an empty directory more": lambda model: (model.path / "more").mkdir(),
    "another mode": lambda model: (model.path / "a.pkl").chmod(0o755),
    "another time": lambda model: os.utime(model.path / "a.pkl", (1, 1)),
    "a hard link": lambda model: os.link(model.path / "a.pkl", model.path.parent / "link"),
    "Git's own": lambda model: (model.path / ".gitattributes").write_text("*.pkl filter=lfs"),
}
OTHER: dict[str, Callable[[Model], object]] = {
    "a byte": lambda model: (model.path / "config.json").write_text('{"layers": 3}'),
    "a byte less": lambda model: (model.path / "config.json").write_text('{"layers": 2'),
    "a byte more": lambda model: (model.path / "config.json").write_text('{"layers": 2}\n'),
    "two exchanged": _exchange,
    "one renamed": lambda model: (model.path / "a.pkl").rename(model.path / "z.pkl"),
    "one in other letters": lambda model: (model.path / "a.pkl").rename(model.path / "A.pkl"),
    "one moved": lambda model: (model.path / "a.pkl").rename(model.path / "sub" / "a.pkl"),
    "one less": lambda model: (model.path / "a.pkl").unlink(),
    "an empty one less": lambda model: (model.path / "empty").unlink(),
    "one more": lambda model: (model.path / "more").write_text("more"),
    "a hidden one more": lambda model: (model.path / ".more").write_text("more"),
    "an empty one more": lambda model: (model.path / "more").touch(),
    "a name with a line's end": lambda model: (model.path / "more\nlines").touch(),
    "a name with a backslash": lambda model: (model.path / "more\\parts").touch(),
    "a name that is no UTF-8": lambda model: Path(os.fsdecode(os.fsencode(model.path) + b"/\xff")).touch(),
    "a directory for a file": lambda model: _in_place_of(model, "a.pkl", Path.mkdir),
    "a link for a file": lambda model: _in_place_of(model, "a.pkl", lambda path: path.symlink_to("b.pkl")),
    "a link more": lambda model: (model.path / "more").symlink_to("a.pkl"),
    "a link to nothing": lambda model: (model.path / "more").symlink_to("nothing"),
    "attestations within": lambda model: (model.path / "approval.json").write_bytes(model.approval),
    "a signature further down": lambda model: shutil.copy(model.signature, model.path / "sub"),
    "no signature": lambda model: model.signature.unlink(),
    "an attestation for a signature": lambda model: model.signature.write_bytes(model.approval),
    "somebody else's signature": lambda model: _sign_otherwise(model, APPROVER),
    "files below the signature": _hide_below_the_signature,
    "files below a link for it": _hide_below_a_link,
}
UNTOUCHED = {"no signature", "an attestation for a signature", "somebody else's signature"}
"""Of these the files are as they were, so that what was said of them holds."""


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return Model(tmp_path)


@pytest.mark.parametrize("alteration", SAME)
def test_the_same_model(model: Model, alteration: str) -> None:
    SAME[alteration](model)
    assert [model.verified(), model.passes(), model.attests(), model.admitted()] == [True] * 4


@pytest.mark.parametrize("alteration", OTHER)
def test_another_model(model: Model, alteration: str) -> None:
    OTHER[alteration](model)
    assert not model.verified()
    assert not model.passes()
    assert not model.admitted()
    assert model.attests() is (alteration in UNTOUCHED)


def test_what_a_model_must_not_hold_is_not_in_the_copy(model: Model) -> None:
    """Links to directories, pipes and stores of version control are no part of what is admitted."""
    (model.path / "link").symlink_to("sub")
    os.mkfifo(model.path / "pipe")
    (model.path / "sub" / ".git").mkdir()
    (model.path / "sub" / ".git" / "evil.pkl").write_bytes(b"...")
    assert not model.verified()
    assert not model.passes()
    with garrison.admitted(model.path, trust=Trust(identities=model.identities[:1])) as copy:
        assert verify(copy, Trust(identities=model.identities[:1]), now=NOW).holds


def test_a_signature_is_no_approval(model: Model) -> None:
    shutil.rmtree(model.attestations)
    store(sign(str(model.path), APPROVER).bundle, "approval", model.attestations)
    assert not model.passes()
    assert not model.attests()


def test_the_policy_s_keys_lie_beside_it_for_whoever_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not where the process happens to be, as in a directory that came with the model."""
    model = tmp_path / "download" / "model.pkl"
    for directory, key in (("policy", SIGNER), ("download", APPROVER)):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "release.pem").write_bytes(pem(key.public_key))
    (tmp_path / "policy" / "garrison.toml").write_text('[[identities]]\nname = "release"\npublic-key = "release.pem"\n')
    model.write_bytes(pickle.dumps([1]))
    monkeypatch.chdir(tmp_path / "download")
    policy = load_policy("../policy/garrison.toml")
    signature = Path(signature_path(str(model)))
    signature.write_bytes(sign(str(model), APPROVER).bundle)
    with pytest.raises(LoadRefused, match="not of this key"):
        garrison.load(model, policy)
    signature.write_bytes(sign(str(model), SIGNER).bundle)
    assert garrison.load(model, policy) == [1]
