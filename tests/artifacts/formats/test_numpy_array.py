"""Arrays of every ordinary type are understood, and whatever NumPy would unpickle is judged as a pickle."""

import io
import struct
import zipfile

import numpy
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.lib.format import descr_to_dtype, write_array

from garrison.artifacts.numpy_types import holds_objects, size_of
from garrison.core.facts import Artifact
from tests.support import examine_bytes, findings_of, worst

EVIL = b"cposix\nsystem\n(S'id'\ntR."
ORDINARY = [
    "?", "i1", "<i2", ">i4", "<i8", "u1", "<u2", "<u4", ">u8", "<f2", "<f4", "<f8", "<c8", "<c16", "|S7", "<U12", "|V5",
    "<M8[ns]", "<m8[D]", "M8[25s]", "datetime64[ns]", "float32", "uint16", "int64", "bool", "complex128", "3i4",
    "(2,3)f4", "i4,f8", "<i4, >f8", "i4,", "S", "U", "longdouble",
]  # fmt: skip
STRUCTURED: list[object] = [
    [("a", "<f4"), ("b", "<i8")],
    [("a", "<f4", (3,)), ("b", "<U4", (2, 2))],
    [(("title", "a"), "<f4")],
    [("outer", [("inner", "<i2"), ("", "|V2")])],
    ("<i4", (2, 3)),
]
OBJECTS: list[object] = [
    "|O", "O", "O8", "=O", "object", "2O", "(2,)O", "i4,O", "T", ("O", (2,)), [("a", "O")], [["a", "O"]], ["aO"],
    {"aO": 0}, [("a", [("b", "<i4"), ("c", "|O")])], [("a", "O", (2,))], [(("t", "n"), "O")],
]  # fmt: skip


def npy(header: str, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    raw = header.encode("utf-8" if version == (3, 0) else "latin-1")
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H" if version == (1, 0) else "<I", len(raw)) + raw + data


def header(descr: object, shape: object = (1,)) -> str:
    return repr({"descr": descr, "fortran_order": False, "shape": shape})


def saved(array: numpy.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    write_array(buffer, array, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


@pytest.mark.parametrize("descr", [*ORDINARY, *STRUCTURED], ids=repr)
def test_ordinary_types_are_understood_as_numpy_does(descr: object) -> None:
    dtype = descr_to_dtype(descr)
    assert size_of(descr) == dtype.itemsize
    assert not holds_objects(descr)
    examination = examine_bytes(npy(header(descr, (3,)), bytes(3 * dtype.itemsize)))[-1]
    assert (examination.state, examination.reason) == ("examined", "")
    assert findings_of(npy(header(descr, (3,)), bytes(3 * dtype.itemsize))) == []


@pytest.mark.parametrize("descr", OBJECTS, ids=repr)
def test_types_that_numpy_unpickles(descr: object) -> None:
    assert descr_to_dtype(descr).hasobject
    assert holds_objects(descr)
    assert worst(findings_of(npy(header(descr), EVIL))) == "critical"


@pytest.mark.parametrize(
    "text",
    [
        r"{'descr': '|\x4f', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '|' 'O', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '''|O''', 'fortran_order': False, 'shape': (1,)}  # comment",
        "{'descr': 'f8', 'fortran_order': False, 'shape': (1,), 'descr': 'O'}",
        "{'descr': 'O', 'fortran_order': False, 'shape': (1L,)}",
        "{'descr': 'O', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': 'O', 'fortran_order': False, 'shape': (True,)}",
        "{'descr': 'O', 'fortran_order': False, 'shape': (0x7fffffffffffffffffff,)}",
        "\t {'descr': r'O', 'fortran_order': False, 'shape': ()}",
    ],
)
def test_headers_that_are_spelled_to_hide(text: str) -> None:
    assert worst(findings_of(npy(text, EVIL))) == "critical"


def test_a_pickle_behind_a_type_of_another_numpy() -> None:
    assert worst(findings_of(npy(header("Objekt9"), b"\x80\x02" + EVIL))) == "critical"


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_format(version: tuple[int, int]) -> None:
    array = numpy.zeros((2, 3), dtype=[("a" if version != (3, 0) else "ä", "<u4")])
    data = saved(array, version=version)
    artifact = examine_bytes(data)[-1].facts[0]
    assert isinstance(artifact, Artifact)
    assert artifact.details["version"] == f"{version[0]}.{version[1]}"
    assert artifact.details["shape"] == "(2, 3)"
    assert findings_of(data) == []


def test_honest_objects_are_no_alarm() -> None:
    array = numpy.array([{"a": 1}, "text", 2.5], dtype=object)
    assert worst(findings_of(saved(array), "a.npy")) in ("none", "info", "low")


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (__import__('os').system('id'),)}",
        "{'descr': '<f8', 'fortran_order': False}",
        "['descr']",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1.5,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-3,)}",
        "(" * 5000,
        "-" * 50000 + "1",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (" + "9" * 9000 + ",)}",
        "{'descr': " + "[('a'," * 90 + "'f8'" + ")]" * 90 + ", 'fortran_order': False, 'shape': (1,)}",
        "",
    ],
)
def test_headers_that_are_no_plain_description(text: str) -> None:
    examination = examine_bytes(npy(text, bytes(8), (2, 0)))[-1]
    assert examination.state in ("partial", "not-understood")


def test_a_header_that_promises_terabytes() -> None:
    bomb = npy(header("<f8", (1 << 40,)), bytes(64))
    assert {item.rule for item in findings_of(bomb)} >= {"numpy-size-bomb"}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("w.npy", bomb)
    assert {item.rule for item in findings_of(archive.getvalue(), "w.npz")} >= {"numpy-size-bomb"}


def test_a_cut_array_is_damage_and_no_bomb() -> None:
    assert {item.rule for item in findings_of(saved(numpy.zeros(1000))[:-10])} == {"malformed"}


def test_what_stands_behind_the_last_element() -> None:
    found = findings_of(saved(numpy.zeros(3)) + EVIL)
    assert "numpy-trailing-data" in {item.rule for item in found}
    assert worst(found) == "critical"
    assert findings_of(saved(numpy.zeros(3)) + saved(numpy.ones(2))) == []


@pytest.mark.parametrize("data", [saved(numpy.zeros(4, dtype=[("a", "<u4"), ("b", "S3")])), npy(header("O"), EVIL)])
def test_truncation_never_fails(data: bytes) -> None:
    for length in range(len(data)):
        assert all(examination.state != "failed" for examination in examine_bytes(data[:length]))


@given(st.lists(st.tuples(st.integers(6, 120), st.integers(0, 255)), max_size=10))
def test_damage_never_fails(changes: list[tuple[int, int]]) -> None:
    data = bytearray(saved(numpy.zeros((3, 2), dtype=[("a", "<u4"), ("b", "S3", (2,))])))
    for place, value in changes:
        data[place] = value
    assert all(examination.state != "failed" for examination in examine_bytes(bytes(data)))


@example("\x11")
@example("<\x11")
@given(st.text(max_size=12))
def test_no_type_that_numpy_takes_for_objects_is_missed(spec: str) -> None:
    try:
        dtype = numpy.dtype(spec)
    except (TypeError, ValueError, SyntaxError):
        return
    assert holds_objects(spec) == dtype.hasobject
    assert dtype.hasobject or size_of(spec) in (None, dtype.itemsize)


def test_a_pickle_behind_a_header_that_does_not_parse() -> None:
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,)\n"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    assert worst(findings_of(data + b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.", "a.npy")) == "critical"
    assert worst(findings_of(data + bytes(64), "a.npy")) == "low"
