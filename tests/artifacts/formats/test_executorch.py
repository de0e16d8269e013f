"""ExecuTorch programs and data files."""

import struct

import pytest
from hypothesis import given, settings

from garrison.core.facts import Artifact
from tests.artifacts.wire.flatbuffer_writer import Bytes, Node, Numbers, Scalar, build
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of, worst

ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00\x3e\x00\x01\x00\x00\x00" + bytes(40)


def program(
    operators: list[str], backend: str = "XnnpackBackend", blob: bytes = b"XH00" + bytes(28), *, inline: bool = False
) -> bytes:
    reference = Node({0: Scalar("b", 0 if inline else 1), 1: Scalar("I", 0)})
    plan = Node(
        {
            0: "forward",
            2: [Node({0: Scalar("B", 5), 1: Node({0: Scalar("b", 6), 2: Numbers("i", [1, 3])})})],
            6: [Node({0: name, 1: "out"}) for name in operators],
            7: [Node({0: backend, 1: reference})],
        }
    )
    fields: dict[int, object] = {0: Scalar("I", 0), 1: [plan]}
    if inline:
        fields[3] = [Node({0: Bytes(blob, 16)})]
        return build(Node(fields), b"ET12")  # type: ignore[arg-type]
    fields[4] = [Node({0: Scalar("Q", 0), 1: Scalar("Q", len(blob))})]
    return _with_header(build(Node(fields), b"ET12" + bytes(32)), blob, b"eh00")  # type: ignore[arg-type]


def _with_header(buffer: bytes, blob: bytes, magic: bytes) -> bytes:
    padded = buffer + bytes(-len(buffer) % 16)
    header = magic + struct.pack("<IQQQ", 32, len(buffer), len(padded), len(blob))
    return padded[:8] + header + bytes(0) + padded[8 + len(header) :] + blob


def data_file(*, blob: bytes, opaque: bool) -> bytes:
    named: dict[int, object] = {0: "weight", 1: Scalar("I", 0)}
    if not opaque:
        named[2] = Node({0: Scalar("b", 6)})
    root = Node({0: Scalar("I", 0), 1: [Node({0: Scalar("Q", 0), 1: Scalar("Q", len(blob))})], 2: [Node(named)]})  # type: ignore[arg-type,dict-item]
    buffer = build(root, b"FT01" + bytes(40))
    padded = buffer + bytes(-len(buffer) % 16)
    header = b"FH01" + struct.pack("<IQQQQ", 40, 0, len(buffer), len(padded), len(blob))
    return padded[:8] + header + padded[8 + len(header) :] + blob


@pytest.mark.parametrize("inline", [True, False])
def test_an_honest_program_gives_nothing(inline: bool) -> None:
    data = program(["aten::add", "quantized_decomposed::quantize_per_tensor"], inline=inline)
    assert findings_of(data, "model.pte") == []
    assert all(item.state == "examined" for item in examine_bytes(data, "model.pte"))
    artifact = next(fact for fact in facts_of(data) if type(fact) is Artifact)
    assert artifact.details["methods"] == "forward"
    assert artifact.details["delegates"] == "XnnpackBackend × 1"
    assert (artifact.details["operators"], artifact.details["tensors"]) == (2, 1)


def test_operators_and_delegates_of_unknown_makers_are_medium() -> None:
    findings = findings_of(program(["evil::run"]), "model.pte")
    assert [(finding.rule, finding.severity) for finding in findings] == [("custom-operator", "medium")]
    assert worst(findings_of(program(["aten::add"], "EvilBackend"), "model.pte")) == "medium"


@pytest.mark.parametrize("inline", [True, False])
def test_native_code_that_a_delegate_is_given_is_told(inline: bool) -> None:
    findings = findings_of(program(["aten::add"], "CudaBackend", ELF, inline=inline), "model.pte")
    assert worst(findings) in ("high", "critical"), findings


def test_bytes_behind_the_last_segment_are_told() -> None:
    assert "trailing-data" in [finding.rule for finding in findings_of(program(["aten::add"]) + b"more", "model.pte")]
    assert findings_of(program(["aten::add"]) + bytes(64), "model.pte") == []


def test_a_segment_outside_the_file_is_malformed() -> None:
    data = program(["aten::add"], blob=bytes(100))[:-50]
    assert [finding.rule for finding in findings_of(data, "model.pte")] == ["malformed"]


def test_data_files() -> None:
    assert findings_of(data_file(blob=bytes(64), opaque=False), "model.ptd") == []
    artifact = next(fact for fact in facts_of(data_file(blob=bytes(64), opaque=False)) if type(fact) is Artifact)
    assert (artifact.format, artifact.details["entries"]) == ("executorch-data", 1)
    assert worst(findings_of(data_file(blob=ELF, opaque=True), "model.ptd")) in ("high", "critical")


@given(damaged(program(["aten::add"]), program(["a::b"], inline=True), data_file(blob=bytes(20), opaque=True)))
@settings(max_examples=300, deadline=None)
def test_broken_files_do_not_fail(data: bytes) -> None:
    assert_no_failure(data)
