"""Files of labelled inputs: what comes out of good ones, and one line for each way in which a file can be bad."""

import gzip
import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from garrison.core.errors import UsageError
from garrison.robustness.inputs.reading import read

RANDOM = np.random.default_rng(0)
BYTES = RANDOM.integers(0, 256, (12, 5, 4), dtype=np.uint8)
LABELS = np.arange(12) % 3


def idx(array: Any, code: int = 0x08) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape) + array.tobytes()


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("names", [("x", "y"), ("inputs", "labels"), ("images", "targets"), ("X_test", "Y_test")])
def test_an_npz_by_the_names_of_its_arrays(names: tuple[str, str], tmp_path: Path) -> None:
    data = read(npz(tmp_path / "d.npz", **{names[0]: BYTES, names[1]: LABELS}))
    assert data.kind == "image" and isinstance(data.inputs, np.ndarray)
    assert data.inputs.shape == (12, 1, 5, 4) and data.inputs.dtype == np.float32
    np.testing.assert_array_equal(data.inputs[:, 0], BYTES.astype(np.float32) / 255)
    assert data.labels.tolist() == LABELS.tolist() and data.labels.dtype == np.int64
    assert data.name == str(tmp_path / "d.npz") and len(data.sha256) == 64
    assert data.notes == ("values were divided by 255",)


def test_the_test_part_of_an_npz_is_taken(tmp_path: Path) -> None:
    path = npz(tmp_path / "d.npz", x_train=BYTES[:8], y_train=LABELS[:8], x_test=BYTES[8:], y_test=LABELS[8:])
    assert len(read(path)) == 4


@pytest.mark.parametrize(
    ("shape", "channels", "expected"),
    [
        ((6, 3, 5, 6), "auto", (3, 5, 6)),
        ((6, 5, 4, 3), "auto", (3, 5, 4)),
        ((6, 5, 4, 2), "last", (2, 5, 4)),
        ((6, 2, 5, 4), "first", (2, 5, 4)),
        ((6, 3, 5, 1), "last", (1, 3, 5)),
    ],
)
def test_channels_come_first(shape: Any, channels: Any, expected: tuple[int, ...], tmp_path: Path) -> None:
    images = RANDOM.random(shape).astype(np.float32)
    data = read(npz(tmp_path / "d.npz", x=images, y=np.arange(6) % 2), channels=channels)
    assert isinstance(data.inputs, np.ndarray)
    assert data.inputs.shape[1:] == expected
    assert sorted(data.inputs.ravel()) == sorted(images.ravel())


def test_an_npy_with_its_labels_in_another(tmp_path: Path) -> None:
    table = RANDOM.normal(size=(12, 4))
    np.save(tmp_path / "x.npy", np.asfortranarray(table))
    np.save(tmp_path / "y.npy", LABELS)
    data = read(tmp_path / "x.npy", labels=tmp_path / "y.npy")
    assert data.kind == "table"
    np.testing.assert_array_equal(data.inputs, table.astype(np.float32))


LABEL_FORMS: dict[str, tuple[Any, list[int], tuple[str, ...]]] = {
    "texts": (np.array(["cat", "dog", "cat", "ant"]), [1, 2, 1, 0], ("ant", "cat", "dog")),
    "texts of numbers": (np.array(["0", "2", "1", "1"]), [0, 2, 1, 1], ()),
    "booleans": (np.array([True, False, True, True]), [1, 0, 1, 1], ("False", "True")),
    "floats": (np.array([0.0, 1.0, 2.0, 1.0]), [0, 1, 2, 1], ()),
    "signs": (np.array([-1, 1, 1, -1]), [0, 1, 1, 0], ("-1", "1")),
    "a column": (np.array([[0], [1], [1], [0]]), [0, 1, 1, 0], ()),
    "one-hot": (np.eye(3)[[2, 0, 1, 1]], [2, 0, 1, 1], ()),
    "unicode": (np.array(["日本", "été", "été", "日本"]), [1, 0, 0, 1], ("été", "日本")),
}


@pytest.mark.parametrize("form", LABEL_FORMS)
def test_labels_become_positions(form: str, tmp_path: Path) -> None:
    given, expected, names = LABEL_FORMS[form]
    data = read(npz(tmp_path / "d.npz", x=np.ones((4, 2)), y=given))
    assert data.labels.tolist() == expected
    assert data.classes == names


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("folder", [False, True])
def test_idx(packed: bool, folder: bool, tmp_path: Path) -> None:
    for part, count in (("train", 3), ("t10k", 12)):
        for what, array in (("images-idx3", BYTES[:count]), ("labels-idx1", LABELS[:count].astype(np.uint8))):
            content = idx(array)
            name = f"{part}-{what}-ubyte" + ".gz" * packed
            (tmp_path / name).write_bytes(gzip.compress(content) if packed else content)
    data = read(tmp_path if folder else tmp_path / f"t10k-images-idx3-ubyte{'.gz' * packed}")
    assert len(data) == 12
    np.testing.assert_array_equal(data.inputs, BYTES[:, None].astype(np.float32) / 255)
    assert data.labels.tolist() == LABELS.tolist()


ADULT = "age;sex;hours;income\n39;Male;40.5;<=50K\n50;Female;13;>50K\n38;Male;40;<=50K\n"


def test_a_csv_with_categories_and_groups(tmp_path: Path) -> None:
    (tmp_path / "ädült.csv").write_text(ADULT, encoding="utf-8-sig")
    data = read(tmp_path / "ädült.csv", label="income", groups=["sex"])
    assert data.kind == "table"
    assert data.features == ("age", "sex", "hours")
    assert np.asarray(data.inputs).tolist() == [[39, 1, 40.5], [50, 0, 13], [38, 1, 40]]
    assert data.categories == {"sex": ("Female", "Male")}
    assert data.classes == ("<=50K", ">50K") and data.labels.tolist() == [0, 1, 0]
    assert data.groups["sex"].tolist() == ["Male", "Female", "Male"]


def test_categories_one_column_each(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(ADULT)
    data = read(tmp_path / "d.csv", label="income", encoding="one-hot", drop=["age"])
    assert data.features == ("sex=Female", "sex=Male", "hours")
    assert np.asarray(data.inputs).tolist() == [[0, 1, 40.5], [1, 0, 13], [0, 1, 40]]


def test_a_csv_without_a_header_by_positions(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("1,2,0\n3,4,1\n")
    data = read(tmp_path / "d.csv", label="2")
    assert data.features == ("0", "1") and data.labels.tolist() == [0, 1]


def test_quoted_cells_and_gzip(tmp_path: Path) -> None:
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress(b'a,kind,label\n1,"x, ""y""\nz",0\n2,w,1\n'))
    data = read(tmp_path / "d.csv.gz")
    assert data.categories == {"kind": ("w", 'x, "y"\nz')}


def test_texts_of_a_csv_and_of_json_lines(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text('label,message\nspam,"win,\u2028now"\nham,hello\n')
    rows = [{"text": "win,\u2028now", "label": "spam", "lang": "en"}, {"text": "hello", "label": "ham", "lang": "de"}]
    (tmp_path / "d.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\r\n\n")
    for data in (read(tmp_path / "d.csv", kind="text"), read(tmp_path / "d.jsonl", groups=["lang"])):
        assert data.kind == "text" and list(data.inputs) == ["win,\u2028now", "hello"]
        assert data.labels.tolist() == [1, 0] and data.classes == ("ham", "spam")
    assert data.groups["lang"].tolist() == ["en", "de"]


def test_parquet_is_the_table_that_was_written(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"age": [39, 50, 38], "sex": ["Male", "Female", "Male"], "label": [0, 1, 0]})
    parquet.write_table(table, tmp_path / "d.parquet")
    data = read(tmp_path / "d.parquet")
    assert np.asarray(data.inputs).tolist() == [[39, 1], [50, 0], [38, 1]]
    assert data.categories == {"sex": ("Female", "Male")}


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_folder_of_images(mode: str, tmp_path: Path) -> None:
    for number, name in enumerate(("dog", "cat", "cat")):
        (tmp_path / name).mkdir(exist_ok=True)
        Image.new(mode, (4, 5), 10 * number if mode == "L" else (10 * number, 0, 255)).save(
            tmp_path / name / f"{number}.png"
        )
    data = read(tmp_path)
    assert isinstance(data.inputs, np.ndarray)
    assert data.classes == ("cat", "dog") and data.labels.tolist() == [0, 0, 1]
    assert data.inputs.shape == (3, 1 if mode == "L" else 3, 5, 4)
    np.testing.assert_allclose(data.inputs[:, 0, 0, 0] * 255, [10, 20, 0])


def test_one_colour_makes_all_coloured(tmp_path: Path) -> None:
    for name, mode in (("a", "L"), ("b", "RGBA")):
        (tmp_path / name).mkdir()
        Image.new(mode, (4, 4)).save(tmp_path / name / "0.png")
    assert np.asarray(read(tmp_path).inputs).shape == (2, 3, 4, 4)


def test_the_digest_is_of_the_bytes(tmp_path: Path) -> None:
    first = read(npz(tmp_path / "a.npz", x=np.ones((4, 2)), y=[0, 1, 0, 1])).sha256
    assert read(npz(tmp_path / "b.npz", x=np.ones((4, 2)), y=[0, 1, 0, 1])).sha256 == first
    assert read(npz(tmp_path / "c.npz", x=np.ones((4, 2)), y=[0, 1, 1, 1])).sha256 != first


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "d.data")
    with pytest.raises(UsageError, match="not a regular file"):
        read(tmp_path / "d.data")


class Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_arrays_of_objects_are_never_unpickled(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    hostile = np.array([Touch(canary), None], dtype=object)
    npz(tmp_path / "d.npz", x=hostile, y=[0, 1])
    np.save(tmp_path / "d.npy", hostile)
    np.save(tmp_path / "y.npy", [0, 1])
    for name, labels in (("d.npz", None), ("d.npy", tmp_path / "y.npy")):
        with pytest.raises(UsageError, match="Python objects"):
            read(tmp_path / name, labels=labels)
    (tmp_path / "p.npy").write_bytes(pickle.dumps(Touch(canary)))
    with pytest.raises(UsageError):
        read(tmp_path / "p.npy", labels=tmp_path / "y.npy")
    assert not canary.exists()


def _npy(shape: tuple[int, ...], content: bytes = b"") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue() + content


def _zip(path: Path, **members: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)


def _png(path: Path, size: tuple[int, int], content: bytes | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        Image.new("L", size).save(path)
    else:
        path.write_bytes(content)


def _png_header(width: int, height: int) -> bytes:
    """A file that says it is large and has nothing."""
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def _images(path: Path, *contents: Any) -> None:
    for number, content in enumerate(contents):
        size = content if isinstance(content, tuple) else (0, 0)
        _png(path / str(number) / "0.png", size, content if isinstance(content, bytes) else None)


def _two(path: Path, labels: Any = (0, 1, 0, 1), **arrays: Any) -> None:
    np.savez(path, **({"x": np.ones((4, 2)), "y": np.array(labels)} | arrays))


GOOD = np.ones((4, 2))
BAD: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "missing": ("d.npz", lambda path: None, "no such file"),
    "an unknown kind": ("d.xyz", lambda path: path.write_bytes(b"hello"), "not of a kind"),
    "an empty npz": ("d.npz", lambda path: path.write_bytes(b""), "zip"),
    "no inputs": ("d.npz", lambda path: np.savez(path, a=GOOD), "no array of inputs among a"),
    "no labels": ("d.npz", lambda path: np.savez(path, x=GOOD), "no array of labels among x"),
    "lengths": ("d.npz", lambda path: _two(path, [0, 1, 0]), "4 inputs and 3 labels"),
    "NaN": ("d.npz", lambda path: _two(path, x=[[1, 2], [3, np.nan], [1, 1], [1, 1]]), "the first is input 1"),
    "infinite": ("d.npz", lambda path: _two(path, x=[[1, 2], [3, 4], [1e300, 1], [1, 1]]), "the first is input 2"),
    "NaN labels": ("d.npz", lambda path: _two(path, [0, 1, np.nan, 0]), "label 2 is not a number"),
    "labels with a point": ("d.npz", lambda path: _two(path, [0.5, 1, 2, 0]), "no classes"),
    "negative labels": ("d.npz", lambda path: _two(path, [0, -3, 2, 0]), "a label of -3"),
    "huge labels": ("d.npz", lambda path: _two(path, [0, 1 << 40, 2, 0]), "no classes"),
    "one class": ("d.npz", lambda path: _two(path, [1, 1, 1, 1]), "one class"),
    "several labels": ("d.npz", lambda path: _two(path, np.ones((4, 3), int)), "not one class for each"),
    "empty": ("d.npz", lambda path: _two(path, np.zeros(0, int), x=np.ones((0, 2))), "nothing to attack"),
    "no axes": ("d.npz", lambda path: _two(path, x=np.ones(4)), "nothing to attack"),
    "five axes": ("d.npz", lambda path: _two(path, x=np.ones((4, 1, 2, 2, 2))), "no images"),
    "ambiguous channels": ("d.npz", lambda path: _two(path, x=np.ones((4, 3, 2, 1))), "--channels"),
    "texts for numbers": (
        "d.npz",
        lambda path: _two(path, x=np.array([["a"], ["b"], ["c"], ["d"]])),
        "numbers are meant",
    ),
    "complex": ("d.npz", lambda path: _two(path, x=np.ones((4, 2), complex)), "neither numbers nor texts"),
    "a lying header": (
        "d.npz",
        lambda path: _zip(path, x=_npy((1 << 20, 1 << 8)), y=_npy((4,), b"\0" * 16)),
        "it says 1,073,741,824 bytes",
    ),
    "a header of exabytes": ("d.npz", lambda path: _zip(path, x=_npy((1 << 40, 1 << 20)), y=b""), "more than"),
    "a broken header": (
        "d.npz",
        lambda path: _zip(path, x=b"\x93NUMPY\x01\x00\x10\x00garbage-------\n", y=b""),
        "x.npy",
    ),
    "an open bracket": (
        "d.npz",
        lambda path: _zip(path, x=_npy((4, 2)).replace(b"}", b"["), y=b""),
        "its header cannot be read",
    ),
    "a negative size": (
        "d.npz",
        lambda path: _zip(path, x=_npy((4, 2)).replace(b"(4, 2)", b"(4,-2)"), y=b""),
        "a shape of",
    ),
    "a short array": ("d.npz", lambda path: _zip(path, x=_npy((4, 2), b"\0" * 9), y=b""), "ends too early"),
    "no header": ("d.npz", lambda path: _zip(path, x=b"", y=b""), "x.npy"),
    "npy without labels": ("d.npy", lambda path: np.save(path, GOOD), "--labels"),
    "IDX without labels": ("a-images-idx3-ubyte", lambda path: path.write_bytes(idx(BYTES)), "--labels"),
    "short IDX": (
        "images.idx3",
        lambda path: (path.write_bytes(idx(BYTES)[:-1]), (path.parent / "labels.idx1").write_bytes(idx(LABELS))),
        "it says 12×5×4",
    ),
    "no IDX": (
        "images.idx3",
        lambda path: (path.write_bytes(b"hello"), (path.parent / "labels.idx1").write_bytes(b"")),
        "not IDX",
    ),
    "broken gzip": (
        "images.idx3.gz",
        lambda path: (path.write_bytes(b"\x1f\x8bhello"), (path.parent / "labels.idx1").write_bytes(b"")),
        "images.idx3.gz: ",
    ),
    "an empty CSV": ("d.csv", lambda path: path.write_text(""), "empty"),
    "only a header": ("d.csv", lambda path: path.write_text("a,label\n"), "no rows"),
    "ragged": ("d.csv", lambda path: path.write_text("a,label\n1,0\n2\n"), "line 3 has 1 columns, and the first 2"),
    "no label column": ("d.csv", lambda path: path.write_text("a,b\n1,0\n2,1\n"), "which of 'a', 'b' has the labels"),
    "only labels": ("d.csv", lambda path: path.write_text("label\n0\n1\n"), "no column but the labels"),
    "two of a name": ("d.csv", lambda path: path.write_text("a,a,label\n1,2,0\n1,2,1\n"), "two columns are called 'a'"),
    "an empty number": ("d.csv", lambda path: path.write_text("a,label\n,0\n2,1\n"), "1 empty cells"),
    "NaN in a CSV": ("d.csv", lambda path: path.write_text("a,label\nnan,0\n2,1\n"), "column 'a' has 1 values"),
    "an open quote": ("d.csv", lambda path: path.write_text('a,label\n"1,0\n2,1\n'), "unexpected end"),
    "not UTF-8": ("d.csv", lambda path: path.write_bytes(b"a,label\n\xff,0\n2,1\n"), "not UTF-8 at byte 8"),
    "zero bytes": ("d.csv", lambda path: path.write_bytes(b"a,label\n\0,0\n2,1\n"), "zero bytes"),
    "a huge cell": ("d.csv", lambda path: path.write_text(f"a,label\n{'1' * 200_000},0\n"), "field limit"),
    "no JSON": ("d.jsonl", lambda path: path.write_text('{"text": "a", "label": 0}\nhello\n'), "line 2 is no JSON"),
    "deep JSON": ("d.jsonl", lambda path: path.write_text("[" * 100_000), "line 1 is no JSON"),
    "a missing key": (
        "d.jsonl",
        lambda path: path.write_text('{"text": "a", "label": 0}\n{"text": "b"}\n'),
        "line 2 has no 'label'",
    ),
    "no text": ("d.jsonl", lambda path: path.write_text('{"text": 1, "label": 0}\n'), "'text' is a text"),
    "an empty folder": ("d", lambda path: path.mkdir(), "no images of the form"),
    "sizes of images": ("d", lambda path: _images(path, (4, 4), (4, 5)), "an image of 4×5"),
    "a broken image": ("d", lambda path: _images(path, (4, 4), b"hello"), "cannot identify"),
    "a bomb of an image": ("d", lambda path: _images(path, _png_header(60_000, 60_000), (4, 4)), "60000|decompression"),
    "an image of nothing": ("d", lambda path: _images(path, _png_header(64, 64), (64, 64)), "0.png: "),
    "one class of images": ("d", lambda path: _images(path, (4, 4)), "one class"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_used_is_said_in_one_line(case: str, tmp_path: Path) -> None:
    name, make, message = BAD[case]
    make(tmp_path / name)
    with pytest.raises(UsageError, match=message) as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)
