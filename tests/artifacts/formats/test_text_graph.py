"""Graphs as text are judged as their binary forms are."""

import pytest

from tests.support import examine_bytes, findings_of, worst


@pytest.mark.parametrize(
    "document",
    [
        'node { name: "of" op: "Const" attr { key: "value" value {'
        ' tensor { dtype: DT_STRING string_val: "/etc/" "passwd" } } } }'
        'node { name: "r" op: "ReadFile" input: "of" } versions { producer: 1 }',
        "# written by hand\nsaved_model_schema_version: 1\n"
        "meta_graphs <\n  graph_def < node < name: \"p\" op: 'PyFunc' > > >",
        'meta_info_def { tags: ["serve", "x"] } graph_def { node { name: "p", op: "PyFunc"; } }',
        'ir_version: 8 graph { initializer { name: "W" external_data { key: "location" value: "../../x" } } '
        'node { op_type: "Relu" } } opset_import { version: 17 }',
        'ir_version: 8\ngraph {\n node { op_type: "Py\\x4fp" domain: "\\141i.onnx.contrib" '
        'attribute { name: "a" f: 1.5 unknown: [1, 2] other { a: ENUM } } } }',
    ],
    ids=["graph", "saved model", "meta graph", "ONNX", "escapes"],
)
def test_graphs_as_text_are_read_alike(document: str) -> None:
    data = document.encode()
    assert examine_bytes(data)[-1].formats == ["graph-text"]
    assert worst(findings_of(data, "saved_model.pbtxt")) in ("high", "critical")


def test_honest_and_other_texts_have_no_finding() -> None:
    assert findings_of(b'node { name: "x" op: "Placeholder" }\nnode { name: "y" op: "Relu" input: "x" }\n') == []
    for data in (b'item { id: 1 name: "cat" }', b'name: "model"\nplatform: "onnxruntime_onnx"\n', b"graph: x\n"):
        assert findings_of(data, "config.pbtxt") == []
        assert "graph-text" not in examine_bytes(data)[-1].formats


@pytest.mark.parametrize("data", [b"node { name: ", b'node { name: "x" ' + b"a {" * 300, b'node { name: "x" op: ]'])
def test_a_text_that_breaks_off_is_malformed(data: bytes) -> None:
    assert {finding.rule for finding in findings_of(data)} == {"malformed"}
