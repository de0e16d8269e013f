"""RKNN models, and the description at their end."""

import json
import struct

from hypothesis import given

from garrison.core.facts import Artifact
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of


def rknn(description: object, body: bytes = bytes(100)) -> bytes:
    text = json.dumps(description).encode()
    header = b"RKNN" + bytes(4) + struct.pack("<QQ", 6, len(body)) + bytes(40)
    return header + body + struct.pack("<Q", len(text)) + text


def test_ordinary_models_are_no_finding() -> None:
    assert findings_of(rknn({"name": "m"})) == []
    assert all(item.state == "examined" for item in examine_bytes(rknn({"name": "m"})))


def test_what_an_rknn_model_says_of_itself() -> None:
    described = {"name": "resnet", "target_platform": ["rk3588"], "ori_network_platform": "onnx", "nodes": []}
    artifact = next(fact for fact in facts_of(rknn(described)) if isinstance(fact, Artifact))
    assert artifact.details == {
        "container_version": 6,
        "name": "resnet",
        "target_platform": "['rk3588']",
        "ori_network_platform": "onnx",
    }


@given(damaged(rknn({"name": "m"})))
def test_broken_files_do_not_fail(data: bytes) -> None:
    assert_no_failure(data)
