"""Compiled engines and smaller formats: ncnn, TensorRT, RKNN and CNTK."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.facts import Artifact, Import
from tests.protobuf import field
from tests.support import examine_bytes, facts_of, findings_of, worst

NCNN = b"7767517\n3 3\nInput data 0 1 data 0=227\nConvolution conv 1 1 data conv 0=64\nSoftmax p 1 1 conv p\n"
ENGINE = b"ptrt" + struct.pack("<IIQI", 0x61, 0, 64, 1) + bytes(64)


def wrapped(metadata: object) -> bytes:
    text = json.dumps(metadata).encode()
    return struct.pack("<I", len(text)) + text + ENGINE


def rknn(description: object, body: bytes = bytes(100)) -> bytes:
    text = json.dumps(description).encode()
    header = b"RKNN" + bytes(4) + struct.pack("<QQ", 6, len(body)) + bytes(40)
    return header + body + struct.pack("<Q", len(text)) + text


def text_value(value: str) -> bytes:
    return field(1, 1) + field(2, 6) + field(8, value)


def dictionary(**entries: bytes) -> bytes:
    return field(1, 1) + b"".join(field(2, field(1, key) + field(2, value)) for key, value in entries.items())


def inner(data: bytes) -> bytes:
    return field(1, 1) + field(2, 10) + field(12, data)


def vector(*values: bytes) -> bytes:
    return field(1, 1) + field(2, 9) + field(11, b"".join(field(1, value) for value in values))


def user_function(module: str, name: str) -> bytes:
    return dictionary(**{"module": text_value(module), "class": text_value(name), "op_name": text_value("f")})


CNTK = dictionary(version=field(1, 1) + field(5, 3), uid=text_value("c"), type=text_value("CompositeFunction"))


def details(data: bytes) -> dict[str, object]:
    return dict(next(fact for fact in facts_of(data) if isinstance(fact, Artifact)).details)


@pytest.mark.parametrize("data", [NCNN, ENGINE, wrapped({"task": "detect"}), rknn({"name": "m"}), CNTK])
def test_ordinary_models_are_no_finding(data: bytes) -> None:
    assert findings_of(data) == []
    assert all(e.state == "examined" for e in examine_bytes(data))


def test_layers_that_ncnn_does_not_have() -> None:
    (found,) = findings_of(NCNN + b"YoloFocus f 1 1 p f\nYoloFocus g 1 1 f g\n", "m.param")
    assert (found.rule, found.severity, found.place) == ("custom-operator", "medium", "line 6")
    assert [f.rule for f in findings_of(NCNN + b"Input x\n")] == ["malformed"]
    assert details(NCNN) == {"layers": 3, "blobs": 3}


def test_an_engine_and_the_metadata_before_it() -> None:
    assert details(ENGINE) == {"mark": "ptrt", "serialisation_version": 0x61}
    template = {"names": "{{ ''.__class__.__mro__[1].__subclasses__() }}"}
    assert worst(findings_of(wrapped(template))) == "critical"
    (found,) = findings_of(b"print('hello')\n", "model.engine")
    assert (found.rule, found.severity) == ("format-mismatch", "low")


def test_what_an_rknn_model_says_of_itself() -> None:
    described = {"name": "resnet", "target_platform": ["rk3588"], "ori_network_platform": "onnx", "nodes": []}
    assert details(rknn(described)) == {
        "container_version": 6,
        "name": "resnet",
        "target_platform": "['rk3588']",
        "ori_network_platform": "onnx",
    }


def test_functions_of_the_user_in_cntk_are_imports() -> None:
    data = dictionary(
        uid=text_value("x"), primitive_functions=vector(inner(CNTK), inner(user_function("os", "system")))
    )
    assert [(f.module, f.name) for f in facts_of(data) if isinstance(f, Import)] == [("os", "system")]
    assert worst(findings_of(data)) == "critical"
    honest = dictionary(uid=text_value("x"), root=vector(vector(inner(user_function("my_layers", "Mine")))))
    assert [(f.rule, f.severity) for f in findings_of(honest)] == [("unknown-import", "medium")]


def test_names_that_are_program_text_for_cntk() -> None:
    data = dictionary(uid=text_value("x"), a=inner(user_function("my_layers", "Mine; import os; os.system('id')")))
    (found,) = findings_of(data)
    assert (found.rule, found.severity) == ("suspicious-call", "high")


@given(st.data())
def test_damaged_models_never_raise(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([NCNN, ENGINE, wrapped({"a": 1}), rknn({"name": "m"}), CNTK]))
    cut = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for at in data.draw(st.lists(st.integers(0, max(len(cut) - 1, 0)), max_size=4)):
        if cut:
            cut[at] = data.draw(st.integers(0, 255))
    assert all(e.state != "failed" for e in examine_bytes(bytes(cut)))
