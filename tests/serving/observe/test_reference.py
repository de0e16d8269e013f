"""A reference is what it was made as, and nothing that was made to look like one is loaded."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from garrison.core.errors import UsageError
from garrison.serving.observe.reference.columns import Layout, blocks_of
from garrison.serving.observe.reference.decisions import decisions, scores_of
from garrison.serving.observe.reference.reference import build, load
from tests.serving.observe.world import natural, tensor


def test_it_says_what_it_was_made_of(directory: Path) -> None:
    found = load(str(directory))
    assert found.manifest.inputs.fitted_with == 2000 and found.manifest.inputs.calibrated_with == 1000
    assert sum(found.manifest.classes) == 3000
    assert found.manifest.performance is not None and found.manifest.performance.accuracy == pytest.approx(
        0.9, abs=0.03
    )
    assert set(found.manifest.performance.groups["kind"]) == {"few", "many"}
    assert found.queries is not None and found.queries.size == 8
    assert (directory.stat().st_mode & 0o777) == 0o700


def test_too_few_rows_are_refused_and_short_memories_are_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="299 rows; a reference takes 300"):
        build(str(tmp_path / "r"), "m", [tensor("x", natural(299, 0))])
    built = build(str(tmp_path / "r"), "m", [tensor("x", natural(300, 0))], simulated=1000)
    assert max(one.memory for one in built.manifest.inputs.charts) == 50
    with pytest.raises(UsageError, match="cannot be written"):
        build(str(tmp_path / "r"), "m", [tensor("x", natural(300, 0))], simulated=1000)


def _manifest(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def altered(directory: Path) -> None:
        path = directory / "reference.json"
        found = json.loads(path.read_bytes())
        change(found)
        path.write_text(json.dumps(found))

    return altered


def _arrays(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """With the hash that fits: whoever alters a file may alter that, too."""

    def altered(directory: Path) -> None:
        path = directory / "reference.safetensors"
        arrays = safetensors.numpy.load(path.read_bytes())
        change(arrays)
        data = safetensors.numpy.save(arrays)
        path.write_bytes(data)
        _manifest(lambda one: one["files"].update({path.name: hashlib.sha256(data).hexdigest()}))(directory)

    return altered


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "torn": (lambda path: (path / "reference.json").write_bytes(b'{"format": "garrison-ref'), "no reference"),
    "deep": (lambda path: (path / "reference.json").write_bytes(b"[" * 100_000), "no reference"),
    "newer": (_manifest(lambda one: one.update(version="2.0")), "no reference"),
    "unknown field": (_manifest(lambda one: one.update(code="import os")), "no reference"),
    "other file": (_manifest(lambda one: one["files"].update({"../x": "0" * 64})), "names"),
    "no columns": (_manifest(lambda one: one["inputs"].update(blocks=[])), "no reference"),
    "fewer columns": (_manifest(lambda one: one["inputs"]["blocks"][0]["columns"].pop()), "is not float32 of"),
    "infinite limit": (_manifest(lambda one: one["inputs"]["charts"][0].update(limit=-1)), "no reference"),
    "altered": (lambda path: (path / "reference.safetensors").write_bytes(b"x" * 100), "altered or torn"),
    "missing": (lambda path: (path / "queries.json").unlink(), "No such file"),
    "other array": (_arrays(lambda one: one.update(more=np.zeros(3, np.float32))), "other arrays"),
    "not finite": (_arrays(lambda one: one["inputs.means"].fill(np.nan)), "not finite"),
    "scale of zero": (_arrays(lambda one: one["inputs.scales"].fill(0)), "scales that are none"),
    "other type": (_arrays(lambda one: one.update({"inputs.rest": np.zeros(2)})), "is not float32"),
    "no covariance": (_arrays(lambda one: one["inputs.covariance"].fill(-1e30)), "covariance"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_none_is_not_loaded(directory: Path, tmp_path: Path, name: str) -> None:
    alter, said = HOSTILE[name]
    copy = tmp_path / "copy"
    shutil.copytree(directory, copy)
    alter(copy)
    with pytest.raises(UsageError, match=said):
        load(str(copy))


def test_a_monitor_that_is_none_is_not_loaded(directory: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(directory, copy)
    settings = json.loads((copy / "queries.json").read_bytes())
    settings["references"] = "AAAA"
    data = json.dumps(settings).encode()
    (copy / "queries.json").write_bytes(data)
    _manifest(lambda one: one["files"].update({"queries.json": hashlib.sha256(data).hexdigest()}))(copy)
    with pytest.raises(UsageError, match="no settings of a monitor"):
        load(str(copy))


def test_rows_of_mixed_tensors_become_one_matrix() -> None:
    colours = np.array([b"red", b"blue", b"red", b"green"] * 10, dtype=object)
    texts = np.array([b"x" * number for number in range(40)], dtype=object)
    numbers = np.arange(80, dtype=np.float64).reshape(40, 2)
    codes = np.array([3, 5, 3, 3] * 10)
    tensors = [tensor("colour", colours), tensor("text", texts), tensor("n", numbers), tensor("code", codes)]
    layout = Layout(blocks_of(tensors, frozenset({"code"})))
    assert [one.kind for one in layout.columns] == ["category", "length", "number", "number", "category"]
    found = layout.matrix(list(reversed(tensors)))
    assert found is not None
    matrix, count = found
    assert count == 40 and matrix[1].tolist() == pytest.approx([0, np.log1p(1), 2, 3, 1])
    colours[0], codes[1] = b"violet", 9
    found = layout.matrix(tensors, most=14)
    assert found is not None
    matrix, count = found
    assert (len(matrix), count) == (14, 40)  # every third one
    assert matrix[0, 0] == -1 and matrix[:, 2].tolist() == [6.0 * number for number in range(14)]


@pytest.mark.parametrize(
    "tensors",
    [
        [], [tensor("y", np.zeros((2, 3)))] * 2, [tensor("x", np.zeros((2, 4)))],
        [tensor("x", np.array([b"a", b"b", b"c"], dtype=object))],
    ],
)  # fmt: skip
def test_tensors_of_another_kind_have_no_rows(tensors: list[Any]) -> None:
    assert Layout(blocks_of([tensor("x", np.zeros((5, 3)))])).matrix(tensors) is None


def test_a_single_row_may_come_without_its_axis() -> None:
    layout = Layout(blocks_of([tensor("x", np.zeros((5, 3)))]))
    found = layout.matrix([tensor("other name", np.arange(3))])
    assert found is not None and found[0].tolist() == [[0, 1, 2]]


def test_decisions_are_read_off_outputs() -> None:
    scores, labels = tensor("s", np.array([[0.1, 0.9], [0.8, 0.2]])), tensor("l", np.array([[2], [0]]))
    assert scores_of([labels, scores], "") is scores
    assert scores_of([labels, scores], "l") is labels
    assert scores_of([labels, tensor("m", np.zeros(2, int))], "") is None
    told = [decisions(one) for one in (scores, labels, tensor("p", np.array([0.2, 0.7])))]
    assert [one.tolist() for one in told if one is not None] == [[1, 0], [2, 0], [0, 1]]
    for bad in (np.array([-1]), np.array([1 << 40]), np.array([1.5]), np.array([b"a"], dtype=object), np.zeros((0, 2))):
        assert decisions(tensor("b", bad)) is None
