"""PaddlePaddle programs, as protobuf and as JSON, and their parameters."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.facts import Artifact
from tests.artifacts.protobuf_encoding import field
from tests.support import examine_bytes, facts_of, findings_of


def attribute(name: str, value: "str | int | list[str]") -> bytes:
    if isinstance(value, int):
        return field(1, name) + field(2, 0) + field(3, value)
    if isinstance(value, list):
        return field(1, name) + field(2, 5) + b"".join(field(8, item) for item in value)
    return field(1, name) + field(2, 2) + field(5, value)


def operator(kind: str, **attributes: "str | int | list[str]") -> bytes:
    body = field(1, field(1, "X") + field(2, "x")) + field(3, kind)
    return body + b"".join(field(4, attribute(key, value)) for key, value in attributes.items())


def variable(name: str, *, persistable: bool = True) -> bytes:
    return field(1, name) + field(2, field(1, 7)) + field(3, int(persistable))


def program(*operators: bytes, variables: "tuple[bytes, ...]" = ()) -> bytes:
    block = field(1, 0) + field(2, -1) + b"".join(field(3, v) for v in variables or (variable("w_0"),))
    return field(1, block + b"".join(field(4, o) for o in operators)) + field(4, field(1, 2006001))


def tensor(*dims: int, kind: int = 5, levels: "tuple[bytes, ...]" = ()) -> bytes:
    described = field(1, kind) + b"".join(field(2, dim) for dim in dims)
    lod = b"".join(struct.pack("<Q", len(level)) + level for level in levels)
    elements = 1
    for dim in dims:
        elements *= dim
    return (
        struct.pack("<IQ", 0, len(levels))
        + lod
        + struct.pack("<II", 0, len(described))
        + described
        + bytes(4 * elements)
    )


ORDINARY = program(operator("feed", col=0), operator("conv2d", data_format="NCHW"), operator("fetch", col=0))
PARAMETERS = tensor(2, 3) + tensor(4, levels=(bytes(16),)) + tensor()


def pir(*operations: dict[str, object]) -> bytes:
    block = {"#": "block_0", "args": [], "ops": list(operations)}
    base = {"magic": "pir", "trainable": True, "version": 1}
    return json.dumps({"base_code": base, "program": {"regions": [{"#": "region_0", "blocks": [block]}]}}).encode()


def test_an_ordinary_program_tells_of_itself_and_is_no_finding() -> None:
    assert findings_of(ORDINARY, "inference.pdmodel") == []
    details = next(fact.details for fact in facts_of(ORDINARY) if isinstance(fact, Artifact))
    assert details == {"blocks": 1, "operators": 3, "variables": 1, "paddle_version": "2.6.1"}


@pytest.mark.parametrize(
    ("one", "rule", "severity"),
    [
        (operator("py_func", forward_callable_id=3), "python-operator", "high"),
        (operator("save_combine", file_path="/root/.bashrc"), "file-operator", "critical"),
        (operator("save", file_path="beside"), "file-operator", "high"),
        (operator("load_combine", file_path="/etc/passwd"), "file-operator", "high"),
        (operator("load", file_path="w_0"), "file-operator", "medium"),
        (operator("read_file", filename="../../x"), "file-operator", "high"),
        (operator("send", endpoints=["203.0.113.7:80"]), "network-operator", "high"),
        (operator("c_gen_nccl_id", endpoint="203.0.113.7:80"), "network-operator", "high"),
    ],
)
def test_operators_that_act_outside_the_program(one: bytes, rule: str, severity: str) -> None:
    (found,) = findings_of(program(operator("feed"), one))
    assert (found.rule, found.severity, found.place) == (rule, severity, "block 0, operator 2")


def test_what_an_operator_is_given_is_shown() -> None:
    (found,) = findings_of(program(operator("send", endpoints=["203.0.113.7:80", "203.0.113.8:80"])))
    assert "203.0.113.7:80, 203.0.113.8:80" in found.message


def test_a_parameter_whose_file_lies_elsewhere() -> None:
    escaping = (variable("../../etc/passwd"), variable("/tmp/not_saved", persistable=False), variable("a/b"))
    assert [f.rule for f in findings_of(program(variables=escaping))] == ["escaping-reference"]


def test_programs_in_json() -> None:
    matmul = {"#": "1.matmul", "A": [], "I": [{"%": 1}], "O": [{"%": 2}]}
    name = {"AT": {"#": "0.a_str", "D": "/etc/passwd"}, "N": "file_path"}
    loading = {"#": "1.load_combine", "A": [name], "I": [], "O": [{"%": 3}]}
    nested = {"#": "2.if", "A": [], "I": [], "O": [], "regions": [{"#": "r", "blocks": [{"ops": [loading]}]}]}
    assert findings_of(pir(matmul), "inference.json") == []
    assert any(isinstance(f, Artifact) and f.format == "paddle" for f in facts_of(pir(matmul), "inference.json"))
    for data in (pir(loading), pir(nested)):
        (found,) = findings_of(data, "inference.json")
        assert (found.rule, found.severity) == ("file-operator", "high") and "/etc/passwd" in found.message


def test_parameters_are_accounted_for_to_the_last_byte() -> None:
    assert findings_of(PARAMETERS, "inference.pdiparams") == []
    assert facts_of(PARAMETERS) == [Artifact(format="paddle-parameters", details={"tensors": 3, "parameters": 11})]
    assert [f.rule for f in findings_of(PARAMETERS + b"#!/bin/sh\nid\n")] == ["trailing-data"]
    assert [f.rule for f in findings_of(PARAMETERS[:-1])] == ["malformed"]
    assert [f.rule for f in findings_of(tensor(2) + tensor(1 << 40, 0)[:-1])] == ["trailing-data"]


def test_other_bytes_are_neither() -> None:
    for data in (bytes(100), b"", field(1, field(1, "n") + field(2, "Const")), b"\0" * 12 + b"\x02\0\0\0\x08\x63"):
        assert examine_bytes(data)[-1].formats[:1] != ["paddle"]
        assert "paddle-parameters" not in examine_bytes(data)[-1].formats


@given(st.data())
def test_damaged_files_never_raise(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([ORDINARY, PARAMETERS, program(operator("send", endpoints=["a"]))]))
    cut = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for at in data.draw(st.lists(st.integers(0, max(len(cut) - 1, 0)), max_size=4)):
        if cut:
            cut[at] = data.draw(st.integers(0, 255))
    assert all(e.state != "failed" for e in examine_bytes(bytes(cut), "x.pdmodel"))
