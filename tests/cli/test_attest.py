"""`garrison attest`: what is said and where it goes, what is refused, and which exit code says what."""

import datetime
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from garrison.cli.main import main
from garrison.provenance.bundles import write
from garrison.provenance.keys import load_private_key

EVIL = b"cposix\nsystem\n(S'id'\ntR."
KEY = ["--key", "key"]
TRUST = ["--public-key", "key.pub"]
SHA256 = "ab" * 32
CARD = {
    "created": "2026-01-01T00:00:00Z",
    "tool": {"name": "garrison", "version": "1"},
    "datasets": [{"name": "test", "digest": {"sha256": SHA256}}],
    "measurements": [
        {"name": "accuracy", "value": 0.9, "dataset": "test", "samples": 100},
        {"name": "robust-accuracy", "value": 0.5, "attack": "pgd", "norm": "linf", "epsilon": 0.3, "dataset": "test"}
        | {"samples": 100},
    ],
}


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A model of two files, and a key."""
    monkeypatch.chdir(tmp_path)
    for name in ("GARRISON_PASSPHRASE", "SOURCE_DATE_EPOCH"):
        monkeypatch.delenv(name, raising=False)
    Path("model").mkdir()
    Path("model/config.json").write_text("{}")
    Path("model/weights.txt").write_text("1 2 3")
    assert main(["key", "generate", "--output", "key"]) == 0
    capsys.readouterr()


def verified(capsys: pytest.CaptureFixture[str], *options: str, model: str = "model") -> tuple[int, dict[str, Any]]:
    """The exit code, and what `verify` says in JSON."""
    capsys.readouterr()
    code = main(["attest", "verify", model, "--format", "json", *TRUST, *options])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, document


def predicate(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    code, document = verified(capsys)
    assert code == 0 and len(document["attestations"]) == 1
    found: dict[str, Any] = document["attestations"][0]["predicate"]
    return found


def test_a_scan_is_done_and_attested(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["attest", "scan", "model", "--expires", "7d", *KEY]) == 0
    assert capsys.readouterr().out == "attested: scan of model, in model.attestations\n"
    found = predicate(capsys)
    assert found["allowed"] is True and found["verdict"] == "clean"
    assert found["coverage"]["examined"] == 2
    assert json.loads(found["report"]["content"])["decision"]["allowed"] is True
    assert sorted(os.listdir("model")) == ["config.json", "weights.txt"]


def test_a_scan_that_denies_is_said_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    Path("model/model.pkl").write_bytes(EVIL)
    assert main(["attest", "scan", "model", "--quiet", *KEY]) == 1
    assert capsys.readouterr().out.startswith("denied by policy: scan of model, in ")
    assert predicate(capsys)["findings"]["critical"] >= 1


def test_the_policy_counts(capsys: pytest.CaptureFixture[str]) -> None:
    Path("model/model.pkl").write_bytes(EVIL)
    waiver = '[[waivers]]\nrule = "{}"\nreason = "ours"\nowner = "me"\nexpires = 2999-01-01\n'
    assert main(["scan", "model", "--format", "json", "--output", "report.json", "--quiet"]) == 1
    rules = {one["rule"] for one in json.loads(Path("report.json").read_text())["findings"]}
    Path("garrison.toml").write_text("".join(map(waiver.format, sorted(rules))))
    assert main(["attest", "scan", "model", *KEY]) == 0
    found = predicate(capsys)
    assert found["allowed"] is True and found["waived"] == found["findings"]


def test_a_report_made_before(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "model", "--digests", "--format", "json", "--output", "report.json", "--quiet"]) == 0
    assert main(["attest", "scan", "model", "--report", "report.json", "--quiet", *KEY]) == 0
    assert "content" not in predicate(capsys)["report"]
    Path("model/weights.txt").write_text("1 2 4")
    assert main(["attest", "scan", "model", "--report", "report.json", *KEY]) == 1
    assert "refused: model: 'weights.txt' changed between the scan and now" in capsys.readouterr().out
    assert main(["scan", "model", "--format", "json", "--output", "report.json", "--quiet"]) == 0
    assert main(["attest", "scan", "model", "--report", "report.json", *KEY]) == 1
    assert "--digests" in capsys.readouterr().out
    assert len(os.listdir("model.attestations")) == 1


def test_a_model_that_changes_while_it_is_scanned(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import garrison.scanning

    scan = garrison.scanning.scan

    def slow(*arguments: Any, **options: Any) -> Any:
        Path("model/weights.txt").write_text("other")
        return scan(*arguments, **options)

    monkeypatch.setattr(garrison.scanning, "scan", slow)
    assert main(["attest", "scan", "model", *KEY]) == 1
    assert "'weights.txt' changed" in capsys.readouterr().out
    assert not os.path.exists("model.attestations")


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_a_training(capsys: pytest.CaptureFixture[str]) -> None:
    Path("code").mkdir()
    Path("code/train.py").touch()
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "one"]):
        subprocess.run(["git", *command], cwd="code", check=True)
    Path("data").mkdir()
    Path("data/one.csv").write_text("1,2\n")
    Path("uv.lock").touch()
    Path("parameters.toml").write_text("epochs = 3\n[optimizer]\nname = 'adam'\n")
    command = ["attest", "training", "model", "--builder", "https://example.org/cluster", "--code", "code", *KEY]
    command += ["--parameters", "parameters.toml", "--parameter", "seed=7", "--dataset", "data", "--lock", "uv.lock"]
    command += ["--dataset-digest", f"imagenet=sha256:{SHA256}", "--base-model-digest", f"base=sha256:{SHA256}"]
    command += ["--base-model", "data/one.csv", "--invocation", "run-1"]
    command += ["--started", "2026-01-01T10:00:00+02:00", "--finished", "2026-01-02T00:00:00Z"]
    assert main(command) == 0
    found = predicate(capsys)
    definition, details = found["buildDefinition"], found["runDetails"]
    assert definition["externalParameters"] == {"epochs": 3, "optimizer": {"name": "adam"}, "seed": 7}
    roles = [one["annotations"]["role"] for one in definition["resolvedDependencies"]]
    assert roles == ["code", "dataset", "dataset", "model", "model", "environment"]
    assert details["metadata"]["startedOn"] == "2026-01-01T08:00:00Z"
    assert details["metadata"]["invocationId"] == "run-1"
    assert main(["attest", "verify", "model", *TRUST]) == 0
    assert "training: by https://example.org/cluster, from code (code), data (dataset)" in capsys.readouterr().out
    Path("code/train.py").write_text("changed")
    assert main(command) == 1
    assert "'train.py' changed" in capsys.readouterr().out
    assert main([*command, "--allow-changes", "--output", "-"]) == 0
    assert "dsseEnvelope" in capsys.readouterr().out


def test_a_robustness_card(capsys: pytest.CaptureFixture[str]) -> None:
    Path("card.json").write_text(json.dumps(CARD))
    assert main(["attest", "robustness", "model", "--card", "card.json", "--expires", "2999-01-01", *KEY]) == 0
    assert predicate(capsys)["expires"] == "2999-01-02T00:00:00Z"
    assert main(["attest", "verify", "model", *TRUST]) == 0
    said = capsys.readouterr().out
    assert "robustness: accuracy 0.9, robust-accuracy 0.5 under pgd with linf 0.3" in said
    Path("card.json").write_text(json.dumps({**CARD, "grade": "A"}))
    assert main(["attest", "robustness", "model", "--card", "card.json", *KEY]) == 1
    assert "grade" in capsys.readouterr().out


def test_an_approval(capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "attest",
        "approval",
        "model",
        "--comment",
        "Fine.\x1b[2J",
        "--environment",
        "staging",
        "--expires",
        "1d",
    ]
    assert main([*command, *KEY]) == 0
    found = predicate(capsys)
    made, expires = (datetime.datetime.fromisoformat(found[key]) for key in ("created", "expires"))
    assert expires - made == datetime.timedelta(days=1) and found["environments"] == ["staging"]
    assert main(["attest", "verify", "model", *TRUST]) == 0
    said = capsys.readouterr().out
    assert "approval: for staging: Fine.\\x1b[2J" in said and "\x1b" not in said
    assert main(["attest", "verify", "model", "--quiet", *TRUST]) == 0
    assert capsys.readouterr().out == ""


def test_versions_and_rollbacks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["attest", "version", "model", "--number", "1", "--name", "digits", *KEY]) == 0
    shutil.copytree("model", "old/model")
    shutil.copytree("model.attestations", "old/model.attestations")
    shutil.rmtree("model.attestations")
    Path("model/weights.txt").write_text("4 5 6")
    assert main(["attest", "version", "model", "--number", "2", "--name", "digits", *KEY]) == 0
    check = ["attest", "verify", *TRUST]
    assert main([*check, "old/model", "--remember", "seen.json"]) == 0
    assert main([*check, "model", "--remember", "seen.json"]) == 0
    capsys.readouterr()
    assert main([*check, "old/model", "--remember", "seen.json"]) == 1
    assert "refused: version 1 of 'digits' is older than version 2, which was here" in capsys.readouterr().out
    assert main([*check, "model", "--minimum-version", "2"]) == 0
    assert main([*check, "old/model", "--minimum-version", "2"]) == 1
    assert "version 1 of 'digits', where 2 is the least" in capsys.readouterr().out
    shutil.rmtree("model.attestations")
    assert main(["attest", "approval", "model", *KEY]) == 0
    assert main([*check, "model", "--minimum-version", "1"]) == 1
    assert "no attestation that holds says which version" in capsys.readouterr().out


def test_a_version_that_nobody_may_count_is_not_remembered(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["attest", "version", "model", "--number", "9", *KEY]) == 0
    Path("model/weights.txt").write_text("4 5 6")
    assert main(["attest", "verify", "model", "--remember", "seen.json", *TRUST]) == 1
    assert not os.path.exists("seen.json")


def test_nothing_is_remembered_of_what_does_not_hold(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["attest", "version", "model", "--number", "9", *KEY]) == 0
    Path("model.attestations/x.json").write_text("{}")
    assert main(["attest", "verify", "model", "--remember", "seen.json", *TRUST]) == 1
    assert not os.path.exists("seen.json")


def test_attestations_of_others_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "generate", "--output", "other"]) == 0
    assert main(["attest", "approval", "model", "--key", "other"]) == 0
    assert main(["attest", "version", "model", "--number", "1", *KEY]) == 0
    code, document = verified(capsys)
    assert code == 1 and document["holds"] is False
    assert [one["holds"] for one in document["attestations"]] == [False, True]
    assert "predicate" not in document["attestations"][0]
    assert main(["attest", "verify", "model", *TRUST]) == 1
    assert "refused: model.attestations/approval-" in capsys.readouterr().out


def test_without_any_there_is_nothing_to_rely_on(capsys: pytest.CaptureFixture[str]) -> None:
    code, document = verified(capsys)
    assert code == 1 and document["problems"] == ["model: there are no attestations about it"]
    Path("claims.jsonl").touch()
    assert main(["attest", "verify", "model", "--evidence", "claims.jsonl", *TRUST]) == 1


def test_statements_of_other_kinds_count_neither_for_it_nor_against_it(capsys: pytest.CaptureFixture[str]) -> None:
    Path("model.attestations").mkdir()
    body = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": SHA256}}],
        "predicateType": "https://cyclonedx.org/bom",
        "predicate": {},
    }
    assert main(["key", "generate", "--output", "other"]) == 0
    for name in ("key", "other"):
        signer = load_private_key(name, lambda: None)
        Path(f"model.attestations/bom-{name}.json").write_bytes(write(json.dumps(body).encode(), signer))
    code, document = verified(capsys)
    assert code == 1 and [one["passed_over"] for one in document["attestations"]] == [True, False]
    Path("model.attestations/bom-other.json").unlink()
    code, document = verified(capsys)
    assert code == 1 and document["problems"] == ["model: there are no attestations about it"]
    assert main(["attest", "approval", "model", *KEY]) == 0
    assert main(["attest", "verify", "model", *TRUST]) == 0
    assert "passed over: model.attestations/bom-key.json" in capsys.readouterr().out


def test_evidence_from_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    for number in ("1", "2"):
        assert main(["attest", "version", "model", "--number", number, "--output", f"{number}.json", *KEY]) == 0
    assert not os.path.exists("model.attestations")
    Path("claims.jsonl").write_bytes(b"\n".join(Path(f"{number}.json").read_bytes() for number in (1, 2)))
    code, document = verified(capsys, "--evidence", "claims.jsonl", "--evidence", "1.json")
    assert code == 0
    assert [one["place"] for one in document["attestations"]] == ["claims.jsonl:1", "claims.jsonl:2", "1.json"]


def test_the_same_twice_is_the_same_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    for _ in range(2):
        assert main(["attest", "approval", "model", "--quiet", *KEY]) == 0
    (name,) = os.listdir("model.attestations")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000001")
    assert main(["attest", "approval", "model", "--quiet", *KEY]) == 0
    assert len(os.listdir("model.attestations")) == 2 and name in os.listdir("model.attestations")


def test_a_single_file(capsys: pytest.CaptureFixture[str]) -> None:
    path = "model/config.json"
    assert main(["attest", "scan", path, *KEY]) == 0
    assert main(["attest", "verify", path, *TRUST]) == 0
    assert main(["attest", "verify", "model/weights.txt", "--evidence", f"{path}.attestations", *TRUST]) == 1


def test_links_are_attested_only_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    Path("model/link").symlink_to("config.json")
    assert main(["attest", "scan", "model", *KEY]) == 1
    assert "symbolic link" in capsys.readouterr().out
    assert main(["attest", "scan", "model", "--follow-symlinks", *KEY]) == 0
    assert main(["attest", "verify", "model", *TRUST]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["attest"], "ACTION"),
        (["attest", "praise", "model"], "choice"),
        (["attest", "scan"], "MODEL"),
        (["attest", "scan", "model"], "sign with"),
        (["attest", "scan", "none", *KEY], "no such file"),
        (["attest", "scan", "model", "--key", "none"], "none"),
        (["attest", "scan", "model", "--report", "none", *KEY], "none: No such file"),
        (["attest", "scan", "model", "--card", "x", *KEY], "--card belongs to `garrison attest robustness`"),
        (["attest", "scan", "model", "--public-key", "key.pub", *KEY], "--public-key means nothing"),
        (["attest", "verify", "model", *TRUST, *KEY], "--key means nothing"),
        (["attest", "verify", "model"], "whose signature counts"),
        (["attest", "verify", "none", *TRUST], "no such file"),
        (["attest", "verify", "model", "--evidence", "none", *TRUST], "none: no such file"),
        (["attest", "verify", "model", "--minimum-version", "0", *TRUST], "whole number"),
        (["attest", "version", "model", *KEY], "--number"),
        (["attest", "robustness", "model", *KEY], "--card"),
        (["attest", "training", "model", *KEY], "--builder"),
        (["attest", "training", "model", "--builder", "x", "--expires", "1d", *KEY], "stays true"),
        (["attest", "training", "model", "--builder", "x", "--code", "model", *KEY], "not in a working tree"),
        (["attest", "training", "model", "--builder", "x", "--started", "noon", *KEY], "no time with its zone"),
        (["attest", "training", "model", "--builder", "x", "--started", "2026-01-01", *KEY], "no time with its zone"),
        (
            ["attest", "training", "model", "--builder", "x", "--started", "0001-01-01T00:00:00+14:00", *KEY],
            "no time with",
        ),
        (["attest", "approval", "model", "--expires", "soon", *KEY], "no number of days"),
        (["attest", "approval", "model", "--expires", "", *KEY], "no date"),
        (["attest", "approval", "model", "--expires", "2026-13-01", *KEY], "no date"),
        (["attest", "approval", "model", "--expires", "999999999999d", *KEY], "no date"),
        (["attest", "approval", "model", "--expires", "2001-01-01", *KEY], "over already"),
        (["attest", "approval", "model", "--output", "model/approval.json", *KEY], "lies in the model"),
        (["attest", "approval", "model", "--output", "none/approval.json", *KEY], "no such directory"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and said in error, error


def test_a_time_that_is_none(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("", "yesterday", "9" * 30):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
        assert main(["attest", "approval", "model", *KEY]) == 2
        assert "SOURCE_DATE_EPOCH" in capsys.readouterr().err
