import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.facts import Artifact, Operator
from tests.artifacts.protobuf_encoding import entry, field, group, message
from tests.support import examine_bytes, facts_of, findings_of, worst


def node(operator: str, *attributes: bytes, domain: str = "", name: str = "n") -> bytes:
    fields = [(1, "x"), (2, "y"), (3, name), (4, operator), (7, domain), *((5, item) for item in attributes)]
    return message(*fields)


def text_attribute(name: str, text: str) -> bytes:
    return message((1, name), (4, text), (20, 3))


def external(location: str, name: str = "W", **more: str) -> bytes:
    pairs = {"location": location, **more}
    return message((1, 2), (1, 2), (2, 1), (8, name), *((13, entry(*pair)) for pair in pairs.items()), (14, 1))


def graph(*nodes: bytes, tensors: tuple[bytes, ...] = (), sparse: tuple[bytes, ...] = ()) -> bytes:
    parts = [(1, item) for item in nodes] + [(2, "g")] + [(5, item) for item in tensors]
    return message(*parts, *((15, item) for item in sparse), (11, message((1, "x"))), (12, message((1, "y"))))


def model(inner: bytes, *more: "tuple[int, int | bytes | str]") -> bytes:
    versions = [(8, message((1, ""), (2, 17))), (8, message((1, "ai.onnx.ml"), (2, 3)))]
    return message((1, 8), (2, "pytorch"), (3, "2.4.0"), (7, inner), *versions, *more)


PLAIN = model(graph(node("Relu"), node("Conv"), tensors=(message((1, 3), (1, 4), (2, 1), (8, "w"), (9, bytes(48))),)))
ESCAPE = "../../../../etc/passwd"


def test_an_ordinary_model_is_known_and_has_no_finding() -> None:
    assert findings_of(PLAIN, "model.onnx") == []
    (artifact,) = [fact for fact in facts_of(PLAIN) if isinstance(fact, Artifact)]
    assert artifact.format == "onnx"
    assert artifact.details == {
        "ir_version": 8,
        "producer": "pytorch",
        "producer_version": "2.4.0",
        "operator_sets": "ai.onnx 17, ai.onnx.ml 3",
        "operators": 2,
        "tensors": 1,
        "parameters": 12,
    }


def test_external_data_beside_the_model_is_ordinary() -> None:
    assert findings_of(model(graph(node("Relu"), tensors=(external("weights.bin", offset="0"),)))) == []


SPARSE = message((1, external(ESCAPE)), (2, message((8, "i"))))
SUBGRAPH = message((1, "then_branch"), (6, graph(node("Relu"), tensors=(external(ESCAPE),))))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(model(graph(node("Relu"), tensors=(external(ESCAPE),))), id="initializer"),
        pytest.param(model(graph(node("Relu"), sparse=(SPARSE,))), id="sparse initializer"),
        pytest.param(model(graph(node("Relu"), sparse=(message((2, external(ESCAPE))),))), id="sparse indices"),
        pytest.param(model(graph(node("Constant", message((1, "value"), (5, external(ESCAPE)))))), id="constant"),
        pytest.param(model(graph(node("Constant", message((1, "v"), (10, external(ESCAPE)))))), id="list of tensors"),
        pytest.param(model(graph(node("Constant", message((1, "v"), (22, SPARSE))))), id="sparse constant"),
        pytest.param(model(graph(node("Constant", message((1, "v"), (23, SPARSE))))), id="list of sparse tensors"),
        pytest.param(model(graph(node("If", SUBGRAPH))), id="subgraph"),
        pytest.param(model(graph(node("If", message((1, "b"), (11, graph(node("If", SUBGRAPH))))))), id="nested"),
        pytest.param(
            model(graph(node("Relu")), (20, message((1, graph(node("Relu"), tensors=(external(ESCAPE),)))))),
            id="training graph",
        ),
        pytest.param(
            model(graph(node("Relu")), (25, message((1, "f"), (7, node("Constant", message((5, external(ESCAPE)))))))),
            id="function",
        ),
        pytest.param(
            model(graph(node("Relu")), (25, message((1, "f"), (11, message((5, external(ESCAPE))))))),
            id="default of a function's attribute",
        ),
        pytest.param(PLAIN + field(7, graph(tensors=(external(ESCAPE),))), id="second graph, merged by readers"),
        pytest.param(
            group(77, field(1, 5))
            + b"".join(field(number, "?") for number in range(90, 170))
            + field(1, "odd")
            + field(7, 3)
            + model(graph(node("Relu"), tensors=(external(ESCAPE),))),
            id="after fields that readers skip",
        ),
    ],
)
def test_external_data_that_leaves_is_found_wherever_a_tensor_can_stand(data: bytes) -> None:
    found = findings_of(data)
    assert worst(found) == "high"
    assert {finding.rule for finding in found} >= {"escaping-reference"}
    assert any("'W'" in finding.place for finding in found)


def test_a_tensor_at_an_address_of_the_process_is_found() -> None:
    tensor = external("*/_ORT_MEM_ADDR_/*", offset="140737488355328", length="64")
    (found,) = findings_of(model(graph(node("Relu"), tensors=(tensor,))))
    assert (found.rule, found.severity) == ("onnx-memory-address", "high")
    assert "140737488355328" in found.message


def test_python_operators_are_found_with_what_they_call() -> None:
    operator = node(
        "PyOp", text_attribute("module", "os"), text_attribute("class_name", "system"), domain="ai.onnx.contrib"
    )
    found = findings_of(model(graph(operator)))
    assert {(finding.rule, finding.severity) for finding in found} == {
        ("dangerous-import", "critical"),
        ("python-operator", "high"),
    }
    training = node("PythonOp", text_attribute("func_name", "subprocess.Popen"), domain="com.microsoft")
    assert worst(findings_of(model(graph(training)))) == "critical"


@pytest.mark.parametrize(
    ("operator", "domain", "severity"),
    [
        ("PythonOp", "", "high"),
        ("PythonOp", "custom", "high"),
        ("CustomOp", "com.test", "medium"),
        ("NoSuchOperator", "", "medium"),
        ("FusedMatMul", "com.microsoft", "none"),
        ("TreeEnsembleRegressor", "ai.onnx.ml", "none"),
        ("Upsample", "ai.onnx", "none"),
    ],
)
def test_operators_are_judged_by_who_makes_them(operator: str, domain: str, severity: str) -> None:
    assert worst(findings_of(model(graph(node(operator, domain=domain))))) == severity


def test_an_operator_that_the_model_defines_itself_is_known() -> None:
    function = message((1, "MyGelu"), (10, "my.domain"), (7, node("Erf")))
    assert findings_of(model(graph(node("MyGelu", domain="my.domain")), (25, function))) == []
    operators = facts_of(model(graph(node("MyGelu", domain="other")), (25, function)))
    assert any(isinstance(fact, Operator) and fact.domain == "other" for fact in operators)


def test_a_compiled_model_outside_the_folder_is_found() -> None:
    def context(embedded: int, path: str) -> bytes:
        mode = message((1, "embed_mode"), (3, embedded), (20, 2))
        return model(graph(node("EPContext", mode, text_attribute("ep_cache_context", path), domain="com.microsoft")))

    assert worst(findings_of(context(0, "../../other/model.bin"))) == "high"
    assert findings_of(context(0, "model_qnn.bin")) == []
    assert findings_of(context(1, "\0compiled")) == []


def test_a_template_in_the_metadata_is_read() -> None:
    hostile = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    found = findings_of(model(graph(node("Relu")), (14, message((1, "chat_template"), (2, hostile)))))
    assert worst(found) == "critical"
    assert found[0].subject.endswith("!/metadata chat_template")


def test_a_torn_model_still_tells_what_it_holds() -> None:
    functions = field(25, message((1, "f"), (7, node("Relu")))) * 70
    data = model(graph(node("Relu"), tensors=(external(ESCAPE),))) + functions + b"\x0a\xff"
    found = findings_of(data)
    assert {finding.rule for finding in found} == {"escaping-reference", "malformed"}


@pytest.mark.parametrize("length", range(0, len(PLAIN), 3))
def test_a_model_torn_anywhere_is_no_error(length: int) -> None:
    for examination in examine_bytes(PLAIN[:length], "model.onnx"):
        assert examination.state != "failed", examination.reason


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_flipped_bytes_are_no_error(data: st.DataObject) -> None:
    sample = bytearray(model(graph(node("If", SUBGRAPH), tensors=(external(ESCAPE),), sparse=(SPARSE,))))
    for _ in range(data.draw(st.integers(1, 6))):
        sample[data.draw(st.integers(0, len(sample) - 1))] = data.draw(st.integers(0, 255))
    for examination in examine_bytes(bytes(sample)):
        assert examination.state != "failed", examination.reason


def test_other_messages_are_not_taken_for_models() -> None:
    for data in (message((1, "a"), (2, "b")), message((1, 5)), message((7, "x")), message((1, 3), (7, "hello"))):
        assert "onnx" not in examine_bytes(data)[-1].formats
