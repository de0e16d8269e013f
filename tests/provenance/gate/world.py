"""A model, the people around it, and what they say of it: all that a gate may ask for, before anything is broken."""

import datetime
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from garrison.core.findings import Severity
from garrison.core.gate_decision import GateDecision, PassedOver, RequirementDecision
from garrison.core.gate_policy import gate_policy
from garrison.core.policy import Identity, Policy, parse_policy
from garrison.provenance.attestations.predicates import (
    TRAINING_BUILD,
    AnyPredicate,
    Approval,
    BuildDefinition,
    Builder,
    BuildMetadata,
    Counts,
    Dataset,
    Examined,
    Measurement,
    Provenance,
    Report,
    Resource,
    Robustness,
    RunDetails,
    Scan,
    Tool,
    Version,
)
from garrison.provenance.attestations.statement import attest
from garrison.provenance.gate import Piece, decide
from garrison.provenance.keys import KeySigner, pem
from garrison.provenance.signing import sign
from garrison.provenance.statements import Subject
from garrison.provenance.subjects import attested, subject_of

NOW = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
DATASET = "ab" * 32
OTHER_DATASET = "cd" * 32
COMMIT = "e" * 40
PEOPLE = ("release", "ci", "trainer", "lab", "ada", "grace", "linus", "stranger")
"""Everybody but the stranger is known to the policy."""

POLICY: dict[str, Any] = {
    "signature": {"signed-by": ["release"]},
    "scan": {"signed-by": ["ci"], "max-days": 7, "minimum-version": "0.4"},
    "training": {
        "signed-by": ["trainer"],
        "datasets": [f"sha256:{DATASET}"],
        "code": ["git+https://git.example/team/*"],
        "commits": [COMMIT],
        "builders": ["https://cluster.example/*"],
    },
    "robustness": {
        "signed-by": ["lab"],
        "thresholds": [
            {"metric": "robust-accuracy", "attack": "autoattack", "norm": "linf", "epsilon": 0.0314, "minimum": 0.5}
        ],
    },
    "approvals": {"signed-by": ["ada", "grace", "linus", "trainer"], "count": 2, "environment": "production"},
    "version": {"signed-by": ["release"], "name": "digits", "minimum": 3},
}


def scan(**changes: Any) -> Scan:
    found = Scan(
        created=NOW - DAY,
        scanner=Tool(name="garrison", version="0.4.1"),
        started=NOW - DAY,
        allowed=True,
        verdict="clean",
        threshold=Severity.HIGH,
        findings=Counts(info=1, low=0, medium=2, high=0, critical=0),
        waived=Counts(info=0, low=0, medium=0, high=0, critical=0),
        coverage=Examined(examined=2, not_understood=0, failed=0, skipped=0),
        report=Report(digest={"sha256": DATASET}, schema_version="1.1"),
    )
    return msgspec.structs.replace(found, **changes)


def counts(**found: int) -> Counts:
    return Counts(**{"info": 0, "low": 0, "medium": 0, "high": 0, "critical": 0, **found})


def training(
    *resources: Resource, builder: str = "https://cluster.example/1", build: str = TRAINING_BUILD
) -> Provenance:
    return Provenance(
        build_definition=BuildDefinition(
            build_type=build, external_parameters={}, resolved_dependencies=resources or (dataset(), code())
        ),
        run_details=RunDetails(builder=Builder(id=builder), metadata=BuildMetadata(finished_on=NOW - 3 * DAY)),
    )


def dataset(digest: str = DATASET) -> Resource:
    return Resource(name="mnist", digest={"sha256": digest}, annotations={"role": "dataset"})


def base_model(digest: str) -> Resource:
    return Resource(name="base", digest={"sha256": digest}, annotations={"role": "model"})


def code(uri: str = "git+https://git.example/team/digits", commit: str = COMMIT) -> Resource:
    return Resource(uri=uri, digest={"gitCommit": commit}, annotations={"role": "code"})


def measurement(**changes: Any) -> Measurement:
    found = Measurement(
        name="robust-accuracy",
        value=0.55,
        attack="autoattack",
        norm="linf",
        epsilon=8 / 255,
        dataset="mnist-test",
        samples=1000,
    )
    return msgspec.structs.replace(found, **changes)


def card(*measurements: Measurement, created: datetime.datetime = NOW - DAY) -> Robustness:
    return Robustness(
        created=created,
        tool=Tool(name="garrison", version="0.4.1"),
        datasets=(Dataset(name="mnist-test", digest={"sha256": DATASET}),),
        measurements=measurements or (measurement(), measurement(name="accuracy", attack="", norm=None, epsilon=None)),
    )


def approval(**changes: Any) -> Approval:
    return Approval(**{"created": NOW - DAY, "decision": "approved", **changes})


def version(number: int = 4, name: str = "digits", **changes: Any) -> Version:
    return Version(created=NOW - DAY, name=name, version=number, **changes)


class World:
    """Mutable, unlike what it is made of: a test breaks one thing and decides."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = folder / "digits"
        self.model.mkdir()
        (self.model / "weights.safetensors").write_bytes(b"weights")
        (self.model / "config.json").write_bytes(b"{}")
        self.keys = {name: KeySigner(self._key(name)) for name in PEOPLE}
        for name, key in self.keys.items():
            (folder / f"{name}.pub").write_bytes(pem(key.public_key))
        self.identities = [Identity(name=name, public_key=f"{name}.pub") for name in PEOPLE if name != "stranger"]
        self.policy: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(POLICY))
        self.subject = self.subject_now()
        self.evidence: dict[str, bytes | None] = {
            "signature": self.signature(),
            "scan": self.said(scan(), "ci"),
            "training": self.said(training(), "trainer"),
            "robustness": self.said(card(), "lab"),
            "ada": self.said(approval(environments=("production",)), "ada"),
            "grace": self.said(approval(), "grace"),
            "version": self.said(version(), "release"),
        }

    @staticmethod
    def _key(name: str) -> Any:
        # Models are not signed with Ed25519, which is the faster one.
        return (
            ec.generate_private_key(ec.SECP256R1())
            if name in ("release", "stranger")
            else ed25519.Ed25519PrivateKey.generate()
        )

    def subject_now(self) -> Subject:
        """The model as it is."""
        return subject_of(*attested(str(self.model)))

    def signature(self, by: str = "release", **how: Any) -> bytes:
        return sign(str(self.model), self.keys[by], **how).bundle

    def said(self, predicate: AnyPredicate, by: str, subjects: Sequence[Subject] = ()) -> bytes:
        return attest(subjects or [self.subject], predicate, self.keys[by])

    def pieces(self) -> Iterable[Piece | PassedOver]:
        return [Piece(place=place, data=data) for place, data in self.evidence.items() if data is not None]

    def asked(self) -> Policy:
        return parse_policy({"gate": self.policy})

    def decide(self, **how: Any) -> GateDecision:
        gate = gate_policy(self.asked().gate)
        how = {"now": NOW, "base": str(self.folder), **how}
        return decide(str(self.model), gate, self.identities, how.pop("evidence", self.pieces()), **how)

    def only(self, name: str, **how: Any) -> RequirementDecision:
        """The decision about one requirement, when all others are met."""
        decision = self.decide(**how)
        for one in decision.requirements:
            assert one.met == (not one.reasons), one
            assert one.name == name or one.met, one
        assert decision.allowed == all(one.met for one in decision.requirements)
        return next(one for one in decision.requirements if one.name == name)


def why(decision: RequirementDecision) -> str:
    """All reasons, and why what does not count does not."""
    return "\n".join([*decision.reasons, *(f"{other.place}: {other.reason}" for other in decision.others)])
