"""Triton configurations: what the server loads and runs beside the model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.facts import Artifact, Reference
from tests.support import examine_bytes, facts_of, findings_of

ORDINARY = b"""
name: "resnet"  # a classifier
platform: "onnxruntime_onnx"
max_batch_size: 8
input [ { name: "x" data_type: TYPE_FP32 dims: [ 3, 224, 224 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 1000 ] label_filename: "labels.txt" } ]
instance_group [ { kind: KIND_GPU count: 1 } ]
"""


def configured(text: str, backend: str = "onnxruntime") -> bytes:
    return f'name: "m"\nbackend: "{backend}"\ninput {{ name: "x" }}\n{text}'.encode()


def test_an_ordinary_configuration_tells_of_itself_and_is_no_finding() -> None:
    assert findings_of(ORDINARY, "config.pbtxt") == []
    (examination,) = examine_bytes(ORDINARY, "anything")
    assert examination.formats == ["triton"]
    artifact = next(fact for fact in examination.facts if isinstance(fact, Artifact))
    assert artifact.details == {"name": "resnet", "platform": "onnxruntime_onnx", "max_batch_size": "8"}
    assert findings_of(configured("", "python"), "config.pbtxt") == []


@pytest.mark.parametrize(
    ("text", "rule", "severity"),
    [
        ('model_operations { op_library_filename: "ops.so" }', "library-reference", "medium"),
        ('model_operations { op_library_filename: ["/tmp/ops.so"] }', "escaping-reference", "high"),
        ('default_model_filename: "../../../etc/passwd"', "escaping-reference", "high"),
        ('cc_model_filenames { key: "8.0" value: "../x.plan" }', "escaping-reference", "high"),
        ('output { name: "y" label_filename: "/etc/passwd" }', "escaping-reference", "high"),
        ('runtime: "/tmp/libtriton_x.so"', "escaping-reference", "high"),
        (
            'model_warmup [{ name: "w" inputs { key: "x" value { input_data_file: "../../../etc/shadow" } } }]',
            "escaping-reference",
            "high",
        ),
        (
            'parameters { key: "EXECUTION_ENV_PATH" value { string_value: "$$TRITON_MODEL_DIRECTORY/env.tar.gz" } }',
            "execution-environment",
            "medium",
        ),
        (
            'parameters { key: "EXECUTION_ENV_PATH" value: { string_value: "https://e.example/env.tar.gz" } }',
            "remote-reference",
            "high",
        ),
    ],
)
def test_what_the_server_would_take(text: str, rule: str, severity: str) -> None:
    (found,) = findings_of(configured(text), "config.pbtxt")
    assert (found.rule, found.severity) == (rule, severity)


def test_a_backend_with_a_path_is_a_library() -> None:
    (found,) = findings_of(configured("", "../../../tmp/evil"), "config.pbtxt")
    assert (found.rule, found.severity) == ("escaping-reference", "high")


def test_code_of_the_python_backend_belongs_to_the_model() -> None:
    facts = facts_of(configured("", "python"), "config.pbtxt")
    assert [fact.role for fact in facts if isinstance(fact, Reference)] == ["code-file"]


@pytest.mark.parametrize(
    "text", [b'name: "x"\nversion: 1\n', b"node { op: 'Const' }", b'{"backend": "python"}', b"a b c"]
)
def test_other_texts_are_no_configurations(text: bytes) -> None:
    assert examine_bytes(text, "x.txt")[-1].formats != ["triton"]


@given(st.integers(0, len(ORDINARY)), st.text(alphabet="{}[]:\"'#ab\\", max_size=5))
def test_damaged_configurations_never_raise(cut: int, noise: str) -> None:
    data = ORDINARY[:cut] + noise.encode() + ORDINARY[cut:]
    assert all(e.state != "failed" for e in examine_bytes(data, "config.pbtxt"))
