"""PyTorch checkpoints of every age: honest ones pass, and each pickle in them is examined."""

import io
import pickle
import struct
import tarfile
import zipfile

import pytest
from hypothesis import given, settings

from garrison.core.facts import Artifact
from tests.artifacts.formats.torch_archives import EVIL, TENSOR, archive, checkpoint
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of, worst

MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
PROTOCOL = pickle.dumps(1001, 2)
SYSTEM = pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}, 2)
STORAGE = struct.pack("<q3f", 3, 1.0, 2.0, 3.0)


def legacy(*, system: bytes = SYSTEM, value: bytes = TENSOR, keys: bytes = b"", storages: bytes = STORAGE) -> bytes:
    return MAGIC + PROTOCOL + system + value + (keys or pickle.dumps(["0"], 2)) + storages


def tarred(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


_KEY = b"\x80\x02X\x01\x00\x00\x000X\x03\x00\x00\x00cpuctorch\nFloatStorage\n\x87."
OLD = {
    "storages": pickle.dumps(1, 2) + _KEY + STORAGE + pickle.dumps([], 2),
    "tensors": pickle.dumps(1, 2)
    + b"\x80\x02K\x01X\x01\x00\x00\x000ctorch\nFloatTensor\n\x87."
    + struct.pack("<i4xqqq", 1, 3, 1, 0),
    "pickle": pickle.dumps({"w": 1}, 2),
}


def _details(data: bytes, name: str) -> dict[str, object]:
    return next(dict(f.details) for f in facts_of(data) if type(f) is Artifact and f.format == name)


@pytest.mark.parametrize("root", ["model", "archive", ""])
def test_an_honest_archive_gives_nothing(root: str) -> None:
    data = checkpoint(root=root)
    assert findings_of(data, "model.pth") == []
    assert all(item.state == "examined" for item in examine_bytes(data, "model.pth"))
    assert _details(data, "pytorch-zip")["storage_bytes"] == 12


def test_storages_are_no_pickles_whatever_they_look_like() -> None:
    assert findings_of(checkpoint(**{"data/0": b"(lp0\nI1\na."}), "model.pth") == []


@pytest.mark.parametrize(
    "members",
    [
        {"data.pkl": EVIL},
        {"DATA.PKL": EVIL},
        {"data.pkl": TENSOR, "extra/data.pkl": EVIL},
        {"data.pkl": TENSOR, "data/0": checkpoint(EVIL)},
        {"data.pkl": EVIL[:-1]},
        {"data.pkl": b"cposix\nsystem\n(S'id'\ntR."},
    ],
)
def test_a_pickle_that_acts_is_critical_in_every_member(members: dict[str, bytes]) -> None:
    assert worst(findings_of(archive({**members, "version": b"3\n"}), "model.pth")) == "critical"


def test_an_archive_whose_names_are_in_capitals_is_still_one() -> None:
    """PyTorch's reader disregards case."""
    assert _details(archive({"DATA.PKL": TENSOR, "Version": b"3\n"}), "pytorch-zip")["version"] == "3"


def test_a_distributed_checkpoint_is_one_archive_after_another() -> None:
    files = {"__0_0.distcp": checkpoint(root="archive") * 3}
    assert findings_of(files) == []
    evil = {"__0_0.distcp": checkpoint(EVIL, root="archive") + checkpoint(root="archive") * 2}
    findings = findings_of(evil)
    assert worst(findings) == "critical"
    assert any("archive@0x0" in finding.subject for finding in findings)


def test_bytes_before_an_archive_are_told_unless_they_are_archives() -> None:
    assert [finding.rule for finding in findings_of(b"x" * 80 + checkpoint(), "m.pth")] == ["prefixed-data"]


def test_the_metadata_of_a_distributed_checkpoint_is_harmless() -> None:
    names = ("Metadata", "TensorStorageMetadata", "TensorProperties", "BytesStorageMetadata", "ChunkStorageMetadata")
    data = b"\x80\x02(" + b"".join(
        b"ctorch.distributed.checkpoint.metadata\n" + name.encode() + b"\n)\x81}b" for name in names
    )
    data += b"ctorch.distributed.checkpoint.filesystem\n_StorageInfo\n)\x81}bl."
    assert findings_of({".metadata": data}) == []


def test_storages_that_unpack_to_many_times_their_size_are_a_bomb() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in (("data.pkl", TENSOR), ("version", b"3\n"), ("data/0", bytes(70 << 20))):
            file.writestr(f"model/{name}", data)
    assert [finding.rule for finding in findings_of(out.getvalue(), "model.pth")] == ["decompression-bomb"]


def test_an_honest_legacy_file_gives_nothing() -> None:
    assert findings_of(legacy(), "model.pth") == []
    assert _details(legacy(), "pytorch-legacy")["storages"] == 1


@pytest.mark.parametrize("where", ["system", "value", "keys"])
def test_each_stacked_pickle_is_examined(where: str) -> None:
    assert worst(findings_of(legacy(**{where: EVIL}), "model.pth")) == "critical"
    assert worst(findings_of(legacy(**{where: EVIL[:-1] + b"\xff"}), "model.pth")) == "critical"


def test_a_pickle_behind_the_storages_is_examined() -> None:
    assert worst(findings_of(legacy() + EVIL, "model.pth")) == "critical"


def test_a_legacy_file_without_storage_keys_has_been_examined() -> None:
    """torch.load gives up on it, but not before the object was built; nothing in it stays unread."""
    item = examine_bytes(MAGIC + PROTOCOL + SYSTEM + pickle.dumps({"w": [1]}, 2), "model.pth")[-1]
    assert item.state == "examined"
    assert worst(findings_of(MAGIC + PROTOCOL + SYSTEM + pickle.dumps({"w": [1]}, 2))) == "low"
    assert worst(findings_of(MAGIC + PROTOCOL + SYSTEM + EVIL)) == "critical"


def test_a_storage_longer_than_the_file_is_malformed() -> None:
    data = legacy(storages=struct.pack("<q", 1 << 60))
    assert [finding.rule for finding in findings_of(data, "model.pth")] == ["malformed"]


def test_a_tar_of_the_first_versions() -> None:
    assert findings_of(tarred(OLD), "model.pt") == []
    assert _details(tarred(OLD), "pytorch-tar")["framework"] == "torch"


@pytest.mark.parametrize("where", ["storages", "tensors", "pickle"])
def test_each_pickle_of_a_tar_is_examined(where: str) -> None:
    assert worst(findings_of(tarred({**OLD, where: EVIL}), "model.pt")) == "critical"


@given(damaged(checkpoint(), legacy(), tarred(OLD)))
@settings(max_examples=150, deadline=None)
def test_broken_files_do_not_fail(data: bytes) -> None:
    assert_no_failure(data)


def test_test_data_of_a_package_makes_it_no_archive_of_pytorch() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("tool/__init__.py", "VERSION = 1\n")
        file.writestr("tool/fast.so", b"\x7fELF\x02\x01\x01" + bytes(57))
        file.writestr("tool/tests/data/data.pkl", TENSOR)
        file.writestr("tool-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
    assert "pytorch-zip" not in examine_bytes(out.getvalue(), "tool-1.0-py3-none-any.whl")[-1].formats
    assert worst(findings_of(out.getvalue(), "tool-1.0-py3-none-any.whl")) in ("none", "info", "low")
