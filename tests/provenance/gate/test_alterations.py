"""Whatever is altered in a piece of evidence: it counts for what was signed, or not at all."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.provenance.bundles.reading import read
from garrison.provenance.gate import Piece
from garrison.provenance.trust import Refused
from tests.provenance.gate.world import World

KINDS = {"signature": "signature", "scan": "scan", "training": "training", "robustness": "robustness"}
KINDS |= {"ada": "approvals", "version": "version"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield World(tmp_path_factory.mktemp("world"))


def met(world: World, altered: str, data: bytes) -> bool:
    """Whether the requirement that a piece was for is met with another document in its place."""
    pieces = [Piece(place=name, data=one or b"") for name, one in {**world.evidence, altered: data}.items()]
    decision = world.decide(evidence=pieces)
    return next(one.met for one in decision.requirements if one.name == KINDS[altered])


def body(data: bytes) -> bytes | None:
    try:
        return read(data).body
    except Refused:
        return None


@given(name=st.sampled_from(sorted(KINDS)), at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_bits(world: World, name: str, at: float, bit: int) -> None:
    original = world.evidence[name] or b""
    data = bytearray(original)
    data[int(at * len(data))] ^= 1 << bit
    # What is not signed may say anything, such as the hint at the key: what was signed is what was signed.
    assert not met(world, name, bytes(data)) or body(bytes(data)) == body(original)


@given(name=st.sampled_from(sorted(KINDS)), at=st.floats(0, 1, exclude_max=True))
def test_ends_that_are_missing(world: World, name: str, at: float) -> None:
    data = world.evidence[name] or b""
    assert not met(world, name, data[: int(at * len(data))])


@given(name=st.sampled_from(sorted(KINDS)), data=st.data())
def test_fields_of_the_payload(world: World, name: str, data: st.DataObject) -> None:
    """Each value in the statement is changed in turn, under the old signature."""
    document = msgspec.json.decode(world.evidence[name] or b"")
    statement = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
    path = data.draw(st.sampled_from(list(leaves(statement))))
    change(statement, path)
    document["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    assert not met(world, name, msgspec.json.encode(document))


@given(
    one=st.sampled_from(sorted(KINDS)), other=st.sampled_from(sorted(KINDS)), part=st.sampled_from(["sig", "payload"])
)
def test_parts_of_another_statement(world: World, one: str, other: str, part: str) -> None:
    first, second = (msgspec.json.decode(world.evidence[name] or b"") for name in (one, other))
    mine, theirs = first["dsseEnvelope"], second["dsseEnvelope"]
    if part == "sig":
        mine["signatures"] = theirs["signatures"]
    else:
        mine["payload"] = theirs["payload"]
    assert met(world, one, msgspec.json.encode(first)) is (one == other)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all plain values."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    else:
        yield path


def change(value: Any, path: tuple[Any, ...]) -> None:
    for key in path[:-1]:
        value = value[key]
    old = value[path[-1]]
    value[path[-1]] = not old if isinstance(old, bool) else old + 1 if isinstance(old, int | float) else f"{old}0"
