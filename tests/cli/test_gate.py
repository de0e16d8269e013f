"""`garrison gate`: exit codes, what is printed, and the decision as a statement."""

import datetime
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from garrison.cli.main import main
from garrison.core.gate_decision import GateDecision
from garrison.core.policy import Identity
from garrison.provenance.bundles import opened
from garrison.provenance.gate import decide
from garrison.provenance.trust import Trust
from tests.provenance.gate.world import World, approval, scan
from tests.sources.oci import memory

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Said now, since the command has a clock; with all evidence beside the model and the policy in place."""
    world = World(tmp_path)
    now = datetime.datetime.now(datetime.UTC)
    world.evidence["scan"] = world.said(scan(created=now, started=now), "ci")
    for name in ("ada", "grace"):
        world.evidence[name] = world.said(approval(created=now), name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    policy(world)
    (world.model / "model.sig").write_bytes(world.evidence.pop("signature") or b"")
    beside(tmp_path / "digits.attestations", world)
    return world


def beside(folder: Path, world: World) -> None:
    folder.mkdir(exist_ok=True)
    for name, data in world.evidence.items():
        if data is not None:
            (folder / f"{name}.json").write_bytes(data)


def policy(world: World) -> None:
    """Write it as TOML."""

    def table(name: str, values: dict[str, Any]) -> str:
        nested = {key: value for key, value in values.items() if isinstance(value, list) and isinstance(value[0], dict)}
        lines = [f"{key} = {json.dumps(value)}" for key, value in values.items() if key not in nested]
        text = f"[{name}]\n" + "".join(f"{line}\n" for line in lines)
        return text + "".join(f"[{table(f'[{name}.{key}]', one)[1:]}" for key, rows in nested.items() for one in rows)

    people = "".join(
        f'[[identities]]\nname = "{one.name}"\npublic-key = "{one.public_key}"\n' for one in world.identities
    )
    gate = "".join(table(f"gate.{name}", values) for name, values in world.policy.items())
    (world.folder / "garrison.toml").write_text(people + gate)


def test_a_model_passes(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gate", "digits"]) == 0
    shown = capsys.readouterr().out
    assert "PASSED: all 6 requirements are met" in shown and "NOT MET" not in shown
    assert "digits.attestations/ada.json by ada, less than a day ago: approved" in " ".join(shown.split())


def test_a_model_is_denied_and_it_is_said_why(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    (world.folder / "digits.attestations" / "grace.json").unlink()
    (world.folder / "digits.attestations" / "bad.json").write_bytes(b"\x1b[2J")
    assert main(["gate", "digits"]) == 1
    shown = capsys.readouterr().out
    assert "DENIED: 1 of 6 requirements not met: approvals" in shown and "why: approved by 1 of 2" in shown
    assert "digits.attestations/bad.json" in shown and "\x1b" not in shown


def test_the_decision_in_json(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    (world.folder / "digits.attestations" / "scan.json").unlink()
    assert main(["gate", "digits", "--format", "json"]) == 1
    decision = json.loads(capsys.readouterr().out)
    assert not decision["allowed"] and [one["name"] for one in decision["requirements"] if not one["met"]] == ["scan"]
    assert decision["subject"]["digest"] == world.subject.digest


def test_the_decision_in_markdown(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    (world.folder / "digits.attestations" / "<b>@all.json").write_bytes(b"{}")
    assert main(["gate", "digits", "--format", "markdown"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("## ✅ garrison gate: passed") and "`digits.attestations/<b>@all.json`" in shown


def test_the_decision_in_a_file(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gate", "digits", "--format", "json", "--output", "decision.json"]) == 0
    assert json.loads(Path("decision.json").read_bytes())["allowed"]
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == "PASSED: all 6 requirements are met.\n"
    assert main(["gate", "digits", "--quiet"]) == 0 and capsys.readouterr().out == ""


def test_evidence_from_elsewhere(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (world.folder / "digits.attestations").rename("elsewhere")
    assert main(["gate", "digits", "--quiet"]) == 1
    assert main(["gate", "digits", "--quiet", "--evidence", "elsewhere"]) == 0
    names = [f"elsewhere/{name}.json" for name in world.evidence]
    assert main(["gate", "digits", "--quiet", *(word for name in names for word in ("--evidence", name))]) == 0
    with memory.serving() as server:
        monkeypatch.setenv("DOCKER_CONFIG", str(world.folder))
        model = server.artifact("application/x", ("application/x", b"weights"), tag="1")
        for data in world.evidence.values():
            server.artifact(BUNDLE, (BUNDLE, data or b""), subject=model)
        assert main(["gate", "digits", "--quiet", "--evidence", f"oci://{server.host}/team/digits:1"]) == 0
        assert main(["gate", "digits", "--quiet", "--evidence", f"oci://{server.host}/team/digits:2"]) == 1


def test_the_decision_is_attested(world: World) -> None:
    (world.folder / "gate.key").write_bytes(
        world.keys["lab"]._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    signed = ["--attest", "summary.json", "--key", "gate.key", "--resource", "pkg:x/digits"]
    trust = Trust(identities=(Identity(name="gate", public_key=str(world.folder / "lab.pub")),))

    def said() -> dict[str, Any]:
        data = Path("summary.json").read_bytes()
        return msgspec.json.decode(opened(data, trust, now=datetime.datetime.now(datetime.UTC)).payload)

    assert main(["gate", "digits", "--quiet", *signed]) == 0
    statement = said()
    assert statement["predicateType"] == "https://slsa.dev/verification_summary/v1"
    assert statement["subject"][0]["digest"] == world.subject.digest
    predicate = statement["predicate"]
    assert predicate["verificationResult"] == "PASSED" and predicate["resourceUri"] == "pkg:x/digits"
    assert predicate["verifiedLevels"][0] == "GARRISON_SIGNATURE" and len(predicate["verifiedLevels"]) == 6
    assert len(predicate["inputAttestations"]) == 7 and predicate["policy"]["uri"] == "file:garrison.toml"
    (world.folder / "digits.attestations" / "ada.json").unlink()
    assert main(["gate", "digits", "--quiet", *signed]) == 1
    assert said()["predicate"]["verificationResult"] == "FAILED"
    assert said()["predicate"]["verifiedLevels"] == ["FAILED"]


def test_the_policy_that_is_attested_is_the_one_that_decided(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a large model is hashed, somebody may update the policy."""
    policy = world.folder / "garrison.toml"
    before = hashlib.sha256(policy.read_bytes()).hexdigest()

    def meanwhile(*arguments: Any, **options: Any) -> GateDecision:
        policy.write_text("threshold = 'low'\n")
        return decide(*arguments, **options)

    monkeypatch.setattr("garrison.provenance.gate.decide", meanwhile)
    assert main(["key", "generate", "--output", "gate.key"]) == 0
    assert main(["gate", "digits", "--quiet", "--attest", "summary.json", "--key", "gate.key"]) == 0
    trust = Trust(identities=(Identity(name="gate", public_key=str(world.folder / "gate.key.pub")),))
    payload = opened(Path("summary.json").read_bytes(), trust, now=datetime.datetime.now(datetime.UTC)).payload
    assert msgspec.json.decode(payload)["predicate"]["policy"]["digest"] == {"sha256": before}


def test_of_a_model_that_cannot_be_read_nothing_is_attested(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "generate", "--output", "gate.key"]) == 0
    (world.model / "link").symlink_to("/etc/passwd")
    assert main(["gate", "digits", "--attest", "summary.json", "--key", "gate.key"]) == 1
    captured = capsys.readouterr()
    assert "nothing was attested" in captured.err and "DENIED" in captured.out and not Path("summary.json").exists()


def test_versions_are_recorded_when_asked(world: World) -> None:
    world.policy["version"]["recorded"] = "seen.json"
    policy(world)
    assert main(["gate", "digits", "--quiet"]) == 0 and not Path("seen.json").exists()
    assert main(["gate", "digits", "--quiet", "--record"]) == 0 and json.loads(Path("seen.json").read_bytes())


USAGE = {
    "no such model": (["none"], "no such file"),
    "no such evidence": (["digits", "--evidence", "none"], "none: no such file"),
    "no such policy": (["digits", "--policy", "none.toml"], "none.toml"),
    "a key without a statement": (["digits", "--key", "x"], "belong to --attest"),
    "a statement without a key": (["digits", "--attest", "x"], "what to sign with"),
    "an unwritable output": (["digits", "--output", "none/x"], "cannot be written"),
    "no reference": (["digits", "--evidence", "oci://a b"], "no reference"),
}


@pytest.mark.parametrize("case", USAGE)
def test_wrong_usage(world: World, case: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, reason = USAGE[case]
    assert main(["gate", *arguments]) == 2
    captured = capsys.readouterr()
    assert reason in captured.err and captured.out == "" and captured.err.count("\n") == 1


def test_a_policy_without_a_gate_lets_nothing_through(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    Path("garrison.toml").write_text("")
    assert main(["gate", "digits"]) == 2 and "no [gate]" in capsys.readouterr().err
    Path("garrison.toml").unlink()
    assert main(["gate", "digits"]) == 2 and "no [gate]" in capsys.readouterr().err


def test_a_policy_in_the_model_decides_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    Path("garrison.toml").rename("digits/garrison.toml")
    os.chdir("digits")
    assert main(["gate", "."]) == 2 and "lies in what it is to judge" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--output", "--attest"])
def test_the_decision_is_not_written_into_the_model(
    world: World, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gate", "digits", option, "digits/decision.json"]) == 2
    assert "lies in the model" in capsys.readouterr().err
    before = (world.model / "config.json").read_bytes()
    assert main(["gate", "digits/config.json", option, "digits/config.json"]) == 2
    assert "would be lost" in capsys.readouterr().err
    assert (world.model / "config.json").read_bytes() == before
