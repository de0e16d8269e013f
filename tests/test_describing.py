"""Bills of materials of real files, from Python."""

import json
from pathlib import Path

import pytest

import garrison
from garrison.core.errors import UsageError
from tests.reporting.bom.trees import CARD, REPOSITORY, safetensors


def tree(directory: Path) -> Path:
    for name, data in REPOSITORY.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(data)
    return directory / "repo"


def test_a_bill_with_digests_and_the_report_that_it_is_from(tmp_path: Path) -> None:
    import hashlib

    text, report = garrison.describe(tree(tmp_path))
    files = {one["name"]: one for one in json.loads(text)["metadata"]["component"]["components"]}
    assert len(files) == len(REPOSITORY) == len(report.inventory)
    card = files[f"{tmp_path}/repo/README.md"]
    assert card["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(CARD).hexdigest()}]


@pytest.mark.parametrize("format", ["cyclonedx", "cyclonedx-1.7", "spdx"])
def test_a_fixed_time_makes_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    first, second = (garrison.describe(tree(tmp_path), format)[0] for _ in range(2))
    assert first == second and "2023-11-14T22:13:20Z" in first


@pytest.mark.parametrize("epoch", ["", "now", "-1", "٣", "1" * 30, "253402300800", "0" * 20 + "9" * 18])
def test_a_time_that_is_none_is_the_callers_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: str
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
        garrison.describe(tmp_path)


def test_a_format_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no format"):
        garrison.describe(tmp_path, "xml")


def test_a_directory_is_called_what_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my-net").mkdir()
    (tmp_path / "my-net/config.json").write_bytes(b'{"model_type": "bert", "architectures": ["BertModel"]}')
    (tmp_path / "my-net/model.safetensors").write_bytes(safetensors({"a": ("F32", [2])}))
    monkeypatch.chdir(tmp_path / "my-net")
    for path in (".", "../my-net", str(tmp_path / "my-net") + "/"):
        component = json.loads(garrison.describe(path)[0])["metadata"]["component"]
        assert component["name"] == "my-net"
    snapshot = tmp_path / f"models--org--net/snapshots/{'0' * 40}"
    snapshot.parent.mkdir(parents=True)
    (tmp_path / "my-net").rename(snapshot)
    monkeypatch.chdir(snapshot)
    assert json.loads(garrison.describe(".")[0])["metadata"]["component"]["name"] == "org/net"
    snapshot.rename(tmp_path / "my-net")
    monkeypatch.chdir(tmp_path)
    assert json.loads(garrison.describe(["my-net/config.json", "my-net/model.safetensors"])[0])
