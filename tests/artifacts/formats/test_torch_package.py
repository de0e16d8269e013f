"""Packages of torch.package carry Python that unpickling runs."""

from garrison.core.facts import Artifact
from tests.artifacts.formats.torch_archives import EVIL, archive
from tests.support import examine_bytes, facts_of, findings_of, worst

_MODEL = b"\x80\x02cnet\nNet\n)\x81."


def _package(source: bytes, pickle: bytes = _MODEL) -> bytes:
    members = {"model/model.pkl": pickle, "net.py": source, ".data/extern_modules": b"torch\nnumpy\n"}
    return archive({**members, ".data/python_version": b"3.11.7", ".data/version": b"6\n", "byteorder": b"little"})


HONEST = b"import torch\n\nclass Net(torch.nn.Module):\n    def forward(self, x):\n        return torch.relu(x)\n"


def test_its_own_modules_are_unknown_code() -> None:
    findings = findings_of(_package(HONEST), "model.pt")
    assert [(finding.rule, finding.severity) for finding in findings] == [("unknown-import", "medium")]


def test_source_that_runs_commands_is_told() -> None:
    findings = findings_of(_package(HONEST + b"import os\nos.system('id')\n"), "model.pt")
    assert worst(findings) == "high"
    assert any("os" in finding.message and "package" in finding.message for finding in findings)


def test_its_pickles_are_examined() -> None:
    assert worst(findings_of(_package(HONEST, EVIL), "model.pt")) == "critical"


def test_the_package_is_described() -> None:
    artifact = next(f for f in facts_of(_package(HONEST)) if type(f) is Artifact and f.format == "torch-package")
    assert artifact.details == {
        "framework": "torch",
        "modules": 1,
        "extern_modules": "torch, numpy",
        "python_version": "3.11.7",
    }


def test_its_tensors_are_no_gap() -> None:
    members = {".data/0.storage": bytes(range(1, 201)), ".data/extern_modules": b"torch\n", "net.py": HONEST}
    found = examine_bytes(archive(members), "model.pt")
    assert [item.reason for item in found if item.state != "examined"] == []
