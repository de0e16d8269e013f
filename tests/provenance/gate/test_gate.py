"""A model passes when each requirement is met, and for no other reason; one thing at a time is broken."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from garrison.core.errors import UsageError
from garrison.core.policy import Identity
from garrison.provenance.attestations import attest
from garrison.provenance.bundles import CertificateSigner, write
from garrison.provenance.dsse import pre_authentication_encoding
from garrison.provenance.gate import Piece
from garrison.provenance.hashing import Serialization
from garrison.provenance.keys import KeySigner, pem
from garrison.provenance.statements import Subject
from garrison.provenance.subjects import attested, subject_of
from tests.provenance.authorities import authority
from tests.provenance.gate.world import (
    DATASET,
    DAY,
    NOW,
    OTHER_DATASET,
    World,
    approval,
    base_model,
    card,
    code,
    counts,
    dataset,
    measurement,
    scan,
    training,
    version,
    why,
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_what_is_required_is_met_by_what_was_said(world: World) -> None:
    decision = world.decide()
    assert decision.allowed and not decision.unused
    assert [one.name for one in decision.requirements] == list(world.policy)
    for one in decision.requirements:
        assert one.met and not one.reasons and not one.others
    evidence = {counted.place: counted for one in decision.requirements for counted in one.evidence}
    assert evidence.keys() == world.evidence.keys()
    assert evidence["scan"].identity == "ci" and evidence["scan"].time == NOW - DAY and not evidence["scan"].witnessed
    assert "2 medium" in evidence["scan"].says and evidence["version"].says == "version 4"
    assert decision.subject is not None and decision.subject.digest == world.subject.digest
    assert decision.decided == NOW


@pytest.mark.parametrize("missing", ["signature", "scan", "training", "robustness", "ada", "version"])
def test_without_a_statement_its_requirement_is_not_met(world: World, missing: str) -> None:
    del world.evidence[missing]
    decision = world.only("approvals" if missing == "ada" else missing)
    assert not decision.met


Break = Callable[[World], dict[str, bytes]]


def changed(data: bytes, **fields: Any) -> bytes:
    """The document with other fields in its envelope."""
    document = msgspec.json.decode(data)
    document["dsseEnvelope"].update(fields)
    return msgspec.json.encode(document)


def unsigned(data: bytes) -> bytes:
    return changed(data, signatures=[{"sig": "", "keyid": ""}])


def elsewhere(world: World) -> Subject:
    digest = {"sha256": "0" * 64}
    return msgspec.structs.replace(world.subject, digest=digest)


BROKEN: dict[str, tuple[str, Break, str]] = {
    "the signature is of somebody who signs other things": (
        "scan",
        lambda world: {"scan": world.said(scan(), "ada")},
        "signed by ada, whose word does not count for this",
    ),
    "a stranger's": ("scan", lambda world: {"scan": world.said(scan(), "stranger")}, "no scan"),
    "unsigned": ("scan", lambda world: {"scan": unsigned(world.said(scan(), "ci"))}, "no scan"),
    "of another model": (
        "scan",
        lambda world: {"scan": world.said(scan(), "ci", [elsewhere(world)])},
        "about another model",
    ),
    "of a single file": (
        "scan",
        lambda world: {"scan": world.said(scan(), "ci", [Subject(name="digits", digest={"sha256": "0" * 64})])},
        "about a single file",
    ),
    "of a root without its names": (
        "scan",
        lambda world: {"scan": world.said(scan(), "ci", [msgspec.structs.replace(world.subject, annotations={})])},
        "about a single file",
    ),
    "too old": (
        "scan",
        lambda world: {"scan": world.said(scan(created=NOW - 8 * DAY, started=NOW - 8 * DAY), "ci")},
        "more than 7 days ago",
    ),
    "begun too long ago, though said today": (
        "scan",
        lambda world: {"scan": world.said(scan(created=NOW, started=NOW - 8 * DAY), "ci")},
        "more than 7 days ago",
    ),
    "from the future": (
        "scan",
        lambda world: {"scan": world.said(scan(created=NOW + DAY, started=NOW + DAY), "ci")},
        "yet to come",
    ),
    "begun in the past and said in the future": (
        "scan",
        lambda world: {"scan": world.said(scan(created=NOW + DAY), "ci")},
        "yet to come",
    ),
    "expired": ("scan", lambda world: {"scan": world.said(scan(expires=NOW), "ci")}, "it expired"),
    "by an old version": (
        "scan",
        lambda world: {
            "scan": world.said(scan(scanner=msgspec.structs.replace(scan().scanner, version="0.3.9")), "ci")
        },
        "0.3.9, older than 0.4",
    ),
    "by no version": (
        "scan",
        lambda world: {"scan": world.said(scan(scanner=msgspec.structs.replace(scan().scanner, version="new")), "ci")},
        "cannot be compared",
    ),
    "by another scanner": (
        "scan",
        lambda world: {"scan": world.said(scan(scanner=msgspec.structs.replace(scan().scanner, name="x")), "ci")},
        "scanned with 'x'",
    ),
    "with a high finding": (
        "scan",
        lambda world: {"scan": world.said(scan(findings=counts(high=1)), "ci")},
        "1 finding of high or worse",
    ),
    "with a critical finding": (
        "scan",
        lambda world: {"scan": world.said(scan(findings=counts(critical=2)), "ci")},
        "2 findings of high or worse",
    ),
    "with a waived finding": (
        "scan",
        lambda world: {"scan": world.said(scan(findings=counts(high=1), waived=counts(high=1)), "ci")},
        "1 finding of high or worse",
    ),
    "denied": (
        "scan",
        lambda world: {"scan": world.said(scan(allowed=False, verdict="denied", reasons=("pickle",)), "ci")},
        "pickle",
    ),
    "incomplete": (
        "scan",
        lambda world: {
            "scan": world.said(scan(coverage=msgspec.structs.replace(scan().coverage, failed=1, skipped=2)), "ci")
        },
        "1 failed, 2 skipped",
    ),
    "of nothing": (
        "scan",
        lambda world: {"scan": world.said(scan(coverage=msgspec.structs.replace(scan().coverage, examined=0)), "ci")},
        "nothing was examined",
    ),
    "with a newer one that found something": (
        "scan",
        lambda world: {"newer": world.said(scan(created=NOW, started=NOW, findings=counts(high=1)), "ci")},
        "scan: ci has said something newer",
    ),
    "another dataset": (
        "training",
        lambda world: {"training": world.said(training(dataset(), dataset(OTHER_DATASET), code()), "trainer")},
        "the dataset 'mnist' is not listed",
    ),
    "no dataset": (
        "training",
        lambda world: {"training": world.said(training(code()), "trainer")},
        "names no dataset",
    ),
    "code from elsewhere": (
        "training",
        lambda world: {"training": world.said(training(dataset(), code("git+https://git.example/x")), "trainer")},
        "git.example/x",
    ),
    "another commit": (
        "training",
        lambda world: {"training": world.said(training(dataset(), code(commit="f" * 40)), "trainer")},
        "which is not listed",
    ),
    "no code": ("training", lambda world: {"training": world.said(training(dataset()), "trainer")}, "names no code"),
    "another builder": (
        "training",
        lambda world: {"training": world.said(training(builder="https://laptop.example"), "trainer")},
        "laptop.example",
    ),
    "another kind of build": (
        "training",
        lambda world: {"training": world.said(training(build="https://example.org/other"), "trainer")},
        "names no dataset",
    ),
    "two trainings, one with another dataset": (
        "training",
        lambda world: {"second": world.said(training(dataset(OTHER_DATASET), code()), "trainer")},
        "second: the dataset",
    ),
    "below the bound": (
        "robustness",
        lambda world: {"robustness": world.said(card(measurement(value=0.49)), "lab")},
        "is 0.49, below 0.5",
    ),
    "below the bound beside a better one": (
        "robustness",
        lambda world: {"robustness": world.said(card(measurement(), measurement(value=0.1, samples=10)), "lab")},
        "is 0.1, below 0.5",
    ),
    "under another attack": (
        "robustness",
        lambda world: {"robustness": world.said(card(measurement(attack="noise")), "lab")},
        "no measurement of robust-accuracy under autoattack",
    ),
    "with a smaller budget": (
        "robustness",
        lambda world: {"robustness": world.said(card(measurement(epsilon=4 / 255)), "lab")},
        "no measurement",
    ),
    "in another norm": (
        "robustness",
        lambda world: {"robustness": world.said(card(measurement(norm="l2")), "lab")},
        "no measurement",
    ),
    "a newer card that is worse": (
        "robustness",
        lambda world: {"newer": world.said(card(measurement(value=0.2), created=NOW), "lab")},
        "is 0.2, below 0.5",
    ),
    "twice the same person": (
        "approvals",
        lambda world: {"grace": world.said(approval(), "ada"), "again": world.said(approval(comment="yes"), "ada")},
        "approved by 1 of 2",
    ),
    "the author's": ("approvals", lambda world: {"grace": world.said(approval(), "trainer")}, "signed by the author"),
    "for somewhere else": (
        "approvals",
        lambda world: {"grace": world.said(approval(environments=("staging",)), "grace")},
        "approved for staging only",
    ),
    "an approval that expired": (
        "approvals",
        lambda world: {"grace": world.said(approval(expires=NOW - DAY), "grace")},
        "it expired",
    ),
    "an approval of another model": (
        "approvals",
        lambda world: {"grace": world.said(approval(), "grace", [elsewhere(world)])},
        "about another model",
    ),
    "an older version": ("version", lambda world: {"version": world.said(version(2), "release")}, "2 is lower than 3"),
    "a version of another model": (
        "version",
        lambda world: {"version": world.said(version(9, "cats"), "release")},
        "it is about 'cats'",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_one_broken_thing_denies_and_says_why(world: World, case: str) -> None:
    name, broken, reason = BROKEN[case]
    world.evidence.update(broken(world))
    decision = world.only(name)
    assert not decision.met and reason in why(decision)


def test_a_changed_model_is_not_the_one_that_anything_was_said_about(world: World) -> None:
    (world.model / "weights.safetensors").write_bytes(b"other")
    decision = world.decide()
    assert not any(one.met for one in decision.requirements)
    assert "changed: 'weights.safetensors'" in why(decision.requirements[0])


@pytest.mark.parametrize("name", ["extra.py", ".hidden", "sub/file"])
def test_a_file_that_was_added_is_noticed(world: World, name: str) -> None:
    (world.model / name).parent.mkdir(exist_ok=True)
    (world.model / name).write_bytes(b"")
    decision = world.decide()
    assert not any(one.met for one in decision.requirements)
    assert f"added: '{name}'" in why(decision.requirements[0])


def test_a_file_of_another_name_is_another_model(world: World) -> None:
    (world.model / "weights.safetensors").rename(world.model / "weights.pkl")
    assert not any(one.met for one in world.decide().requirements)


def test_files_that_the_signature_leaves_out_count_as_added(world: World) -> None:
    world.evidence["signature"] = world.signature(serialization=Serialization(ignored=("config.json",)))
    assert "added: 'config.json'" in why(world.only("signature"))
    world.policy["signature"]["ignored"] = ["config.json"]
    assert world.only("signature").met


def test_a_signature_in_the_model_is_no_part_of_it(world: World) -> None:
    (world.model / "model.sig").write_bytes(world.signature())
    assert world.decide().allowed


def test_a_model_may_be_one_file(world: World) -> None:
    world.model = world.model / "weights.safetensors"
    world.subject = world.subject_now()
    world.evidence = {
        "signature": world.signature(),
        "scan": world.said(scan(), "ci", [Subject(name="any", digest={"sha256": world.subject.digest["sha256"]})]),
    }
    world.policy = {name: world.policy[name] for name in ("signature", "scan")}
    assert world.decide().allowed
    world.model.write_bytes(b"other")
    assert not any(one.met for one in world.decide().requirements)


def test_a_model_that_cannot_be_read_is_not_let_through(world: World) -> None:
    (world.model / "link").symlink_to("/etc/passwd")
    decision = world.decide()
    assert not any(one.met for one in decision.requirements)
    assert "the model cannot be read: 'link' is a symbolic link" in why(decision.requirements[0])


def test_links_are_followed_for_those_who_have_followed_them(world: World) -> None:
    (world.model / "link").symlink_to("config.json")
    world.subject = subject_of(*attested(str(world.model), follow_symlinks=True))
    world.evidence["scan"] = world.said(scan(), "ci")
    decision = {one.name: one for one in world.decide().requirements}
    assert decision["scan"].met and not decision["training"].met
    assert "the model cannot be read: 'link' is a symbolic link" in why(decision["training"])


def test_findings_that_were_waived_may_stand_if_policy_says_so(world: World) -> None:
    world.evidence["scan"] = world.said(scan(findings=counts(high=1), waived=counts(high=1)), "ci")
    world.policy["scan"]["waived"] = True
    assert world.only("scan").met
    world.evidence["scan"] = world.said(scan(findings=counts(high=2), waived=counts(high=1)), "ci")
    assert not world.only("scan").met
    world.evidence["scan"] = world.said(scan(findings=counts(critical=1), waived=counts(high=1)), "ci")
    assert "1 finding of high or worse" in why(world.only("scan"))


def test_each_scanner_must_be_content(world: World) -> None:
    world.policy["scan"]["signed-by"] = ["ci", "lab"]
    world.evidence["second"] = world.said(scan(created=NOW - 2 * DAY, started=NOW - 2 * DAY), "lab")
    assert world.only("scan").met
    found = scan(created=NOW - 2 * DAY, started=NOW - 2 * DAY, findings=counts(critical=1))
    world.evidence["second"] = world.said(found, "lab")
    assert "second: 1 finding" in why(world.only("scan"))


def test_a_scan_need_not_be_complete_if_policy_says_so(world: World) -> None:
    world.evidence["scan"] = world.said(scan(coverage=msgspec.structs.replace(scan().coverage, skipped=2)), "ci")
    world.policy["scan"]["complete"] = False
    assert world.only("scan").met


def test_base_models_must_be_listed_when_there_is_a_list(world: World) -> None:
    world.evidence["training"] = world.said(training(dataset(), code(), base_model("1" * 64)), "trainer")
    assert world.only("training").met
    world.policy["training"]["base-models"] = []
    assert "base model 'base' is not listed" in why(world.only("training"))
    world.policy["training"]["base-models"] = [f"sha256:{'1' * 64}"]
    assert world.only("training").met


@pytest.mark.parametrize(
    ("bound", "value", "met"),
    [({"maximum": 0.6}, 0.55, True), ({"maximum": 0.5}, 0.55, False), ({"minimum": 0.55}, 0.55, True)],
)
def test_bounds(world: World, bound: dict[str, float], value: float, met: bool) -> None:
    world.policy["robustness"]["thresholds"] = [{"metric": "robust-accuracy", "attack": "*", **bound}]
    world.evidence["robustness"] = world.said(card(measurement(value=value)), "lab")
    assert world.only("robustness").met is met


def test_measurements_on_too_few_samples_or_other_data_do_not_do(world: World) -> None:
    (threshold,) = world.policy["robustness"]["thresholds"]
    threshold["samples"] = 1001
    assert "fewer than 1,001" in why(world.only("robustness"))
    threshold["samples"] = 1000
    threshold["dataset"] = f"sha256:{OTHER_DATASET}"
    assert "no measurement" in why(world.only("robustness"))


def test_what_is_measured_may_stand_on_several_cards(world: World) -> None:
    """Of each bound the newest card counts that says something of it."""
    accuracy = {"metric": "accuracy", "minimum": 0.5}
    world.policy["robustness"]["thresholds"].append(accuracy)
    plain = measurement(name="accuracy", attack="", norm=None, epsilon=None)
    world.evidence["accuracy"] = world.said(card(plain, created=NOW), "lab")
    world.evidence["other"] = world.said(card(measurement(name="loss"), created=NOW), "lab")
    decision = world.only("robustness")
    assert decision.met and [one.place for one in decision.evidence] == ["robustness", "accuracy"]
    assert why(decision) == "other: it says nothing of what is asked for"
    world.evidence["accuracy"] = world.said(card(msgspec.structs.replace(plain, value=0.4), created=NOW), "lab")
    assert "accuracy: accuracy is 0.4, below 0.5" in why(world.only("robustness"))


def test_what_the_policy_has_revoked_does_not_count(world: World) -> None:
    (approved,) = [one for one in world.only("approvals").evidence if one.place == "ada"]
    world.policy["revoked"] = [f"sha256:{approved.statement}"]
    decision = world.decide()
    assert not decision.allowed and [one.reason for one in decision.unused] == ["the policy has revoked it"]
    # The same statement in another document is the same statement.
    world.evidence["ada"] = (world.evidence["ada"] or b"").replace(b'"keyid":""', b'"keyid":"x"')
    assert [one.reason for one in world.decide().unused] == ["the policy has revoked it"]


def test_two_keys_of_one_name_are_one_person(world: World) -> None:
    world.identities = [
        Identity(name="ada", public_key="grace.pub") if one.name == "grace" else one for one in world.identities
    ]
    world.policy["approvals"]["signed-by"] = ["ada", "linus"]
    assert "approved by 1 of 2" in why(world.only("approvals"))


def test_two_names_of_one_key_are_one_person(world: World) -> None:
    world.identities.append(Identity(name="twin", public_key="ada.pub"))
    world.policy["approvals"]["signed-by"] = ["ada", "twin"]
    assert "approved by 1 of 2" in why(world.only("approvals"))


def test_the_author_under_another_name_is_the_author(world: World) -> None:
    world.identities.append(Identity(name="alias", public_key="trainer.pub"))
    world.policy["approvals"]["signed-by"] = ["ada", "alias"]
    world.evidence["grace"] = world.said(approval(), "trainer")
    assert "signed by the author" in why(world.only("approvals"))


def test_whoever_signed_the_model_is_its_author_even_if_somebody_else_did_too(world: World) -> None:
    world.policy["signature"]["signed-by"] = ["release"]
    world.policy["approvals"]["signed-by"] = ["ada", "release"]
    world.evidence["grace"] = world.said(approval(), "release")
    assert "signed by the author" in why(world.only("approvals"))


def test_one_statement_that_two_have_signed_is_approved_by_two(world: World) -> None:
    document = msgspec.json.decode(world.said(approval(), "ada"))["dsseEnvelope"]
    import base64

    signed = pre_authentication_encoding(document["payloadType"], base64.b64decode(document["payload"]))
    for name in ("grace", "trainer"):
        sig = base64.b64encode(world.keys[name].sign(signed)).decode()
        document["signatures"].append({"sig": sig})
    del world.evidence["grace"]
    world.evidence["ada"] = msgspec.json.encode(document)
    decision = world.only("approvals")
    assert decision.met and [one.identity for one in decision.evidence] == ["ada", "grace"]


def test_the_highest_version_counts(world: World) -> None:
    world.evidence["older"] = world.said(version(1), "release")
    assert world.only("version").met


def test_a_version_that_passed_is_not_rolled_back(world: World) -> None:
    world.policy["version"]["recorded"] = "versions.json"
    assert world.decide().allowed
    assert not (world.folder / "versions.json").exists(), "nothing is recorded unless it is asked for"
    assert world.decide(record=True).allowed
    world.evidence["version"] = world.said(version(3), "release")
    assert "version 3 is lower than 4, which has passed before" in why(world.only("version"))
    world.evidence["version"] = world.said(version(7), "release")
    del world.evidence["scan"]
    assert not world.decide(record=True).allowed
    world.evidence["version"] = world.said(version(4), "release")
    world.evidence["scan"] = world.said(scan(), "ci")
    assert world.decide(record=True).allowed, "what did not pass was not recorded"


@pytest.mark.parametrize("record", [b"", b"[]", b'{"digits": "4"}', b"\0", b'{"digits": 4, "digits": 1}'])
def test_a_record_that_cannot_be_read_denies(world: World, record: bytes) -> None:
    world.policy["version"]["recorded"] = "versions.json"
    (world.folder / "versions.json").write_bytes(record)
    assert "seen versions" in why(world.only("version"))


def test_a_version_that_passes_while_another_is_decided_on_still_counts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.policy["version"]["recorded"] = "versions.json"
    monkeypatch.setattr("garrison.provenance.gate.deciding.highest", lambda *_: 0)
    (world.folder / "versions.json").write_bytes(b'{"digits": 9}')
    assert "older than version 9" in why(world.only("version", record=True))


def test_who_is_trusted_must_be_known(world: World) -> None:
    world.policy["scan"]["signed-by"] = ["ci", "nobody"]
    with pytest.raises(UsageError, match=r"gate\.scan: no identity named 'nobody'"):
        world.decide()


def test_a_model_that_is_not_there(world: World) -> None:
    world.model = world.folder / "none"
    with pytest.raises(UsageError, match="no such file"):
        world.decide()


def test_an_identity_without_its_key_is_no_decision(world: World) -> None:
    (world.folder / "linus.pub").unlink()
    with pytest.raises(UsageError, match=r"linus\.pub"):
        world.decide()


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"anything": {}}, "anything"),
        ({"approvals": {"signed-by": ["ada"]}}, "leaves out the author"),
        ({"signature": {"signed-by": []}}, "signed-by"),
        ({"signature": {}}, "signed-by"),
        ({"scan": {"signed-by": ["ci"], "max-days": -1}}, "max-days"),
        ({"scan": {"signed-by": ["ci"], "below": "bad"}}, "below"),
        ({"scan": {"signed-by": ["ci"], "minimum_version": "1"}}, "minimum_version"),
        ({"training": {"signed-by": ["ci"], "datasets": ["mnist"]}}, "datasets"),
        ({"robustness": {"signed-by": ["ci"], "thresholds": []}}, "thresholds"),
        ({"robustness": {"signed-by": ["ci"], "thresholds": [{"metric": "accuracy"}]}}, "minimum or maximum"),
        ({"version": {"signed-by": ["ci"]}}, "name"),
        ({"version": {"signed-by": ["ci"], "name": "m"}, "revoked": ["sha512:" + "0" * 128]}, "revoked"),
        ({"version": {"signed-by": ["ci"], "name": "m"}, "revoked": ["SHA256:" + "0" * 64]}, "revoked"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(world: World, policy: dict[str, Any], said: str) -> None:
    world.policy = policy
    with pytest.raises(UsageError, match=said):
        world.asked()


UNUSED = {
    "no JSON": (b"{", "signature"),
    "empty": (b"", "signature"),
    "a list": (b"[]", "signature"),
    "not UTF-8": (b'{"payload": "\xff"}', "signature"),
    "a key that stands twice": (b'{"payloadType": "a", "payloadType": "b"}', "twice"),
    "deep": (b"[" * 100_000, "signature"),
    "something else": (b'{"a": 1}', "neither"),
}


@pytest.mark.parametrize("case", UNUSED)
def test_what_is_no_statement_is_named_and_harms_nothing(world: World, case: str) -> None:
    data, reason = UNUSED[case]
    world.evidence = {"bad": data, **world.evidence}
    decision = world.decide()
    assert decision.allowed
    ((unused),) = decision.unused
    assert unused.place == "bad" and reason in unused.reason


SIGNED = {
    "no in-toto payload": ("text/plain", b"{}", "no statement"),
    "no JSON": ("application/vnd.in-toto+json", b"x", "statement"),
    "no object": ("application/vnd.in-toto+json", b"[1]", "statement"),
    "an unknown kind": (
        "application/vnd.in-toto+json",
        b'{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"x","predicate":{}}',
        "not read here",
    ),
    "an unknown version": (
        "application/vnd.in-toto+json",
        b'{"_type":"https://in-toto.io/Statement/v9","subject":[],"predicateType":"x","predicate":{}}',
        "of the type",
    ),
    "a predicate with an unknown field": (
        "application/vnd.in-toto+json",
        b'{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"https://garrison/attestations/'
        b'approval/v1","predicate":{"created":"2026-05-31T00:00:00Z","decision":"approved","unless":"x"}}',
        "unless",
    ),
    "a signature of no model": (
        "application/vnd.in-toto+json",
        b'{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":'
        b'"https://model_signing/signature/v1.0","predicate":{}}',
        "statement",
    ),
}


@pytest.mark.parametrize("case", SIGNED)
def test_what_somebody_known_signed_must_still_be_a_statement(world: World, case: str) -> None:
    kind, payload, reason = SIGNED[case]
    world.evidence["bad"] = write(payload, world.keys["ada"], payload_type=kind)
    decision = world.decide()
    assert decision.allowed
    ((unused),) = decision.unused
    assert unused.place == "bad" and reason in unused.reason


def test_a_statement_that_nothing_asks_for_is_named(world: World) -> None:
    del world.policy["version"]
    decision = world.decide()
    assert decision.allowed and [one.reason for one in decision.unused] == ["the policy asks for no version"]


def test_a_statement_about_nothing_is_about_no_model(world: World) -> None:
    payload = (
        b'{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"https://garrison/attestations/'
        b'approval/v1","predicate":{"created":"2026-05-31T00:00:00Z","decision":"approved"}}'
    )
    world.evidence["grace"] = write(payload, world.keys["grace"])
    assert "it is about nothing" in why(world.only("approvals"))


def test_one_of_several_subjects_is_enough(world: World) -> None:
    world.evidence["scan"] = world.said(scan(), "ci", [elsewhere(world), world.subject])
    assert world.only("scan").met
    world.evidence["scan"] = world.said(scan(), "ci", [elsewhere(world)] * 1001)
    decision = world.only("scan")
    assert not decision.met


def test_evidence_cannot_ask_for_endless_hashing(world: World) -> None:
    """Each way of hashing costs a pass over the model; what asks for one too many does not count."""
    for size in range(1, 40):
        serialization = Serialization(method="shards", algorithm="sha256", shard_size=size)
        world.evidence[f"shards {size}"] = world.signature(serialization=serialization)
    decision = world.decide()
    assert decision.allowed
    reasons = [one.reason for one in decision.requirements[0].others]
    assert sum("more than 16 ways" in reason for reason in reasons) >= 39 - 16


def test_ten_thousand_statements_are_read_and_no_more(world: World) -> None:
    replayed = world.said(approval(), "stranger")
    many = [Piece(place=f"{number}", data=b"{}") for number in range(9_990)]
    decision = world.decide(evidence=[*world.pieces(), *many, Piece(place="last", data=replayed), *many[:10]])
    assert decision.allowed
    assert decision.unused[-1].place == "2" and "no more are read" in decision.unused[-1].reason


def test_names_of_any_alphabet(tmp_path: Path) -> None:
    folder = tmp_path / "größe 模型 \u202e"
    folder.mkdir()
    world = World(folder)
    (world.model / "重み.bin").write_bytes(b"x")
    world.subject = world.subject_now()
    for name, predicate, by in [("scan", scan(), "ci")]:
        world.evidence[name] = world.said(predicate, by)
    assert next(one for one in world.decide().requirements if one.name == "scan").met


def test_times_of_other_zones_are_the_same_times(world: World) -> None:
    zone = datetime.timezone(datetime.timedelta(hours=14))
    world.evidence["scan"] = world.said(scan(created=NOW.astimezone(zone), started=NOW.astimezone(zone)), "ci")
    assert world.only("scan").met


@pytest.mark.parametrize("bound", ["minimum", "maximum", "epsilon"])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_bounds_are_numbers(world: World, bound: str, number: float) -> None:
    world.policy["robustness"]["thresholds"] = [{"metric": "robust-accuracy", "minimum": 0.9, bound: number}]
    with pytest.raises(UsageError, match="not a finite number"):
        world.decide()


@pytest.mark.parametrize("limit", [{"datasets": [f"sha256:{DATASET}"]}, {"base-models": []}])
def test_provenance_that_does_not_say_what_was_an_input_does_not_do(world: World, limit: dict[str, Any]) -> None:
    """What goes by another role, by none or into another kind of build could be any dataset or model."""
    world.policy["training"] = {"signed-by": ["trainer"], **limit}
    assert world.only("training").met
    unlisted = dataset(OTHER_DATASET)
    for annotations in ({}, {"role": "Dataset"}, {"role": ["dataset"]}):
        odd = msgspec.structs.replace(unlisted, annotations=annotations)
        world.evidence["training"] = world.said(training(dataset(), odd), "trainer")
        assert "more may have" in why(world.only("training"))
    world.evidence["training"] = world.said(training(dataset(), build="https://mlops.example/v1"), "trainer")
    assert "more may have" in why(world.only("training"))


def test_a_key_in_certificates_of_other_names_is_one_person(world: World, tmp_path: Path) -> None:
    """Not two approvers, and no other than the author."""
    key = ec.generate_private_key(ec.SECP256R1())
    top = authority()
    (tmp_path / "root.pem").write_bytes(top.pem)
    (tmp_path / "ada.pub").write_bytes(pem(key.public_key()))
    holder = top.signer("another@example.org", key=key)
    world.identities.append(Identity(name="another", authorities="root.pem", subject="another@example.org"))
    world.policy["approvals"]["signed-by"] = ["ada", "another"]
    world.keys["ada"] = KeySigner(key)
    world.evidence["ada"] = world.said(approval(), "ada")
    signer = CertificateSigner(world.keys["ada"], holder.chain)
    world.evidence["grace"] = attest([world.subject], approval(), signer)
    assert "approved by 1 of 2" in why(world.only("approvals"))
    world.policy["approvals"] = {"signed-by": ["another"], "count": 1}
    assert world.only("approvals").met
    world.evidence["by ada too"] = world.signature("ada")
    assert "grace: signed by the author" in why(world.only("approvals"))


def test_a_least_version_that_is_none_is_the_policys_mistake(world: World) -> None:
    world.policy["scan"]["minimum-version"] = "newest"
    with pytest.raises(UsageError, match="minimum-version 'newest' is none"):
        world.decide()
