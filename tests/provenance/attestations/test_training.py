"""Provenance of trainings: what went in, with digests that whoever has it can check."""

import hashlib
from pathlib import Path

import pytest

from garrison.core.errors import UsageError
from garrison.provenance.attestations import training
from garrison.provenance.attestations.git import Commit
from garrison.provenance.attestations.predicates import TRAINING, described, predicate_of
from garrison.provenance.statements import Subject
from garrison.provenance.subjects import manifests, matches
from garrison.provenance.trust import Refused
from tests.provenance.attestations.samples import LATER, NOW, SHA256

COMMIT = Commit(id="c" * 40, uri="git+https://example.org/code", changed=())


def test_what_went_in_comes_back(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text("version = 1\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "one.csv").write_text("1,2\n")
    inputs = [
        training.code(COMMIT),
        training.measured(str(tmp_path / "data"), "dataset"),
        training.named(f"imagenet=sha256:{SHA256}", "dataset"),
        training.named(f"base=sha512:{'0' * 128}", "model"),
        training.lock(str(tmp_path / "uv.lock")),
    ]
    provenance = training.trained(
        builder="https://example.org/cluster", parameters={"lr": 0.1}, inputs=inputs, started=NOW, finished=LATER
    )
    assert predicate_of(TRAINING, described(provenance)) == provenance
    assert [one.name for one in provenance.inputs("dataset")] == ["data", "imagenet"]
    assert provenance.inputs("environment")[0].digest == {"sha256": hashlib.sha256(b"version = 1\n").hexdigest()}
    assert provenance.inputs("code")[0].uri == COMMIT.uri
    assert provenance.inputs("model")[0].digest == {"sha512": "0" * 128}
    assert provenance.created == LATER


def test_whoever_has_the_dataset_can_tell(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "one.csv").write_text("1,2\n")
    resource = training.measured(str(data), "dataset")
    subject = Subject(name=resource.name, digest=resource.digest, annotations=resource.annotations)
    assert matches(subject, manifests(str(data), [subject]))
    (data / "two.csv").write_text("3,4\n")
    assert not matches(subject, manifests(str(data), [subject]))


def test_code_that_is_not_as_committed_is_refused_or_said() -> None:
    changed = Commit(id="c" * 40, uri="", changed=("train.py", "odd\udcff.py"))
    with pytest.raises(Refused, match=r"cccccccccccc says: 'train\.py' and 1 more"):
        training.code(changed)
    resource = training.code(changed, allow_changes=True)
    assert resource.annotations == {"role": "code", "changed": ["train.py", "odd\\udcff.py"]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        f"=sha256:{SHA256}",
        f"name={SHA256}",
        "name=sha256:",
        "name=sha256:abc",
        f"name=sha256:{SHA256.upper()}",
        f"name=sha256:{SHA256}\n",
        f"name=md5:{'0' * 32}",
        f"name=sha512:{SHA256}",
    ],
)
def test_digests_on_the_command_line(text: str) -> None:
    with pytest.raises(UsageError):
        training.named(text, "dataset")


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        training.lock(str(tmp_path / "none"))
    with pytest.raises(UsageError):
        training.measured(str(tmp_path / "none"), "dataset")
