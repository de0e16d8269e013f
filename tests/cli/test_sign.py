"""`garrison sign` and `garrison verify`: what they say, their exit codes, and that nobody is trusted unasked."""

import datetime
import json
import os
import time
from pathlib import Path

import pytest

from garrison.cli.main import main
from tests.provenance import softhsm
from tests.provenance.authorities import authority
from tests.provenance.sigstore_instance import ACCOUNT, ISSUER, Instance, token
from tests.provenance.softhsm import PIN, SoftToken

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GARRISON_PASSPHRASE", raising=False)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_bytes(b"weights")
    assert main(["key", "generate", "--output", "key"]) == 0
    assert main(["key", "generate", "--output", "other"]) == 0
    capsys.readouterr()
    return tmp_path


def test_a_model_that_was_signed_is_verified(place: Path, capsys: Captured) -> None:
    for _ in range(2):
        assert main(["sign", "model", "--key", "key"]) == 0
        assert capsys.readouterr().out == "signed: model, 1 file, in model/model.sig\n"
    assert main(["verify", "model", "--public-key", "key.pub"]) == 0
    assert capsys.readouterr().out == "verified: model, 1 file, signed by key.pub\n"


def test_each_file_that_is_not_as_it_was_is_named(place: Path, capsys: Captured) -> None:
    (place / "model" / "a").touch()
    assert main(["sign", "model", "--key", "key", "--quiet"]) == 0
    (place / "model" / "a").unlink()
    (place / "model" / "weights.bin").write_bytes(b"others")
    (place / "model" / "\x1b[2Jnew\nverified: model").touch()
    assert main(["verify", "model", "--public-key", "key.pub", "--quiet"]) == 1
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "refused: model is not what was signed by key.pub"
    assert lines == ["missing: a", "added: \\x1b[2Jnew\\nverified: model", "changed: weights.bin"]


def test_nobody_else_s_signature_counts(place: Path, capsys: Captured) -> None:
    main(["sign", "model", "--key", "other", "--quiet"])
    assert main(["verify", "model", "--public-key", "key.pub"]) == 1
    assert capsys.readouterr().out == "refused: model: the signature is not of this key over this payload\n"
    assert main(["verify", "model", "--public-key", "key.pub", "--public-key", "other.pub"]) == 0


def test_without_trust_there_is_no_answer(place: Path, capsys: Captured) -> None:
    main(["sign", "model", "--key", "key", "--quiet"])
    assert main(["verify", "model"]) == 2
    assert "whose signature counts?" in capsys.readouterr().err
    (place / "garrison.toml").write_text('threshold = "low"\n')
    assert main(["verify", "model"]) == 2


def test_the_policy_says_whose_signatures_count(place: Path, capsys: Captured) -> None:
    (place / "team").mkdir()
    (place / "key.pub").rename(place / "team" / "alice.pub")
    (place / "other.pub").rename(place / "team" / "bob.pub")
    (place / "team" / "garrison.toml").write_text(
        "".join(f'[[identities]]\nname = "{name}"\npublic-key = "{name}.pub"\n' for name in ("alice", "bob"))
    )
    main(["sign", "model", "--key", "other", "--quiet"])
    policy = ["--policy", "team/garrison.toml"]
    assert main(["verify", "model", *policy]) == 0
    assert capsys.readouterr().out.endswith("signed by bob, trusted by team/garrison.toml\n")
    assert main(["verify", "model", *policy, "--identity", "bob"]) == 0
    assert main(["verify", "model", *policy, "--identity", "alice"]) == 1
    assert main(["verify", "model", *policy, "--identity", "carol"]) == 2


def test_one_name_may_have_two_keys(place: Path, capsys: Captured) -> None:
    both = "".join(f'[[identities]]\nname = "alice"\npublic-key = "{key}.pub"\n' for key in ("key", "other"))
    (place / "garrison.toml").write_text(both)
    for key in ("key", "other"):
        main(["sign", "model", "--key", key, "--quiet"])
        assert main(["verify", "model", "--identity", "alice"]) == 0
        assert main(["verify", "model"]) == 0


def test_a_policy_within_the_model_has_no_say(place: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "model" / "garrison.toml").write_text('[[identities]]\nname = "mallory"\npublic-key = "../other.pub"\n')
    main(["sign", "model", "--key", "other", "--quiet"])
    monkeypatch.chdir(place / "model")
    assert main(["verify", "."]) == 2
    assert "lies in what it is to judge" in capsys.readouterr().err
    assert main(["verify", ".", "--policy", "garrison.toml"]) == 0
    assert main(["verify", ".", "--public-key", "../other.pub"]) == 0
    assert main(["verify", ".", "--public-key", "../key.pub"]) == 1


def test_certificates(place: Path, capsys: Captured) -> None:
    now = datetime.datetime.now(datetime.UTC)
    times = {"begin": now - datetime.timedelta(days=1), "end": now + datetime.timedelta(days=1)}
    root = authority(**times)
    middle = root.authority("middle", **times)
    holder = middle.signer(**times)
    from tests.provenance.test_keys import written

    written(holder.key, place / "leaf.key")
    (place / "chain.pem").write_bytes(holder.pem + middle.pem)
    (place / "root.pem").write_bytes(root.pem)
    assert main(["sign", "model", "--key", "leaf.key", "--certificate", "chain.pem", "--quiet"]) == 0
    trusted = ["verify", "model", "--authorities", "root.pem", "--subject"]
    assert main([*trusted, "*@example.com"]) == 0
    out = capsys.readouterr().out
    assert "signed by alice@example.com (*@example.com), says CN=middle" in out
    assert main([*trusted, "bob@example.com"]) == 1
    assert main(trusted[:-1]) == 2
    assert main(["sign", "model", "--key", "key", "--certificate", "chain.pem"]) == 2


def test_the_result_for_machines(place: Path, capsys: Captured) -> None:
    main(["sign", "model", "--key", "key", "--quiet"])
    command = ["verify", "model", "--format", "json", "--public-key"]
    assert main([*command, "key.pub"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verified"] and found["files"] == 1 and len(found["root"]) == 64 and not found["changed"]
    assert found["signatory"]["kind"] == "key" and found["signatory"]["time"] is None
    (place / "model" / "new").touch()
    assert main([*command, "key.pub"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["verified"] and found["added"] == ["new"]
    assert main([*command, "other.pub"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["verified"] and "not of this key" in found["reason"]


def test_what_is_left_out_is_said(place: Path, capsys: Captured) -> None:
    (place / "model" / "notes").write_text("draft")
    assert main(["sign", "model", "--key", "key", "--ignore", "notes"]) == 0
    assert capsys.readouterr().out.endswith("not signed: notes\n")
    assert main(["verify", "model", "--public-key", "key.pub"]) == 1
    assert "added: notes\n" in capsys.readouterr().out
    assert main(["verify", "model", "--public-key", "key.pub", "--ignore", "notes"]) == 0
    assert "not signed: notes\n" in capsys.readouterr().out


def test_one_file_and_a_place_for_its_signature(place: Path, capsys: Captured) -> None:
    file = "model/weights.bin"
    assert main(["sign", file, "--key", "key"]) == 0
    assert capsys.readouterr().out == f"signed: {file}, 1 file, in {file}.sig\n"
    assert main(["verify", file, "--public-key", "key.pub"]) == 0
    assert main(["sign", file, "--key", "key", "--signature", "s"]) == 0
    assert main(["verify", file, "--public-key", "key.pub", "--signature", "s"]) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["model"],
        ["model", "--key", "key", "--pkcs11", "pkcs11:"],
        ["model", "--key", "key", "--sigstore"],
        ["model", "--key", "key", "--trust-config", "key"],
        ["model", "--sigstore", "--certificate", "key"],
        ["model", "--key", "key.pub"],
        ["model", "--key", "nowhere"],
        ["model", "--key", "key", "--certificate", "key.pub"],
        ["model", "--key", "key", "--signature", "nowhere/s"],
        ["model", "--key", "key", "--signature", "model"],
        ["nowhere", "--key", "key"],
        ["", "--key", "key"],
        *(["model", "--key", "key", "--ignore", path] for path in ("", ".", "./", "..", "../a", "a/../..", "/a")),
        ["model", "--pkcs11", "pkcs11:token=a"],
    ],
)
def test_mistakes_of_who_signs(arguments: list[str], place: Path, capsys: Captured) -> None:
    assert main(["sign", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (place / "model" / "model.sig").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["model"],
        ["model", "--public-key", "key"],
        ["model", "--public-key", "nowhere"],
        ["model", "--authorities", "key"],
        ["model", "--authorities", "key", "--subject", "*"],
        ["model", "--sigstore-identity", "a"],
        ["model", "--sigstore-issuer", "a"],
        ["model", "--public-key", "key.pub", "--trusted-root", "a"],
        ["model", "--public-key", "key.pub", "--signature", "nowhere"],
        ["nowhere", "--public-key", "key.pub"],
    ],
)
def test_mistakes_of_who_verifies(arguments: list[str], place: Path, capsys: Captured) -> None:
    main(["sign", "model", "--key", "key", "--quiet"])
    assert main(["verify", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_models_that_cannot_be_signed(place: Path, capsys: Captured) -> None:
    (place / "empty").mkdir()
    (place / "model" / "link").symlink_to("weights.bin")
    for model in ("empty", "model"):
        assert main(["sign", model, "--key", "key"]) == 1
        assert capsys.readouterr().out.startswith(f"refused: {model}: ")
        assert not (place / model / "model.sig").exists()


def test_a_link_in_a_model_does_not_say_where_its_signature_goes(place: Path, capsys: Captured) -> None:
    (place / "mine").write_text("mine")
    (place / "model" / "model.sig").symlink_to(place / "mine")
    assert main(["sign", "model", "--key", "key"]) == 2
    assert "a link" in capsys.readouterr().err and (place / "mine").read_text() == "mine"


def test_a_pipe_in_a_model_is_not_waited_at(place: Path, capsys: Captured) -> None:
    os.mkfifo(place / "model" / "model.sig")
    assert main(["verify", "model", "--public-key", "key.pub"]) == 1
    assert "not a regular file" in capsys.readouterr().out
    assert main(["sign", "model", "--key", "key"]) == 2
    assert "is no file" in capsys.readouterr().err


@pytest.mark.parametrize("path", ["cache", "cache/", "./cache", "cache//"])
def test_what_is_left_out_may_be_written_in_any_way(path: str, place: Path, capsys: Captured) -> None:
    (place / "model" / "cache").mkdir()
    (place / "model" / "cache" / "a").touch()
    assert main(["sign", "model", "--key", "key", "--ignore", path]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["not signed: cache"]
    assert main(["verify", "model", "--public-key", "key.pub", "--ignore", path]) == 0


def test_a_model_without_a_signature(place: Path, capsys: Captured) -> None:
    assert main(["verify", "model", "--public-key", "key.pub"]) == 1
    assert capsys.readouterr().out == "refused: model: not signed: model/model.sig: No such file or directory\n"


def test_an_encrypted_key_asks_the_environment(place: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GARRISON_PASSPHRASE", "lang")
    main(["key", "generate", "--output", "locked", "--passphrase"])
    assert main(["sign", "model", "--key", "locked"]) == 0
    monkeypatch.setenv("GARRISON_PASSPHRASE", "kurz")
    assert main(["sign", "model", "--key", "locked"]) == 2
    monkeypatch.delenv("GARRISON_PASSPHRASE")
    assert main(["sign", "model", "--key", "locked"]) == 2
    said = capsys.readouterr().err
    assert "does not open" in said and "no passphrase" in said and "kurz" not in said


@softhsm.needed
def test_a_key_in_a_token(
    place: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    from garrison.provenance.keys import pem

    monkeypatch.setenv("SOFTHSM2_CONF", "")
    card = SoftToken(tmp_path_factory.mktemp("token"))
    key = ec.generate_private_key(ec.SECP256R1())
    card.add(key, "release", "01")
    (place / "token.pub").write_bytes(pem(key.public_key()))
    monkeypatch.setenv("GARRISON_PIN", PIN)
    assert main(["sign", "model", "--pkcs11", card.uri(";object=release")]) == 0
    assert main(["verify", "model", "--public-key", "token.pub"]) == 0
    now = datetime.datetime.now(datetime.UTC)
    root = authority(end=now + datetime.timedelta(days=1))
    (place / "root.pem").write_bytes(root.pem)
    (place / "leaf.pem").write_bytes(root.signer(key=key, end=now + datetime.timedelta(days=1)).pem)
    assert main(["sign", "model", "--pkcs11", card.uri(";object=release"), "--certificate", "leaf.pem"]) == 0
    assert main(["verify", "model", "--authorities", "root.pem", "--subject", "alice@example.com"]) == 0
    monkeypatch.setenv("GARRISON_PIN", "4321")
    assert main(["sign", "model", "--pkcs11", card.uri(";object=release")]) == 2
    assert "does not open" in capsys.readouterr().err


def test_sigstore(place: Path, capsys: Captured) -> None:
    instance = Instance()
    (place / "root.json").write_text(json.dumps(instance.trusted_root()))
    (place / "token").write_text(f"{token()}\n")
    keyless = ["--sigstore", "--identity-token", "token", "--trust-config", "instance.json"]
    with instance.served() as configuration:
        (place / "instance.json").write_text(json.dumps(configuration))
        assert main(["sign", "model", *keyless, "--quiet"]) == 0
    assert main(["sign", "model", *keyless, "--quiet"]) == 3
    assert "Sigstore does not sign" in capsys.readouterr().err
    trusted = ["verify", "model", "--sigstore-identity", "alice@*", "--sigstore-issuer", ISSUER]
    assert main([*trusted, "--trusted-root", "root.json"]) == 0
    assert f"signed by {ACCOUNT} (alice@*), says {ISSUER}, on 20" in capsys.readouterr().out
    assert main(trusted) == 1


def test_a_scan_of_a_signed_model_stays_quiet(place: Path, capsys: Captured) -> None:
    main(["sign", "model", "--key", "key", "--quiet"])
    assert main(["scan", "model", "--format", "json"]) == 0
    assert not json.loads(capsys.readouterr().out)["findings"]


def test_unchanged_files_are_trusted_only_when_asked(
    place: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "caches"))
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 3600 * 10**9)  # the files are not fresh
    main(["sign", "model", "--key", "key", "--quiet"])
    verify = ["verify", "model", "--public-key", "key.pub", "--quiet"]
    assert main(verify) == 0
    assert not (place / "caches").exists()
    assert main([*verify, "--trust-unchanged"]) == 0
    with monkeypatch.context() as patched:
        patched.setattr(os, "read", None)  # whoever reads a file of the model now fails
        assert main([*verify, "--trust-unchanged"]) == 0
        assert main(verify) == 3
    (place / "model" / "weights.bin").write_bytes(b"WEIGHTS")
    assert main([*verify, "--trust-unchanged"]) == 1


def test_what_is_ignored_lies_below_the_model(place: Path, capsys: Captured) -> None:
    (place / "model" / "logs").mkdir()
    (place / "model" / "logs" / "today").touch()
    assert main(["sign", "model", "--key", "key", "--ignore", "./logs/"]) == 0
    assert "not signed: logs\n" in capsys.readouterr().out
    for path in ("", ".", "logs/..", "../model/logs", "..", str(place / "model" / "logs")):
        assert main(["sign", "model", "--key", "key", "--ignore", path]) == 2
        assert "no path below the model" in capsys.readouterr().err


def test_a_signature_takes_the_place_of_no_file_of_the_model(place: Path, capsys: Captured) -> None:
    (place / "model" / "config.json").write_text("{}")
    (place / "one").write_bytes(b"weights")
    for model, path in (("model", "model/weights.bin"), ("model", "model/config.json"), ("one", "one")):
        before = (place / path).read_bytes()
        assert main(["sign", model, "--key", "key", "--signature", path]) == 2
        assert (place / path).read_bytes() == before
    for _ in range(2):  # nor is another signature one of its files
        assert main(["sign", "model", "--key", "key", "--signature", "model/other.sig"]) == 0
    (place / "model" / "model.sig").write_text("damaged")
    assert main(["sign", "model", "--key", "key"]) == 0
