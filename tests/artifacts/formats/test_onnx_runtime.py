import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.facts import Artifact
from tests.artifacts.wire.flatbuffer_writer import Bytes, Node, Numbers, Scalar, build
from tests.support import examine_bytes, facts_of, findings_of, worst


def fresh(text: str) -> str:
    """A text that the writer does not share with an equal one."""
    return text.encode().decode()


def attribute(name: str, text: str = "", number: "int | None" = None, graph: "Node | None" = None) -> Node:
    fields: dict[int, Scalar | Node | str] = {0: fresh(name)}
    if text:
        fields[5] = text
    if number is not None:
        fields[4] = Scalar("q", number)
    if graph is not None:
        fields[7] = graph
    return Node({**fields})


def node(operator: str, domain: str = "", *attributes: Node) -> Node:
    named = {2: fresh(domain)} if domain else {}
    return Node({0: fresh("node"), **named, 3: Scalar("i", 17), 5: fresh(operator), 10: list(attributes)})


def graph(*nodes: Node) -> Node:
    return Node({0: [Node({0: fresh("weights"), 2: Numbers("q", [3, 4]), 4: Bytes(bytes(48))})], 2: list(nodes)})


def session(inner: Node, metadata: "list[Node] | None" = None) -> bytes:
    sets = [Node({1: Scalar("q", 17)}), Node({0: fresh("com.microsoft"), 1: Scalar("q", 1)})]
    model = Node({0: Scalar("q", 8), 1: sets, 2: "pytorch", 7: inner, 9: metadata or []})
    return build(Node({0: "1.5", 1: model}), b"ORTM")


PLAIN = session(
    graph(node("Relu"), node("FusedConv", "com.microsoft"), node("If", "", attribute("else_branch", graph=graph())))
)


def test_an_ordinary_model_is_known_and_has_no_finding() -> None:
    assert findings_of(PLAIN, "model.ort") == []
    (artifact,) = [fact for fact in facts_of(PLAIN) if isinstance(fact, Artifact)]
    assert artifact.format == "onnx-runtime"
    assert artifact.details == {
        "ort_version": "1.5",
        "ir_version": 8,
        "producer": "pytorch",
        "operator_sets": "ai.onnx 17, com.microsoft 1",
        "operators": 3,
        "tensors": 2,
        "parameters": 24,
    }


PYTHON = node("PyOp", "ai.onnx.contrib", attribute("module", "os"), attribute("class_name", "system"))


@pytest.mark.parametrize(
    ("inner", "severity"),
    [
        (graph(PYTHON), "critical"),
        (graph(node("If", "", attribute("then_branch", graph=graph(PYTHON)))), "critical"),
        (graph(node("Mine", "com.example")), "medium"),
        (
            graph(
                node(
                    "EPContext",
                    "com.microsoft",
                    attribute("ep_cache_context", "../../x"),
                    attribute("embed_mode", number=0),
                )
            ),
            "high",
        ),
        (graph(node("EPContext", "com.microsoft", attribute("ep_cache_context", "../../x"))), "none"),
    ],
)
def test_nodes_are_judged_as_those_of_onnx(inner: Node, severity: str) -> None:
    assert worst(findings_of(session(inner))) == severity


def test_a_template_in_the_metadata_is_read() -> None:
    hostile = Node({0: "template", 1: "{{ ''.__class__.__mro__ }}"})
    assert worst(findings_of(session(graph(), [hostile]))) == "critical"


def test_a_model_torn_anywhere_is_no_error() -> None:
    for length in range(0, len(PLAIN), 5):
        for examination in examine_bytes(PLAIN[:length], "model.ort"):
            assert examination.state != "failed", examination.reason


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_flipped_bytes_are_no_error(data: st.DataObject) -> None:
    sample = bytearray(PLAIN)
    for _ in range(data.draw(st.integers(1, 6))):
        sample[data.draw(st.integers(0, len(sample) - 1))] = data.draw(st.integers(0, 255))
    for examination in examine_bytes(bytes(sample)):
        assert examination.state != "failed", examination.reason
