"""One predicate of each kind, with every field that it can have."""

import datetime

from garrison.core.findings import Severity
from garrison.provenance.attestations.predicates import (
    TRAINING_BUILD,
    AnyPredicate,
    Approval,
    BuildDefinition,
    Builder,
    BuildMetadata,
    Checked,
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

NOW = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)
LATER = NOW + datetime.timedelta(days=7)
SHA256 = "ab" * 32

PREDICATES: dict[str, AnyPredicate] = {
    "scan": Scan(
        created=NOW,
        expires=LATER,
        scanner=Tool(name="garrison", version="1.2.3"),
        started=NOW,
        allowed=False,
        verdict="denied",
        threshold=Severity.HIGH,
        reasons=("1 finding of high or worse",),
        findings=Counts(info=3, low=0, medium=2, high=1, critical=0),
        waived=Counts(info=0, low=0, medium=1, high=0, critical=0),
        coverage=Examined(examined=5, not_understood=1, failed=0, skipped=2),
        checks=(Checked(name="known vulnerabilities", checked=1, total=2, data="PyPI", reason="no version", gap=True),),
        report=Report(digest={"sha256": SHA256}, schema_version="1.1", content='{"schema_version": "1.1"}'),
    ),
    "training": Provenance(
        build_definition=BuildDefinition(
            build_type=TRAINING_BUILD,
            external_parameters={"learningRate": 0.1, "layers": [3, 4], "name": "größer"},
            internal_parameters={"seed": 1},
            resolved_dependencies=(
                Resource(name="mnist", digest={"sha256": SHA256}, annotations={"role": "dataset"}),
                Resource(uri="git+https://example.org/x", digest={"gitCommit": "c" * 40}, annotations={"role": "code"}),
            ),
        ),
        run_details=RunDetails(
            builder=Builder(id="https://example.org/cluster", version={"slurm": "24"}),
            metadata=BuildMetadata(invocation_id="run-1", started_on=NOW, finished_on=LATER),
            byproducts=(Resource(name="log", content="bG9n", media_type="text/plain"),),
        ),
    ),
    "robustness": Robustness(
        created=NOW,
        expires=LATER,
        tool=Tool(name="garrison", version="1.2.3"),
        datasets=(Dataset(name="mnist-test", digest={"sha256": SHA256}),),
        measurements=(
            Measurement(name="accuracy", value=0.99, dataset="mnist-test", samples=10_000),
            Measurement(
                name="robust-accuracy",
                value=0.5,
                lower=0.4,
                upper=0.6,
                confidence=0.95,
                attack="pgd",
                norm="linf",
                epsilon=0.3,
                parameters={"steps": 40, "step_size": 0.01, "targeted": False, "loss": "ce"},
                dataset="mnist-test",
                samples=100,
            ),
        ),
        limitations="White box only.",
    ),
    "approval": Approval(
        created=NOW, expires=LATER, decision="approved", comment="Reviewed.", environments=("staging", "production")
    ),
    "version": Version(created=NOW, expires=LATER, name="digits", version=7),
}
