import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.facts import Artifact, Operator
from tests.artifacts.protobuf_encoding import entry, field, group, message, varint
from tests.support import examine_bytes, facts_of, findings_of, worst

STRING = 7


def node(name: str, operator: str, *inputs: str, **attributes: bytes) -> bytes:
    """A `NodeDef`; attributes are `AttrValue` messages."""
    values = [(5, entry(key, value)) for key, value in attributes.items()]
    return message((1, name), (2, operator), *((3, one) for one in inputs), *values)


def text(value: str) -> bytes:
    return message((2, value))


def constant(name: str, *values: str) -> bytes:
    return node(name, "Const", value=message((8, message((1, STRING), *((8, value) for value in values)))))


def packed_constant(name: str, *values: str) -> bytes:
    content = b"".join(varint(len(value)) for value in values) + "".join(values).encode()
    return node(name, "Const", value=message((8, message((1, STRING), (4, content)))))


def function(name: str, arguments: "list[str]", *nodes: bytes) -> bytes:
    signature = message((1, name), *((2, message((1, argument), (3, STRING))) for argument in arguments))
    return message((1, signature), *((3, one) for one in nodes))


def graph(*nodes: bytes, functions: tuple[bytes, ...] = ()) -> bytes:
    library = ((2, message(*((1, one) for one in functions))),) if functions else ()
    return message(*((1, one) for one in nodes), *library, (4, message((1, 1205))))


def calls(name: str) -> bytes:
    return message((10, message((1, name))))


INFORMATION = message((4, "serve"), (5, "2.15.0"))


def saved_model(inner: bytes, *more: "tuple[int, int | bytes | str]") -> bytes:
    signature = (5, entry("serving_default", message((3, "x"))))
    return message((1, 1), (2, message((1, INFORMATION), (2, inner), signature, *more)))


def saver(prefix: bytes) -> "list[bytes]":
    return [prefix, node("save", "SaveV2", "prefix", "names"), node("restore", "RestoreV2", "prefix", "names")]


ORDINARY = graph(
    *saver(node("prefix", "Placeholder")),
    node("x", "Placeholder"),
    node("y", "MatMul", "x", "x"),
    constant("names", "w"),
    functions=(function("f", ["p"], node("s", "SaveV2", "p", "p"), node("m", "MergeV2Checkpoints", "p", "p")),),
)
METADATA = json.dumps({"class_name": "Functional", "config": {"name": "m", "layers": []}})


def objects(metadata: str) -> bytes:
    return message((1, message((4, message((1, "_tf_keras_network"), (3, metadata))))))


HONEST = saved_model(ORDINARY, (7, objects(METADATA)))


def test_an_ordinary_saved_model_is_known_and_has_no_finding() -> None:
    assert findings_of(HONEST, "saved_model.pb") == []
    (artifact,) = [fact for fact in facts_of(HONEST) if isinstance(fact, Artifact)]
    assert artifact.format == "tensorflow-savedmodel"
    assert artifact.details == {
        "tensorflow_version": "2.15.0",
        "tags": "serve",
        "operators": 8,
        "functions": 1,
        "signatures": "serving_default",
    }


def test_a_saver_is_stated_and_not_judged() -> None:
    names = [fact.name for fact in facts_of(HONEST) if isinstance(fact, Operator)]
    assert names == ["SaveV2", "RestoreV2", "SaveV2", "MergeV2Checkpoints"]


WRITE = [constant("to", "/etc/cron.d/x"), constant("what", "* * * * * root id"), node("w", "WriteFile", "to", "what")]
HOSTILE = {
    "write": graph(*WRITE),
    "read": graph(constant("of", "/etc/passwd"), node("r", "ReadFile", "of")),
    "strings in raw content": graph(packed_constant("of", "/etc/passwd"), node("r", "ReadFile", "of")),
    "several names": graph(packed_constant("of", "/etc/passwd", "/etc/shadow"), node("r", "MatchingFiles", "of")),
    "joined": graph(
        constant("a", "/etc"),
        constant("b", "passwd"),
        node("j", "StringJoin", "a", "b", separator=text("/")),
        node("r", "ReadFile", "j:0"),
    ),
    "passed on": graph(constant("of", "/etc/passwd"), node("i", "Identity", "of", "^x"), node("r", "ReadFile", "i")),
    "in a function": graph(node("x", "NoOp"), functions=(function("f", [], *WRITE),)),
    "given to a function": graph(
        constant("of", "/etc/passwd"),
        node("call", "PartitionedCall", "of", f=calls("f")),
        functions=(function("f", ["name"], node("r", "ReadFile", "name")),),
    ),
    "given to a function that is an operator": graph(
        constant("of", "/etc/passwd"),
        node("call", "f", "of"),
        functions=(function("f", ["name"], node("r", "ReadFile", "name")),),
    ),
    "given to a branch": graph(
        node("c", "Placeholder"),
        constant("of", "/etc/passwd"),
        node("if", "StatelessIf", "c", "of", then_branch=calls("f")),
        functions=(function("f", ["name"], node("r", "ReadFile", "name")),),
    ),
    "given to one branch of many": graph(
        node("c", "Placeholder"),
        constant("of", "/etc/passwd"),
        node("case", "Case", "c", "of", branches=message((1, message((9, message((1, "f"))))))),
        functions=(function("f", ["name"], node("r", "ReadFile", "name")),),
    ),
    "given to a mapping": graph(
        constant("of", "/etc/passwd"),
        node("d", "Placeholder"),
        node("map", "MapDataset", "d", "of", f=calls("f")),
        functions=(function("f", ["element", "name"], node("r", "ReadFile", "name")),),
    ),
    "fixed saver": graph(*saver(constant("prefix", "/root/.ssh/authorized_keys"))),
    "print": graph(node("p", "PrintV2", "x", output_stream=text("file:///etc/cron.d/x"))),
    "memory map": graph(node("m", "ImmutableConst", memory_region_name=text("/etc/passwd"))),
    "Python": graph(node("p", "PyFunc", token=text("pyfunc_0"))),
    "vocabulary": graph(constant("v", "/etc/passwd"), node("g", "GenerateVocabRemapping", "v", "o")),
    "engine": graph(constant("e", "/etc/passwd"), node("i", "InitializeTRTResource", "h", "e")),
    "network": graph(constant("a", "10.0.0.1:80"), node("r", "RpcClient", "a")),
    "debugger": graph(node("d", "DebugIdentityV3", "x", debug_urls=message((1, message((2, "grpc://a.example:1")))))),
}


@pytest.mark.parametrize("inner", HOSTILE.values(), ids=HOSTILE.keys())
def test_operators_that_act_are_found_wherever_their_graph_stands(inner: bytes) -> None:
    whole = saved_model(inner)
    several = message((1, 1), (2, message((1, INFORMATION), (2, ORDINARY))), (2, message((2, inner))))
    merged = saved_model(ORDINARY, (2, inner))
    # Readers skip what they don't know, and what they know with another type.
    padded = group(60, field(1, 2)) + field(99, "ignored") * 90 + field(1, "odd") + field(2, 7) + whole
    meta = message((1, INFORMATION), (2, inner), (5, entry("s", message((3, "x")))))
    for data in (whole, several, merged, padded, inner, meta):
        assert worst(findings_of(data)) in ("high", "critical"), examine_bytes(data)[-1].formats


def test_a_write_is_critical_and_says_where_and_what() -> None:
    (found,) = findings_of(saved_model(graph(*WRITE)))
    assert (found.rule, found.severity, found.place) == ("file-operator", "critical", "node 'w'")
    assert "/etc/cron.d/x" in found.message


def test_a_file_of_the_model_itself_may_be_read() -> None:
    """An asset's constant is replaced by its place when the model is loaded."""
    table = graph(constant("asset", "/tmp/vocab.txt"), node("t", "InitializeTableFromTextFileV2", "h", "asset"))
    asset = message((1, message((1, "asset:0"))), (2, "vocab.txt"))
    assert findings_of(saved_model(table, (6, asset))) == []
    assert worst(findings_of(saved_model(table))) == "high"


@pytest.mark.parametrize("place", ["field", "collection"])
def test_an_asset_outside_its_folder_is_found(place: str) -> None:
    asset = message((1, message((1, "a:0"))), (2, "../../../etc/passwd"))
    packed = entry("saved_model_assets", message((5, message((1, message((1, "type"), (2, asset)))))))
    (found,) = findings_of(saved_model(ORDINARY, (6, asset) if place == "field" else (4, packed)))
    assert (found.rule, found.severity) == ("escaping-reference", "high")


LAMBDA = {"class_name": "Lambda", "config": {"name": "l", "function": "f", "module": "__main__"}}


def test_keras_configurations_of_a_saved_model_are_judged() -> None:
    assert worst(findings_of(saved_model(ORDINARY, (7, objects(json.dumps(LAMBDA)))))) == "high"
    beside = message((1, message((2, 1), (3, "root"), (4, "_tf_keras_network"), (5, json.dumps(LAMBDA)))))
    assert examine_bytes(beside)[-1].formats == ["keras-metadata"]
    assert worst(findings_of(beside, "keras_metadata.pb")) == "high"


def test_a_custom_layer_of_a_saved_model_needs_nothing() -> None:
    custom = json.dumps({"class_name": "mine>Layer", "config": {"name": "c"}, "registered_name": "mine>Layer"})
    assert findings_of(saved_model(ORDINARY, (7, objects(custom)))) == []


def test_a_fingerprint_is_known() -> None:
    data = message(*((number, (1 << 63) + number) for number in range(1, 6)), (6, message((1, 1))))
    assert examine_bytes(data, "fingerprint.pb")[-1].formats == ["tensorflow-fingerprint"]
    assert examine_bytes(message((1, 1), (2, 2), (3, 3)))[-1].formats == []


def test_a_hub_module_is_known() -> None:
    for data in (message((1, 3)), message((1, 3), (2, 1), (2, 7))):
        assert examine_bytes(data, "tfhub_module.pb")[-1].formats == ["tensorflow-hub"]
    for data in (message((1, 9)), message((1, 3), (4, 1)), message((1, 3)) + b"\x10"):
        assert "tensorflow-hub" not in examine_bytes(data)[-1].formats


def test_formats_are_told_apart() -> None:
    assert examine_bytes(HONEST)[-1].formats == ["tensorflow-savedmodel"]
    assert examine_bytes(ORDINARY)[-1].formats == ["tensorflow-graph"]
    assert examine_bytes(message((1, INFORMATION), (2, ORDINARY)))[-1].formats == ["tensorflow-metagraph"]
    for data in (message((1, "a"), (2, "b")), message((1, message((1, "piece")))), message((1, 1), (2, "text"))):
        assert examine_bytes(data)[-1].formats == []


def _text(value: str) -> str:
    return json.dumps(value)


def test_a_saved_model_torn_anywhere_is_no_error() -> None:
    for length in range(0, len(HONEST), 3):
        for examination in examine_bytes(HONEST[:length], "saved_model.pb"):
            assert examination.state != "failed", examination.reason


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(HOSTILE)), st.data())
def test_flipped_bytes_are_no_error(which: str, data: st.DataObject) -> None:
    sample = bytearray(saved_model(HOSTILE[which], (7, objects(METADATA))))
    for _ in range(data.draw(st.integers(1, 6))):
        sample[data.draw(st.integers(0, len(sample) - 1))] = data.draw(st.integers(0, 255))
    for examination in examine_bytes(bytes(sample)):
        assert examination.state != "failed", examination.reason


def test_functions_that_call_each_other_without_end_are_bounded() -> None:
    loop = [
        function("f", ["a"], node("c", "PartitionedCall", "a", f=calls("g")), node("r", "ReadFile", "a")),
        function("g", ["a"], node("c", "PartitionedCall", "a", f=calls("f"))),
    ]
    (found,) = findings_of(graph(node("x", "NoOp"), functions=tuple(loop)))
    assert found.severity == "medium"
    assert "computed" in found.message
