"""A stored detector: read without torch, refused when torn, altered or hostile, written whole or not at all."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from garrison.core.errors import UsageError
from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data
from garrison.robustness.detection.detector import Detector
from garrison.robustness.detection.energy import Energy
from garrison.robustness.detection.stored import StoredDetector
from garrison.robustness.detection.storing import Origin, store

ORIGIN = Origin("digits", "digits", "a" * 64)


@pytest.fixture
def detector(digits_classifier: Classifier, fitting: Data) -> Detector:
    found = Energy().fit(digits_classifier, fitting)
    found.calibrate(fitting.inputs[:200], 0.05)
    return found


@pytest.fixture
def directory(detector: Detector, fitting: Data, tmp_path: Path) -> Path:
    store(detector, str(tmp_path / "d"), fitting.inputs[:10], ORIGIN)
    return tmp_path / "d"


def altered(directory: Path, change: Callable[[dict[str, object]], None], name: str = "", data: bytes = b"") -> Path:
    """With another manifest, and another file whose hash it names."""
    manifest = json.loads((directory / "detector.json").read_text())
    if name:
        (directory / name).write_bytes(data)
        manifest["files"][name] = hashlib.sha256(data).hexdigest()
    change(manifest)
    (directory / "detector.json").write_text(json.dumps(manifest))
    return directory


def graph(*nodes: onnx.NodeProto, initializers: tuple[TensorProto, ...] = (), functions: bool = False) -> bytes:
    inputs = helper.make_tensor_value_info("inputs", TensorProto.FLOAT, ["n", 1, 8, 8])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n"])
    model = helper.make_model(
        helper.make_graph(list(nodes), "g", [inputs], [scores], list(initializers)),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    if functions:
        model.functions.append(helper.make_function("mine", "f", ["a"], ["a"], [], [helper.make_opsetid("", 17)]))
    return model.SerializeToString()


def test_it_runs_without_torch(directory: Path) -> None:
    program = (
        "import sys, numpy as np\n"
        "from garrison.robustness.detection.stored import StoredDetector\n"
        f"found = StoredDetector.load({str(directory)!r})\n"
        "found.flags(np.zeros((3, 1, 8, 8))), found.p_values(np.zeros((3, 1, 8, 8)))\n"
        "assert not {'torch', 'scipy', 'sklearn', 'onnx', 'pickle5'} & set(sys.modules), sorted(sys.modules)\n"
    )
    subprocess.run(
        [sys.executable, "-W", "error", "-c", program], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def test_the_card_says_what_it_is(directory: Path) -> None:
    card = StoredDetector.load(directory).card
    assert (card.kind, card.model, card.model_sha256, card.shape) == ("energy", "digits", "a" * 64, (1, 8, 8))
    assert card.calibration.count == 200
    assert card.cost is not None and card.cost.machine
    assert sorted(path.name for path in directory.iterdir()) == ["benign.safetensors", "detector.json", "detector.onnx"]


@pytest.mark.parametrize("name", ["detector.json", "detector.onnx", "benign.safetensors"])
def test_a_torn_or_altered_file_is_refused(directory: Path, name: str) -> None:
    whole = (directory / name).read_bytes()
    for data in (b"", whole[: len(whole) // 2], whole[:-2], bytes([whole[0] ^ 1]) + whole[1:]):
        (directory / name).write_bytes(data)
        with pytest.raises(UsageError, match=name.replace(".", r"\.")):
            StoredDetector.load(directory)
    (directory / name).unlink()
    with pytest.raises(UsageError, match="No such file"):
        StoredDetector.load(directory)


def test_what_is_no_file_is_not_waited_for(directory: Path) -> None:
    (directory / "detector.onnx").unlink()
    os.mkfifo(directory / "detector.onnx")
    with pytest.raises(UsageError, match="not a regular file"):
        StoredDetector.load(directory)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m.update(version="2.0"), "version"),
        (lambda m: m.update(format="pickle"), "format"),
        (lambda m: m.update(kind="../x"), "kind"),
        (lambda m: m.update(extra=1), "extra"),
        (lambda m: m["files"].update({"../../etc/passwd": "0" * 64}), "names"),
        (lambda m: m["files"].pop("detector.onnx"), "names"),
        (lambda m: m["calibration"].update(count=199), "199 benign scores"),
        (lambda m: m["calibration"].update(threshold="high"), "threshold"),
        (lambda m: m.update(shape=[0]), "shape"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    directory: Path, change: Callable[[dict[str, object]], None], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        StoredDetector.load(altered(directory, change))


def _external() -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="secret.bin")
    return tensor


SUM = helper.make_node("ReduceSum", ["inputs", "axes"], ["scores"], keepdims=0)
AXES = helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3])
BRANCH = helper.make_graph([], "b", [], [])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (graph(SUM, helper.make_node("Loop", ["inputs"], ["x"], body=BRANCH), initializers=(AXES,)), "'Loop'"),
        (
            graph(SUM, helper.make_node("Identity", ["inputs"], ["x"], body=BRANCH), initializers=(AXES,)),
            "graphs within",
        ),
        (graph(SUM, helper.make_node("Neg", ["inputs"], ["x"], domain="evil"), initializers=(AXES,)), "domain 'evil'"),
        (graph(SUM, initializers=(AXES, _external())), "another file"),
        (graph(SUM, helper.make_node("Constant", [], ["x"], value=_external()), initializers=(AXES,)), "another file"),
        (graph(SUM, initializers=(AXES,), functions=True), "functions"),
        (graph(helper.make_node("RandomNormalLike", ["inputs"], ["scores"])), "RandomNormalLike"),
        (graph(helper.make_node("Neg", ["other"], ["scores"])), "ONNX Runtime does not take it"),
        (graph(), "no ONNX graph"),
        (b"\x80\x04\x95garrison", "no ONNX graph"),
        (b"\xff" * 64, "no ONNX graph"),
    ],
)
def test_a_graph_that_does_more_than_compute_is_refused_though_its_hash_fits(
    directory: Path, data: bytes, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        StoredDetector.load(altered(directory, lambda _: None, "detector.onnx", data))


def test_a_graph_that_answers_in_another_shape_is_not_believed(directory: Path) -> None:
    data = graph(helper.make_node("ReduceSum", ["inputs", "axes"], ["scores"], keepdims=0),
                 initializers=(helper.make_tensor("axes", TensorProto.INT64, [4], [0, 1, 2, 3]),))  # fmt: skip
    stored = StoredDetector.load(altered(directory, lambda _: None, "detector.onnx", data))
    with pytest.raises(UsageError, match="gives"):
        stored.scores(np.zeros((3, 1, 8, 8)))


@pytest.mark.parametrize("data", [b"", b"\xff" * 40, b"\x10\0\0\0\0\0\0\0" + b'{"scores":[]}   '])
def test_scores_that_are_no_safetensors_are_refused(directory: Path, data: bytes) -> None:
    with pytest.raises(UsageError, match="safetensors"):
        StoredDetector.load(altered(directory, lambda _: None, "benign.safetensors", data))


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (np.zeros((3, 1, 8, 9)), "shape"),
        (np.zeros((1, 8, 8)), "shape"),
        (np.float32(0), "shape"),
        (np.zeros((2, 1, 8, 8), complex), "type complex128"),
        (np.full((2, 1, 8, 8), "a"), "numbers"),
        (np.full((2, 1, 8, 8), None), "numbers"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(directory: Path, inputs: np.ndarray, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        StoredDetector.load(directory).flags(inputs)


def test_inputs_that_are_not_finite_are_flagged(directory: Path, fitting: Data) -> None:
    stored = StoredDetector.load(directory)
    inputs = fitting.inputs[:4].astype(np.float64)
    inputs[1, 0, 0, 0], inputs[2, 0, 0, 0], inputs[3, 0, 0, 0] = np.nan, -np.inf, 1e300
    assert stored.flags(inputs)[1:].all()
    assert stored.scores(inputs[:0]).shape == (0,)


def test_nothing_half_written_is_left(detector: Detector, directory: Path, fitting: Data, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is there already"):
        store(detector, str(directory), fitting.inputs[:10], ORIGIN)
    with pytest.raises(UsageError, match="cannot be written"):
        store(detector, str(tmp_path / "no" / "d"), fitting.inputs[:10], ORIGIN)
    (tmp_path / "other").mkdir()
    with pytest.raises(UsageError, match="is no detector"):
        store(detector, str(tmp_path / "other"), fitting.inputs[:10], ORIGIN, replace=True)
    store(detector, str(directory), fitting.inputs[:10], Origin("newer", "d"), replace=True)
    assert StoredDetector.load(directory).card.model == "newer"
    detector.calibration = None
    with pytest.raises(UsageError, match="not calibrated"):
        store(detector, str(tmp_path / "e"), fitting.inputs[:10], ORIGIN)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "other"]
