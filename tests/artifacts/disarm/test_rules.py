"""Calls whose results are known: what they do not know exactly they do not claim to."""

import pickle
from collections import Counter
from typing import Any

import numpy as np
import pytest

from garrison.artifacts.disarm import elements
from garrison.artifacts.disarm.rules.table import RULES
from garrison.artifacts.disarm.torch_files import stacked
from garrison.artifacts.disarm.unpickling import Unpickling
from garrison.artifacts.disarm.values import Element, Opaque
from garrison.core.limits import Limits
from garrison.sources.reader import BytesReader
from garrison.sources.source import Context, Source


def load(data: bytes) -> tuple[Any, list[Opaque]]:
    pickled = Unpickling(BytesReader(data), Context(Limits(), len(data)), RULES)
    return pickled.load(), pickled.acts


class Call:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def encode(text: Any, encoding: Any) -> bytes:
    """A call of `_codecs.encode`, whatever its arguments are."""
    arguments = pickle.dumps((text, encoding), 2)[2:-1]
    return b"\x80\x02c_codecs\nencode\n" + arguments + b"R."


@pytest.mark.parametrize("encoding", [["latin1"], {"latin1": 1}, (["latin1"],), 1, None, "utf-7"])
def test_an_encoding_that_is_none_is_only_named(encoding: Any) -> None:
    value, acts = load(encode("text", encoding))
    assert isinstance(value, Opaque)
    assert acts == [value]
    assert value.reason == "call of _codecs.encode"


def test_a_counter_that_would_count_is_not_taken_for_its_counts() -> None:
    value, _ = load(pickle.dumps(Call(Counter, [("a", 5)])))
    assert isinstance(value, Opaque)
    value, acts = load(pickle.dumps(Counter(a=5)))
    assert value.entries == [("a", 5)]
    assert not acts


def test_the_state_of_a_type_that_is_not_known_changes_that_one_only() -> None:
    state = (3, "|", None, ("x",), {"x": (np.dtype("f4"), 0)}, 4, 1, 0)
    call = b"cnumpy\ndtype\n" + pickle.dumps(("nonsense", False, True), 2)[2:-1] + b"R"
    value, _ = load(b"\x80\x02" + call + pickle.dumps(state, 2)[2:-1] + b"b.")
    assert isinstance(value, Element)
    assert (elements.UNKNOWN.kind, elements.UNKNOWN.fields) == ("?", ())


def stack(first: bytes, keys: Any = ()) -> Source:
    """Stacked pickles around the object "here"."""
    rest = [pickle.dumps(part, 2) for part in (1001, {}, "here", list(keys))]
    return Source("model", BytesReader(first + b"".join(rest)))


def test_storages_inside_storages_have_a_depth_wherever_they_stand() -> None:
    source = stack(pickle.dumps(0))
    for _ in range(20):
        inner = pickle.dumps(source.reader.pread(0, source.reader.size), 3)[2:-1]
        source = stack(b"\x80\x03ctorch.storage\n_load_from_bytes\n" + inner + b"\x85R.")
    contents = stacked(source, Context(Limits(), source.reader.size))
    assert contents.root == "here"
    assert [act.reason for act in contents.acts] == ["call of torch.storage._load_from_bytes"]


def test_keys_of_storages_that_are_no_keys_are_not_written_out() -> None:
    bomb: list[Any] = []
    for _ in range(100):
        bomb = [bomb, bomb]
    source = stack(pickle.dumps(0), [bomb])
    assert stacked(source, Context(Limits(), source.reader.size)).root == "here"
