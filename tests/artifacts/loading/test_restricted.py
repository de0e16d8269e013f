"""The unpickler that resolves what it was told to, whatever the stream says."""

import copyreg
import io
import pickle
from collections import OrderedDict

import pytest

from garrison.artifacts.loading.refusal import LoadRefused
from garrison.artifacts.loading.restricted import PickleModule, Unpickler


def load(data: bytes, *names: tuple[str, str]) -> object:
    return Unpickler(io.BytesIO(data), frozenset(names)).load()


def test_names_are_compared_whole() -> None:
    data = pickle.dumps(OrderedDict(a=1))
    assert load(data, ("collections", "OrderedDict")) == {"a": 1}
    for other in (("collections", "Ordered"), ("collections", "*"), ("collections.abc", "OrderedDict"), ("", "")):
        with pytest.raises(LoadRefused, match=r"collections\.OrderedDict"):
            load(data, other)


@pytest.mark.parametrize(
    "data",
    [
        b"cos\nsystem\n.",
        b"\x80\x02cos\nsystem\n.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.__init__\x93.",
        b"\x80\x04\x8c\x0bcollections\x8c\x1eOrderedDict.__init__.__globals\x93.",
        b"(icollections\nsystem\n.",
        b"c__builtin__\neval\n.",
        b"cbuiltins\ngetattr\n.",
    ],
)
def test_no_opcode_and_no_dotted_name_gets_at_more(data: bytes) -> None:
    with pytest.raises(LoadRefused):
        load(data, ("collections", "OrderedDict"))


def test_extension_codes_are_names_too() -> None:
    copyreg.add_extension("collections", "OrderedDict", 0x7321)
    try:
        data = pickle.dumps(OrderedDict, 2)
        assert b"OrderedDict" not in data
        with pytest.raises(LoadRefused):
            load(data)
    finally:
        copyreg.remove_extension("collections", "OrderedDict", 0x7321)


def test_persistent_objects_are_not_given() -> None:
    with pytest.raises(pickle.UnpicklingError):
        load(b"Pname\n.")
    with pytest.raises(pickle.UnpicklingError):
        load(b"\x80\x02K\x01Q.")


def test_in_place_of_the_module_pickle() -> None:
    module = PickleModule(frozenset({("collections", "OrderedDict")}))
    assert module.load(io.BytesIO(pickle.dumps(OrderedDict(a=1))), encoding="utf-8") == {"a": 1}
    with pytest.raises(LoadRefused):
        module.load(io.BytesIO(pickle.dumps(io.BytesIO)))
