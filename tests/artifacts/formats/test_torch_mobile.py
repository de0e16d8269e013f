"""PyTorch Mobile's FlatBuffers hold bytecode, and source that torch.jit.load compiles."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.facts import Artifact
from tests.artifacts.wire.flatbuffer_writer import Bytes, Node, Numbers, Scalar, build
from tests.support import examine_bytes, facts_of, findings_of, worst


def _value(kind: int, value: Node) -> Node:
    return Node({0: Scalar("B", kind), 1: value})


def module(operators: list[str], texts: list[str], source: str = "", type_name: str = "__torch__.Net") -> bytes:
    function = Node(
        {
            0: "__torch__.Net.forward",
            2: [Node({0: name, 1: ""}) for name in operators],
            3: Numbers("I", [*range(len(texts)), 1_000_000]),
        }
    )
    values = [*(_value(6, Node({0: text})) for text in texts), _value(16, function)]
    return build(
        Node(
            {
                0: Scalar("I", 9),
                4: values,
                6: [Node({0: Bytes(bytes(16), 16)})],
                7: [Node({0: type_name, 1: Scalar("B", 1)})],
                8: [Node({0: "__torch__", 1: source})],
            }
        ),
        b"PTMF",
    )


def test_an_honest_module_gives_nothing() -> None:
    data = module(["aten::linear", "aten::relu"], ["a"], "class Net(Module):\n  def forward(self, x):\n    return x\n")
    assert findings_of(data, "model.ptl") == []
    assert [item.state for item in examine_bytes(data, "model.ptl")] == ["examined"]
    artifact = next(fact for fact in facts_of(data) if type(fact) is Artifact)
    assert artifact.details == {"framework": "torch", "bytecode_version": 9, "functions": 1, "storages": 1}


@pytest.mark.parametrize(
    "data",
    [
        module(["aten::save"], ["/tmp/q"]),
        module([], [], 'class Net(Module):\n  def forward(self, x):\n    torch.save(x, "/tmp/q")\n'),
    ],
)
def test_bytecode_and_source_that_write_files_are_critical(data: bytes) -> None:
    assert worst(findings_of(data, "model.ptl")) == "critical"


def test_operators_and_classes_of_unknown_makers_are_medium() -> None:
    assert worst(findings_of(module(["evil::op"], []), "model.ptl")) == "medium"
    assert worst(findings_of(module([], [], type_name="__torch__.torch.classes.evil.Engine"), "model.ptl")) == "medium"


@given(st.integers(0, 800), st.lists(st.tuples(st.integers(0, 800), st.integers(0, 255)), max_size=5))
@settings(max_examples=200, deadline=None)
def test_broken_files_do_not_fail(length: int, flips: list[tuple[int, int]]) -> None:
    broken = bytearray(module(["aten::save"], ["/tmp/q"], "torch.save(x, 'y')"))
    for place, value in flips:
        broken[place % len(broken)] = value
    for item in examine_bytes(bytes(broken[:length])):
        assert item.state != "failed", item.reason
