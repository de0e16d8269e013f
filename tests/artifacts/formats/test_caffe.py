"""Caffe networks: Python layers are imported and set up with text from the network."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.facts import Artifact
from tests.artifacts.protobuf_encoding import field
from tests.support import examine_bytes, facts_of, findings_of

ORDINARY = b"""
name: "LeNet"
layer { name: "data" type: "Data" top: "data" data_param { source: "/home/me/train_lmdb" batch_size: 64 } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" convolution_param { num_output: 20 } }
"""
OLD = b'name: "old"\nlayers { name: "c" type: CONVOLUTION bottom: "data" top: "c" }\n'


def python(module: str, layer: str, text: str = "") -> bytes:
    inner = f'module: "{module}" layer: "{layer}" param_str: "{text}"'
    return f'layer {{ name: "p" type: "Python" python_param {{ {inner} }} }}'.encode()


def trained(kind: str = "Convolution") -> bytes:
    return field(1, "LeNet") + field(100, field(1, "conv1") + field(2, kind) + field(7, bytes(8)))


@pytest.mark.parametrize("data", [ORDINARY, OLD, trained(), field(2, field(4, "c") + field(5, 4) + field(6, b""))])
def test_ordinary_networks_are_no_finding(data: bytes) -> None:
    assert findings_of(data, "net") == []
    assert next(fact for fact in facts_of(data) if isinstance(fact, Artifact)).format == "caffe"


@pytest.mark.parametrize(
    ("layer", "rule", "severity"),
    [
        (python("os", "system", "id"), "dangerous-import", "critical"),
        (python("rpn.proposal_layer", "ProposalLayer", "'feat_stride': 16"), "unknown-import", "medium"),
        (python("mine", "Layer", "__import__('os').system('id')"), "suspicious-call", "high"),
    ],
)
def test_python_layers_are_judged_as_imports(layer: bytes, rule: str, severity: str) -> None:
    (found,) = findings_of(ORDINARY + layer, "deploy.prototxt")
    assert (found.rule, found.severity, found.place) == (rule, severity, "line 5, layer 'p'")


def test_files_that_layers_write() -> None:
    layer = b'layer { name: "w" type: "HDF5Output" hdf5_output_param { file_name: "/root/.ssh/authorized_keys" } }'
    (found,) = findings_of(ORDINARY + layer, "deploy.prototxt")
    assert (found.rule, found.severity) == ("escaping-reference", "high")


def test_a_trained_network_with_python_layers_is_told_but_runs_nothing() -> None:
    data = trained("Python")
    assert findings_of(data, "net.caffemodel") == []
    details = next(fact.details for fact in facts_of(data) if isinstance(fact, Artifact))
    assert details == {"name": "LeNet", "layers": 1, "python_layers": 1}


def test_a_broken_network_is_malformed_under_its_own_name() -> None:
    assert [f.rule for f in findings_of(ORDINARY + b"layer {", "deploy.prototxt")] == ["malformed"]


@given(st.sampled_from([ORDINARY, OLD, trained()]), st.integers(0, 300), st.binary(max_size=4))
def test_damaged_networks_never_raise(data: bytes, cut: int, noise: bytes) -> None:
    for one in (data[:cut], data[:cut] + noise + data[cut:]):
        assert all(e.state != "failed" for e in examine_bytes(one, "net.prototxt"))
