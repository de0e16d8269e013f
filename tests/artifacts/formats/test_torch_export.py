"""Exported programs: what they call, evaluate, import and carry as native code."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.artifacts.evaluated_expressions import suspicious_expression, suspicious_guard
from garrison.core.facts import Artifact
from tests.artifacts.formats.torch_archives import EVIL, archive, checkpoint
from tests.support import examine_bytes, facts_of, findings_of, worst

SPEC = '[1, {"type": "builtins.tuple", "context": "null", "children_spec": []}]'


def node(target: str, **arguments: Any) -> dict[str, Any]:
    kinds = {str: "as_string", bool: "as_bool", int: "as_int"}
    inputs = [{"name": key, "arg": {kinds[type(value)]: value}, "kind": 1} for key, value in arguments.items()]
    return {"target": target, "inputs": inputs, "outputs": [], "metadata": {}}


def program(*nodes: dict[str, Any], expression: str = "Symbol('s0', integer=True)", **others: Any) -> bytes:
    size = {"as_expr": {"expr_str": expression, "hint": None}}
    graph = {"inputs": [], "outputs": [], "nodes": list(nodes), "tensor_values": {"x": {"sizes": [size]}}}
    module = {"graph": graph, "module_call_graph": [{"fqn": "", "signature": {"in_spec": SPEC, "out_spec": SPEC}}]}
    return json.dumps({"graph_module": module, "torch_version": "2.13.0", "guards_code": [], **others}).encode()


def package(model: bytes | None = None, **others: bytes) -> bytes:
    members = {"data/weights/weight_0": b"\x80\x02" + bytes(46), "archive_format": b"pt2", "archive_version": b"0"}
    if model is not None:
        members["models/model.json"] = model
    return archive({**members, "byteorder": b"little", **others})


HONEST = program(
    node("torch.ops.aten.linear.default"),
    node("_operator.add", a=1, b=2),
    node("_operator.getitem", a=1),
    node("torch.sym_max", a=1),
    node("math.floor", a=1),
    node("torch.ops.higher_order.cond"),
    node("torch.ops.aten._assert_scalar.default", assert_msg="Runtime assertion failed for expression u0 >= 0"),
    expression="Max(Integer(1), FloorDiv(Mul(Integer(6), Symbol('s77', positive=True, integer=True)), Integer(2)))",
    guards_code=["L['x'].size()[0] >= 2", "math.floor(L['x'].size()[1]) <= 5"],
    range_constraints={"s77": {"min_val": 2, "max_val": 100}},
)


def test_an_honest_program_gives_nothing() -> None:
    data = package(HONEST, **{"data/sample_inputs/model.pt": checkpoint(root="archive")})
    assert findings_of(data, "model.pt2") == []
    assert all(item.state == "examined" for item in examine_bytes(data, "model.pt2"))
    artifact = next(f for f in facts_of(data) if type(f) is Artifact and f.format == "torch-export")
    assert artifact.details == {"framework": "torch", "programs": 1, "torch_version": "2.13.0"}


def test_the_older_layout_is_read() -> None:
    members = {"serialized_exported_program.json": HONEST, "version": b"8.1", "serialized_state_dict.pt": checkpoint()}
    assert findings_of(archive(members, ""), "model.pt2") == []
    evil = {**members, "serialized_constants.pt": checkpoint(EVIL)}
    assert worst(findings_of(archive(evil, ""), "model.pt2")) == "critical"


@pytest.mark.parametrize(
    "target",
    ["torch.os.system", "torch.load", "torch.hub.load", "torch.ops.load_library", "torch.serialization.os.system"],
)
def test_a_node_may_call_any_attribute_of_torch(target: str) -> None:
    """The deserialiser follows the dotted path from the module torch."""
    assert worst(findings_of(package(program(node(target, command="id"))), "model.pt2")) in ("high", "critical")


def test_operators_are_judged_as_in_torchscript() -> None:
    evil = package(program(node("torch.ops.aten.from_file.default", filename="/etc/passwd", shared=True)))
    assert worst(findings_of(evil, "model.pt2")) == "critical"
    custom = findings_of(package(program(node("torch.ops.myops.op.default"))), "model.pt2")
    assert [(finding.rule, finding.severity) for finding in custom] == [("custom-operator", "medium")]


@pytest.mark.parametrize(
    "text", ["__import__('os').system('id')", "s0 + eval('1')", "S('__import__(1)')", "(lambda: 1)()"]
)
def test_expressions_that_are_code_are_told(text: str) -> None:
    """SymPy evaluates them with Python's eval."""
    assert worst(findings_of(package(program(expression=text)), "model.pt2")) in ("high", "critical")


@pytest.mark.parametrize(
    "text", ["s0*(s1//2)", "Max(1, u0)", "Piecewise((1, Eq(Mod(s0, 2), 0)), (0, True))", "-oo", "3.5"]
)
def test_formulas_are_formulas(text: str) -> None:
    assert not suspicious_expression(text)


def test_guards_that_are_code_are_told() -> None:
    evil = package(program(guards_code=["__import__('os').system('id')"]))
    assert worst(findings_of(evil, "model.pt2")) == "critical"
    assert not suspicious_guard("3 <= L['x'].size()[0] and L['x'].size()[0] <= 10")


def test_classes_that_containers_import_are_told() -> None:
    enum = '[1, {"type": "x", "context": {"__enum__": true, "fqn": "os:system", "name": "a"}, "children_spec": []}]'
    module = {"graph": {"nodes": []}, "module_call_graph": [{"signature": {"in_spec": enum, "out_spec": SPEC}}]}
    data = package(json.dumps({"graph_module": module}).encode())
    assert worst(findings_of(data, "model.pt2")) == "critical"


@pytest.mark.parametrize(
    "name", ["data/constants/opaque_obj_0", "data/weights/weight_0", "data/sample_inputs/model.pt"]
)
def test_pickles_inside_are_examined(name: str) -> None:
    assert worst(findings_of(package(HONEST, **{name: EVIL}), "model.pt2")) == "critical"
    assert worst(findings_of(package(HONEST, **{name: checkpoint(EVIL)}), "model.pt2")) == "critical"


def test_compiled_packages_are_native_code() -> None:
    """A library is what such a package is for; that loading compiles source is not."""
    folder = "data/aotinductor/model"
    library = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00\x3e\x00\x01\x00\x00\x00" + bytes(40)
    assert worst(findings_of(package(None, **{f"{folder}/a.wrapper.so": library}), "model.pt2")) == "medium"
    sources = findings_of(package(None, **{f"{folder}/a.wrapper.cpp": b"int main() {}"}), "model.pt2")
    assert [(finding.rule, finding.severity) for finding in sources] == [("embedded-code", "high")]


def test_a_program_that_is_no_json_is_malformed() -> None:
    assert "malformed" in [finding.rule for finding in findings_of(package(b"{"), "model.pt2")]
    assert "malformed" in [finding.rule for finding in findings_of(package(b"[" * 100_000), "model.pt2")]


@given(
    st.recursive(
        st.none() | st.text(max_size=8) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "target",
                        "inputs",
                        "expr_str",
                        "guards_code",
                        "in_spec",
                        "range_constraints",
                        "class_fqn",
                        "as_operator",
                        "arg",
                        "name",
                        "as_string",
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=30,
    )
)
@settings(max_examples=150, deadline=None)
def test_any_program_is_read_without_an_error(value: Any) -> None:
    for item in examine_bytes(package(json.dumps({"graph_module": value}).encode())):
        assert item.state != "failed", item.reason
