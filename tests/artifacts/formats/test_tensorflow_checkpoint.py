import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.facts import Artifact
from tests.artifacts.protobuf_encoding import message, varint
from tests.support import examine_bytes, facts_of, findings_of

MAGIC = bytes.fromhex("57fb808b247547db")


def block(*pairs: "tuple[bytes, bytes]") -> bytes:
    """A block of a sorted table; keys share what they begin with."""
    out = b""
    before = b""
    for key, value in pairs:
        shared = 0
        while shared < min(len(before), len(key)) and before[shared] == key[shared]:
            shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    return out + bytes(4) + (1).to_bytes(4, "little")


def table(*blocks: bytes, compression: int = 0) -> bytes:
    out = b""
    handles = []
    for number, one in enumerate([*blocks, block()]):
        handles.append((f"{number}".encode(), varint(len(out)) + varint(len(one))))
        out += one + bytes((compression,)) + bytes(4)
    index = block(*handles[:-1])
    footer = handles[-1][1] + varint(len(out)) + varint(len(index))
    return out + index + bytes(5) + footer.ljust(40, b"\0") + MAGIC


def header(shards: int = 1) -> "tuple[bytes, bytes]":
    return b"", message((1, shards), (3, message((1, 1))))


def tensor(name: str, shape: "list[int]", offset: int, size: int, shard: int = 0) -> "tuple[bytes, bytes]":
    sizes = message(*((2, message((1, dimension))) for dimension in shape))
    return name.encode(), message((1, 1), (2, sizes), (3, shard), (4, offset), (5, size))


INDEX = table(block(header(), tensor("layer/bias", [4], 0, 16), tensor("layer/kernel", [3, 4], 16, 48)))
SHARD = "variables/variables.data-00000-of-00001"


def test_an_index_tells_what_the_checkpoint_holds() -> None:
    (artifact,) = [fact for fact in facts_of(INDEX) if isinstance(fact, Artifact)]
    assert artifact.format == "tensorflow-checkpoint"
    assert artifact.details == {"tensors": 2, "parameters": 16, "shards": 1, "bytes": 64}


def test_tensors_of_several_blocks_and_shards_are_counted() -> None:
    data = table(block(header(2), tensor("a", [2], 0, 8)), block(tensor("b", [], 0, 4, shard=1)))
    (artifact,) = [fact for fact in facts_of(data) if isinstance(fact, Artifact)]
    assert artifact.details == {"tensors": 2, "parameters": 3, "shards": 2, "bytes": 12}


def test_a_whole_checkpoint_is_understood_and_has_no_finding() -> None:
    files = {"variables/variables.index": INDEX, SHARD: bytes(64)}
    assert findings_of(files) == []
    assert examine_bytes(bytes(range(64)), SHARD)[-1].formats == ["tensorflow-checkpoint-data"]


def test_shards_of_tensorflow_js_are_known() -> None:
    assert examine_bytes(b"\x00\xff\x10" * 9, "group1-shard1of2.bin")[-1].formats == ["tensorflowjs-weights"]
    assert examine_bytes(b"\x00\xff\x10" * 9, "weights.bin")[-1].formats == []


@pytest.mark.parametrize("size", [63, 65, 0])
def test_bytes_that_the_index_does_not_describe_are_said(size: int) -> None:
    (found,) = findings_of({"m/variables.index": INDEX, "m/variables.data-00000-of-00001": bytes(size)})
    assert (found.rule, found.severity, found.subject) == ("checkpoint-size-mismatch", "low", "m/variables.index")


def test_a_shard_that_is_something_else_is_seen_as_that() -> None:
    assert "pickle" in examine_bytes(b"\x80\x02cos\nsystem\nU\x02id\x85R.", SHARD)[-1].formats


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(table(block(header(), tensor("a", [1], 0, 4, shard=3))), id="shard that is none"),
        pytest.param(table(block(header(), tensor("a", [1], 0, 4)) + b"\xff\xff\xff\x7f"), id="restarts"),
        pytest.param(INDEX[:-48] + b"\xff" * 40 + MAGIC, id="footer"),
    ],
)
def test_a_broken_table_is_malformed(data: bytes) -> None:
    assert {finding.rule for finding in findings_of(data)} <= {"malformed"}
    assert examine_bytes(data)[-1].state in ("partial", "examined")


def test_a_compressed_table_is_not_understood() -> None:
    assert examine_bytes(table(block(header()), compression=1))[-1].state == "not-understood"


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_flipped_bytes_are_no_error(data: st.DataObject) -> None:
    sample = bytearray(INDEX)
    for _ in range(data.draw(st.integers(1, 6))):
        sample[data.draw(st.integers(0, len(sample) - 1))] = data.draw(st.integers(0, 255))
    for examination in examine_bytes(bytes(sample)):
        assert examination.state != "failed", examination.reason
