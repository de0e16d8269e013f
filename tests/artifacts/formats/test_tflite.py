import contextlib
import io
import struct
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.artifacts.wire import flexbuffers
from garrison.core.errors import Malformed
from garrison.core.facts import Artifact
from tests.artifacts.protobuf_encoding import entry, message
from tests.artifacts.wire.flatbuffer_writer import Bytes, Node, Numbers, Scalar, build
from tests.support import examine_bytes, facts_of, findings_of, worst

CUSTOM = 32


def flex(*texts: bytes) -> bytes:
    """A FlexBuffer that holds a vector of strings."""
    out = b""
    starts = []
    for text in texts:
        out += struct.pack("<I", len(text))
        starts.append(len(out))
        out += text + b"\0" * (4 - len(text) % 4)
    out += struct.pack("<I", len(texts))
    vector = len(out)
    for start in starts:
        out += struct.pack("<I", len(out) - start)
    out += bytes([5 << 2 | 2] * len(texts))
    return out + struct.pack("<I", len(out) - vector) + bytes((10 << 2 | 2, 4))


def strings(*texts: str) -> bytes:
    """A constant of strings, as the interpreter keeps it."""
    data = [text.encode() for text in texts]
    first = 4 + 4 * (len(data) + 1)
    ends = [first + sum(map(len, data[:count])) for count in range(len(data) + 1)]
    return struct.pack(f"<{len(ends) + 1}I", len(data), *ends) + b"".join(data)


def custom(name: str) -> Node:
    return Node({0: Scalar("b", CUSTOM), 1: name, 3: Scalar("i", CUSTOM)})


def model(
    *codes: Node,
    operators: "list[Node] | None" = None,
    buffers: "tuple[bytes, ...]" = (),
    tensors: "list[Node] | None" = None,
    **more: "Node | list[Node] | str",
) -> bytes:
    made = operators
    if made is None:
        made = [Node({0: Scalar("I", index), 1: Numbers("i", [0])}) for index in range(len(codes))]
    graph = Node({0: tensors or [Node({0: Numbers("i", [2, 3]), 2: Scalar("I", 1), 3: "w"})], 3: made, 4: "main"})
    data = [Node({}), Node({0: Bytes(bytes(24), 16)}), *(Node({0: Bytes(one, 16)}) for one in buffers)]
    fields = {0: Scalar("I", 3), 1: list(codes), 2: [graph], 3: "MLIR Converted.", 4: data}
    fields |= {int(number.strip("_")): value for number, value in more.items()}
    return build(Node(fields), b"TFL3")


PLAIN = model(Node({0: Scalar("b", 3), 2: Scalar("i", 1), 3: Scalar("i", 3)}))


def test_an_ordinary_model_is_known_and_has_no_finding() -> None:
    assert findings_of(PLAIN, "model.tflite") == []
    (artifact,) = [fact for fact in facts_of(PLAIN) if isinstance(fact, Artifact)]
    assert artifact.format == "tflite"
    assert artifact.details == {
        "schema": 3,
        "description": "MLIR Converted.",
        "subgraphs": 1,
        "operators": 1,
        "tensors": 1,
        "parameters": 6,
    }


def test_metadata_is_told_and_the_files_packed_behind_it_are_read() -> None:
    metadata = build(Node({0: "Detector", 2: "v1", 4: "TensorFlow", 5: "Apache-2.0"}), b"M001")
    data = model(
        custom("TFLite_Detection_PostProcess"),
        buffers=(metadata,),
        _6=[Node({0: "TFLITE_METADATA", 1: Scalar("I", 2)})],
    )
    packed = io.BytesIO(data)
    with zipfile.ZipFile(packed, "a") as file:
        file.writestr("labelmap.txt", "cat\ndog\n")
    assert findings_of(packed.getvalue(), "model.tflite") == []
    examinations = examine_bytes(packed.getvalue(), "model.tflite")
    assert examinations[0].subject == "model.tflite!/labelmap.txt"
    (artifact,) = [f for f in examinations[-1].facts if isinstance(f, Artifact) and f.format == "tflite"]
    assert artifact.details["licence"] == "Apache-2.0"
    assert artifact.details["author"] == "TensorFlow"


@pytest.mark.parametrize(
    ("name", "severity"),
    [
        ("TFLite_Detection_PostProcess", "none"),
        ("edgetpu-custom-op", "none"),
        ("MaxPoolingWithArgmax2D", "none"),
        ("FlexAddV2", "none"),
        ("MyOperator", "medium"),
        ("PyFunc", "high"),
        ("FlexPyFunc", "high"),
        ("FlexWriteFile", "medium"),
    ],
)
def test_custom_operators_are_judged_by_who_makes_them(name: str, severity: str) -> None:
    assert worst(findings_of(model(custom(name)))) == severity


def test_a_name_counts_for_custom_operators_alone() -> None:
    assert findings_of(model(Node({0: Scalar("b", 3), 1: "MyOperator"}))) == []
    assert worst(findings_of(model(Node({0: Scalar("b", CUSTOM), 1: "MyOperator"})))) == "medium"


def test_a_select_operator_is_judged_by_its_constant_arguments() -> None:
    tensors = [Node({1: Scalar("b", 5), 2: Scalar("I", 2), 3: "name"}), Node({1: Scalar("b", 5), 2: Scalar("I", 3)})]
    operator = [Node({0: Scalar("I", 0), 1: Numbers("i", [0, 1])})]
    buffers = (strings("/etc/cron.d/x"), strings("* * * * * root id"))
    (found,) = findings_of(model(custom("FlexWriteFile"), operators=operator, tensors=tensors, buffers=buffers))
    assert (found.rule, found.severity, found.place) == ("file-operator", "critical", "operator 0")
    assert "/etc/cron.d/x" in found.message


def test_a_select_operator_is_judged_by_its_attributes() -> None:
    node = message((1, "n"), (2, "PrintV2"), (5, entry("output_stream", message((2, "file:///etc/cron.d/x")))))
    operator = [Node({0: Scalar("I", 0), 5: Bytes(flex(b"PrintV2", node))})]
    assert worst(findings_of(model(custom("FlexPrintV2"), operators=operator))) == "high"
    harmless = message((1, "n"), (2, "PrintV2"), (5, entry("output_stream", message((2, "stderr")))))
    operator = [Node({0: Scalar("I", 0), 5: Bytes(flex(b"PrintV2", harmless))})]
    assert findings_of(model(custom("FlexPrintV2"), operators=operator)) == []


def test_an_external_buffer_outside_the_folder_is_found() -> None:
    code = Node({0: Scalar("b", 3)})
    assert findings_of(model(code, _8=[Node({0: "weights.bin"})])) == []
    assert worst(findings_of(model(code, _8=[Node({0: "../../etc/passwd"})]))) == "high"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(model(custom("A"), operators=[Node({0: Scalar("I", 7)})]), id="code that is none"),
        pytest.param(
            build(Node({4: [Node({1: Scalar("Q", 1 << 40), 2: Scalar("Q", 8)})]}), b"TFL3"), id="buffer outside"
        ),
        pytest.param(b"\0\0\0\0TFL3" + bytes(100), id="nothing but the mark"),
    ],
)
def test_what_leads_outside_is_malformed(data: bytes) -> None:
    assert {finding.rule for finding in findings_of(data, "model.tflite")} == {"malformed"}


def test_a_model_torn_anywhere_is_no_error() -> None:
    for length in range(0, len(PLAIN), 3):
        for examination in examine_bytes(PLAIN[:length], "model.tflite"):
            assert examination.state != "failed", examination.reason


SAMPLE = model(
    custom("FlexPrintV2"),
    operators=[Node({0: Scalar("I", 0), 1: Numbers("i", [0]), 5: Bytes(flex(b"PrintV2", b"\x0a\x01n\x12\x02op"))})],
    tensors=[Node({1: Scalar("b", 5), 2: Scalar("I", 2)})],
    buffers=(strings("a", "b"),),
)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_flipped_bytes_are_no_error(data: st.DataObject) -> None:
    sample = bytearray(SAMPLE)
    for _ in range(data.draw(st.integers(1, 6))):
        sample[data.draw(st.integers(0, len(sample) - 1))] = data.draw(st.integers(0, 255))
    for examination in examine_bytes(bytes(sample)):
        assert examination.state != "failed", examination.reason


def test_flexbuffers_give_their_texts() -> None:
    assert flexbuffers.texts(flex(b"ReadFile", b"", b"x" * 300)) == [b"ReadFile", b"", b"x" * 300]
    # As the builder of Python's flatbuffers 25.12 writes ["a", b"\1\2"], "abc" and 5.
    assert flexbuffers.texts(bytes.fromhex("0161000201020206041464042801")) == [b"a", b"\1\2"]
    assert flexbuffers.texts(bytes.fromhex("0361626300041401")) == [b"abc"]
    assert flexbuffers.texts(bytes.fromhex("050401")) == []


@given(st.binary(max_size=64))
def test_any_bytes_give_texts_or_are_malformed(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        assert all(len(text) <= len(data) for text in flexbuffers.texts(data))
