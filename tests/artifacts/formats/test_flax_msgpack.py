"""Flax checkpoints: arrays in MessagePack, sizes that lie, nesting that does not end, and bytes behind the end."""

import random
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.facts import Artifact
from tests.support import examine_bytes, findings_of, worst

NAME = "flax_model.msgpack"


class Extension:
    def __init__(self, code: int, data: bytes) -> None:
        self.code, self.data = code, data


def pack(value: Any) -> bytes:
    """MessagePack, in the widest forms as well as the narrow ones."""
    if value is None or isinstance(value, bool):
        return bytes([{None: 0xC0, False: 0xC2, True: 0xC3}[value]])
    if isinstance(value, int):
        return bytes([value]) if 0 <= value < 128 else b"\xd3" + struct.pack(">q", value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        raw = value.encode()
        return (bytes([0xA0 | len(raw)]) if len(raw) < 32 else b"\xda" + struct.pack(">H", len(raw))) + raw
    if isinstance(value, bytes):
        return b"\xc6" + struct.pack(">I", len(value)) + value
    if isinstance(value, Extension):
        return b"\xc9" + struct.pack(">Ib", len(value.data), value.code) + value.data
    if isinstance(value, dict):
        head = bytes([0x80 | len(value)]) if len(value) < 16 else b"\xde" + struct.pack(">H", len(value))
        return head + b"".join(pack(key) + pack(item) for key, item in value.items())
    head = bytes([0x90 | len(value)]) if len(value) < 16 else b"\xdc" + struct.pack(">H", len(value))
    return head + b"".join(map(pack, value))


def array(shape: list[int], dtype: str = "float32", size: int | None = None, code: int = 1) -> Extension:
    count = 4
    for length in shape:
        count *= length
    return Extension(code, pack([shape, dtype, bytes(count if size is None else size)]))


HONEST = {
    "params": {"dense": {"kernel": array([3, 4]), "bias": array([4])}, "step": array([], code=3)},
    "opt": {"0": {"count": 12, "mu": None, "scale": 0.5}, "big": {f"k{n}": n for n in range(20)}},
    "chunked": {"__msgpack_chunked_array__": True, "shape": {"0": 2, "1": 2}, "chunks": {"0": array([4])}},
    "note": "trained with rm old runs && python train.py",
}
DATA = pack(HONEST)


def test_honest_checkpoints_give_nothing_and_are_counted() -> None:
    last = examine_bytes(DATA, NAME)[-1]
    assert last.formats == ["flax-msgpack"] and last.state == "examined"
    assert findings_of(DATA, NAME) == []
    details = next(fact.details for fact in last.facts if isinstance(fact, Artifact))
    assert details == {"arrays": 4, "parameters": 12 + 4 + 1 + 4, "dtypes": "float32"}


@pytest.mark.parametrize(
    "hostile",
    [
        array([3, 4], size=5),
        array([1 << 40, 1 << 40], size=4),
        array([2], "object", 16),
        Extension(1, b"\x93\x01\x02\x03"),
    ],
)
def test_arrays_that_contradict_themselves_are_medium(hostile: Extension) -> None:
    found = findings_of(pack({"params": {"a": array([2]), "b": hostile}}), NAME)
    assert {(item.rule, str(item.severity)) for item in found} == {("weights-structure", "medium")}


def test_bytes_behind_the_end_are_stated_and_examined() -> None:
    hidden = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R."
    assert {"unaccounted-bytes", "dangerous-import"} <= {item.rule for item in findings_of(DATA + hidden, NAME)}


@pytest.mark.parametrize(
    "data",
    [
        DATA[:-20],
        b"\x82" + pack("a") + pack(array([2])) + pack("b") + b"\xc1",
        b"\x82" + pack("a") + pack(array([2])) + pack("b") + b"\xdd\xff\xff\xff\xff",
        b"\x82" + pack("a") + pack(array([2])) + pack("b") + b"\x91" * 100_000 + b"\xc0",
    ],
)
def test_damage_lying_lengths_and_depth_end_in_coverage(data: bytes) -> None:
    last = examine_bytes(data, NAME)[-1]
    assert last.formats == ["flax-msgpack"] and last.state == "partial"


def test_a_tensorstore_spec_that_leads_away_is_high() -> None:
    away = {"driver": "zarr", "kvstore": {"driver": "file", "path": "/etc/secrets"}}
    assert worst(findings_of(pack({"w": away, "a": array([1])}), NAME)) == "high"
    beside = {"driver": "zarr", "kvstore": {"driver": "file", "path": "target.decoder.kernel"}}
    assert findings_of(pack({"w": beside, "a": array([1])}), NAME) == []


@pytest.mark.parametrize("data", [b"\x81\x82\x83\x84" * 9, b"\x82ab", bytes(range(128, 256)), b"\xde\xad\xbe\xef" * 8])
def test_other_bytes_are_not_taken_for_it(data: bytes) -> None:
    assert "flax-msgpack" not in examine_bytes(data)[-1].formats


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 30))
def test_damage_never_fails(seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(DATA)
    for _ in range(chance.randrange(1, 6)):
        data[chance.randrange(len(data))] = chance.choice([0x81, 0x91, 0xC9, 0xDD, 0xDF, chance.randrange(256)])
    for examination in examine_bytes(bytes(data[: chance.randrange(len(data) + 1)]), NAME):
        assert examination.state != "failed", examination.reason
