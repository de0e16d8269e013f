"""skops archives: what each node makes the loader resolve and call."""

import io
import json
import struct
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.facts import Artifact, Import
from tests.support import examine_bytes, facts_of, findings_of, worst

Node = dict[str, Any]


def node(loader: str, module: str, name: str, **more: object) -> Node:
    return {"__class__": name, "__module__": module, "__loader__": loader, **more}


def text(value: object) -> Node:
    return node("JsonNode", "builtins", "str", content=json.dumps(value), is_json=True)


def archive(root: Node, **members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("schema.json", json.dumps(root | {"protocol": 2, "_skops_version": "0.13.0"}))
        for name, data in members.items():
            packed.writestr(name, data)
    return buffer.getvalue()


def mapping(**content: Node) -> Node:
    return node(
        "DictNode", "builtins", "dict", content=content, key_types=node("ListNode", "builtins", "list", content=[])
    )


def sequence(*content: Node, loader: str = "TupleNode") -> Node:
    return node(loader, "builtins", "tuple" if loader == "TupleNode" else "list", content=list(content))


def estimator(name: str = "sklearn.linear_model._logistic.LogisticRegression", **attributes: Node) -> Node:
    module, _, last = name.rpartition(".")
    return node("ObjectNode", module, last, content=mapping(**attributes))


NAME = "skops-forged-node"


def test_an_ordinary_pipeline_gives_no_finding() -> None:
    ufunc = node("FunctionNode", "numpy", "log1p")
    steps = sequence(
        sequence(text("log"), estimator("sklearn.preprocessing._function_transformer.FunctionTransformer", func=ufunc)),
        sequence(text("model"), estimator(classes_=node("TypeNode", "numpy", "float64"))),
        loader="ListNode",
    )
    root = estimator("sklearn.pipeline.Pipeline", steps=steps, memory=text(None), __id__=text("x"))
    data = archive(root)
    assert findings_of(data, "model.skops") == []
    (artifact,) = [f for f in facts_of(data) if isinstance(f, Artifact) and f.format == "skops"]
    assert artifact.details["type"] == "sklearn.pipeline.Pipeline"
    assert artifact.details["skops"] == "0.13.0"


def test_the_audited_name_and_the_called_operator_differ() -> None:
    """CVE-2025-54412: the audit shows an estimator, the loader calls `operator.call`."""
    attributes = sequence(node("TypeNode", "builtins", "exec"), text("import os"))
    data = archive(node("OperatorFuncNode", "sklearn.linear_model", "call", attrs=attributes))
    found = findings_of(data)
    assert worst(found) == "critical"
    assert NAME in {item.rule for item in found}
    calls = [f for f in facts_of(data) if isinstance(f, Import) and f.usage == "call"]
    assert ("builtins", "exec", ("'import os'",)) in {(f.module, f.name, f.arguments) for f in calls}


def test_a_real_operator_object_is_not_forged() -> None:
    data = archive(node("OperatorFuncNode", "operator", "itemgetter", attrs=sequence(text(1))))
    assert NAME not in {item.rule for item in findings_of(data)}


def test_a_method_of_another_object_than_declared() -> None:
    """CVE-2025-54413: the audit shows one owner, the attribute is taken from another."""
    inner = estimator()
    content = {"func": "fit", "obj": inner}
    forged = archive(node("MethodNode", "builtins", "str", content=content))
    honest = archive(node("MethodNode", inner["__module__"], inner["__class__"], content=content))
    assert {(item.rule, item.severity) for item in findings_of(forged)} == {(NAME, "high")}
    assert findings_of(honest) == []


def test_a_method_node_that_repeats_an_id_takes_the_first_of_that_id() -> None:
    first = node("TypeNode", "os", "path") | {"__id__": 7}
    later = estimator() | {"__id__": 7}
    method = node("MethodNode", later["__module__"], later["__class__"], content={"func": "fit", "obj": later})
    assert NAME in {item.rule for item in findings_of(archive(sequence(first, method)))}


def test_attributes_of_attributes_are_followed() -> None:
    path = node("TypeNode", "logging", "os")
    method = node("MethodNode", "logging", "os", content={"func": "system", "obj": path})
    partial = node(
        "PartialNode",
        "functools",
        "partial",
        content={"func": method, "args": sequence(text("id")), "kwds": mapping(), "namespace": mapping()},
    )
    found = findings_of(archive(partial))
    assert worst(found) == "critical"
    assert any("logging.os.system" in item.message for item in found)


def test_dunder_methods_of_honest_objects_are_seen() -> None:
    inner = estimator()
    method = node("MethodNode", inner["__module__"], inner["__class__"], content={"func": "__reduce__", "obj": inner})
    assert worst(findings_of(archive(method))) in ("high", "critical")


@pytest.mark.parametrize("loader", ["ObjectNode", "ListNode", "SetNode", "ConstructorFromReduceNode", "LossNode"])
def test_every_node_that_resolves_its_type_is_judged(loader: str) -> None:
    content = sequence(text("id")) if loader == "ConstructorFromReduceNode" else [text("id")]
    data = archive(sequence(node(loader, "subprocess", "Popen", content=content)))
    assert worst(findings_of(data)) == "critical"


def test_a_node_that_ignores_its_type_resolves_nothing() -> None:
    data = archive(sequence(node("JsonNode", "os", "system", content='"id"')))
    assert [f for f in facts_of(data) if isinstance(f, Import) and f.module == "os"] == []


def test_functions_of_protocol_0_and_unknown_nodes_are_judged() -> None:
    old = node("FunctionNode", "builtins", "function", content={"module_path": "os", "function": "system"})
    assert worst(findings_of(archive(old))) == "critical"
    assert worst(findings_of(archive(node("NodeOfTomorrow", "os", "system")))) == "critical"


def test_bit_generators_are_called_by_the_name_in_their_state() -> None:
    def generator(name: str) -> bytes:
        state = mapping(bit_generator=text(name))
        content = {"bit_generator": state, "seed_seq": mapping()}
        return archive(node("RandomGeneratorNode", "numpy.random._generator", "Generator", content=content))

    assert findings_of(generator("PCG64")) == []
    called = [f for f in facts_of(generator("PCG64")) if isinstance(f, Import) and f.name == "PCG64"]
    assert [(f.module, f.usage) for f in called] == [("numpy.random", "call")]


def test_the_archive_inside_is_examined_too() -> None:
    inner = archive(node("TypeNode", "os", "system"))
    outer = archive(node("BytesNode", "builtins", "bytes", file="hidden"), hidden=inner)
    assert [item.subject for item in findings_of(outer, "m.skops")] == ["m.skops!/hidden"]


@pytest.mark.parametrize("kind", ["u1", "<u4", [("left", "<u4"), ("is_leaf", "u1")]])
def test_members_of_unsigned_integers_are_read(kind: Any) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3, dtype=kind))
    array = node("NdArrayNode", "numpy", "ndarray", type="numpy", file="1.npy")
    assert {e.state for e in examine_bytes(archive(array, **{"1.npy": buffer.getvalue()}))} == {"examined"}


CLASSIC = [
    ("left_child", "<i8"),
    ("right_child", "<i8"),
    ("feature", "<i8"),
    ("threshold", "<f8"),
    ("flag", "u1"),
    ("", "V7"),
]
BOOSTED = [("value", "<f8"), ("feature_idx", "<i8"), ("left", "<u4"), ("right", "<u4"), ("is_leaf", "u1")]


def forest(rows: list[tuple[int, int, int]], kind: list[tuple[str, str]]) -> bytes:
    """An archive with one tree: left, right and feature of each node; leaves have -1 on the left."""
    header = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': ({len(rows)},), }}\n"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    for left, right, feature in rows:
        if kind is CLASSIC:
            data += struct.pack("<qqqdB7x", left, right, feature, 0.5, 0)
        else:
            data += struct.pack("<dqIIB", 0.5, feature, max(left, 0), max(right, 0), left == -1)
    array = node("NdArrayNode", "numpy", "ndarray", type="numpy", file="1.npy")
    if kind is CLASSIC:
        tree = node("TreeNode", "sklearn.tree._tree", "Tree", content=mapping(nodes=array))
        tree["__reduce__"] = {"args": sequence(text(4), text(1), text(1))}
    else:
        tree = estimator("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor", nodes=array)
    return archive(tree, **{"1.npy": data})


KINDS = pytest.mark.parametrize("kind", [CLASSIC, BOOSTED], ids=["classic", "boosted"])


@KINDS
def test_trees_of_scikit_learn_are_followed(kind: list[tuple[str, str]]) -> None:
    assert findings_of(forest([(1, 2, 3), (-1, -1, -2), (-1, -1, -2)], kind)) == []


@KINDS
@pytest.mark.parametrize("root", [(1, 900, 0), (1, 0, 0), (1, 1, 0)], ids=["beyond", "root", "twice"])
def test_trees_of_scikit_learn_that_lead_out(kind: list[tuple[str, str]], root: tuple[int, int, int]) -> None:
    found = findings_of(forest([root, (-1, -1, -2), (-1, -1, -2)], kind))
    assert [(item.rule, item.severity) for item in found] == [("tree-structure", "high")]


def test_features_that_the_tree_does_not_have() -> None:
    found = findings_of(forest([(1, 2, 4000), (-1, -1, -2), (-1, -1, -2)], CLASSIC))
    assert [(item.rule, item.severity) for item in found] == [("tree-structure", "high")]


@pytest.mark.parametrize("depth", [1_500, 100_000])
def test_a_schema_that_is_nested_to_be_unreadable_is_denied(depth: int) -> None:
    root = json.dumps(node("TypeNode", "os", "system"))[:-1]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("schema.json", root + ', "x": ' + '{"a":' * depth + "1" + "}" * depth + "}")
    assert worst(findings_of(buffer.getvalue())) in ("high", "critical")


def test_other_zips_with_a_schema_are_no_skops() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("schema.json", '{"type": "object"}')
    assert [e.formats for e in examine_bytes(buffer.getvalue())][-1] == ["zip"]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_schemas_never_raise(data: st.DataObject) -> None:
    whole = json.dumps(node("MethodNode", "a", "b", content={"func": "f", "obj": sequence(text(1), estimator())}))
    raw = bytearray(whole.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("schema.json", cut)
    assert all(e.state != "failed" for e in examine_bytes(buffer.getvalue()))


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["__class__", "__module__", "__loader__", "__id__", "content", "func", "obj", "attrs"]),
                inner
                | st.sampled_from(["MethodNode", "OperatorFuncNode", "TypeNode", "call", "CachedNode", "JsonNode"]),
                max_size=6,
            )
        ),
        max_leaves=20,
    )
)
def test_any_tree_can_be_walked(tree: Any) -> None:
    data = archive({"__loader__": "ObjectNode", "content": tree})
    assert all(e.state != "failed" for e in examine_bytes(data))
