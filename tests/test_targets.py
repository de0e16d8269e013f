"""`open_model`: files of each framework, loaded after the scan, become classifiers that decide as the original does."""

import hashlib
import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import garrison
from garrison.core.errors import UsageError
from garrison.robustness.data import Data
from garrison.robustness.inputs.checking import check
from garrison.targets import open_model, open_text_model

X, Y = load_breast_cancer(return_X_y=True)
X = X.astype(np.float32)
DATA = Data(X, Y.astype(np.int64), "table")


def net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(30, 8), nn.ReLU(), nn.Linear(8, 2)).eval()


def _saved_module(path: Path) -> Any:
    torch.save(net(), path)
    return net()(torch.from_numpy(X)).argmax(1).numpy()


def _scripted(path: Path) -> Any:
    torch.jit.save(torch.jit.trace(net(), torch.from_numpy(X[:2])), path)
    return net()(torch.from_numpy(X)).argmax(1).numpy()


def _exported(path: Path) -> Any:
    shapes = ({0: torch.export.Dim("n")},)
    torch.export.save(torch.export.export(net(), (torch.from_numpy(X[:3]),), dynamic_shapes=shapes), path)
    return net()(torch.from_numpy(X)).argmax(1).numpy()


def _pickled(path: Path) -> Any:
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    path.write_bytes(pickle.dumps(estimator))
    return estimator.predict(X)


def _dumped(path: Path) -> Any:
    estimator = RandomForestClassifier(5, random_state=0).fit(X, Y)
    joblib.dump(estimator, path)
    return estimator.predict(X)


def _skops(path: Path) -> Any:
    skops = pytest.importorskip("skops.io")
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    skops.dump(estimator, path)
    return estimator.predict(X)


def _xgboost(path: Path) -> Any:
    xgboost = pytest.importorskip("xgboost")
    model = xgboost.XGBClassifier(n_estimators=4, max_depth=2).fit(X, Y)
    model.save_model(path)
    return model.predict(X)


def _lightgbm(path: Path) -> Any:
    lightgbm = pytest.importorskip("lightgbm")
    model = lightgbm.LGBMClassifier(n_estimators=4, verbose=-1).fit(X, Y)
    model.booster_.save_model(path)
    return (model.booster_.predict(X) > 0.5).astype(int)


FILES: dict[str, tuple[Any, str, bool]] = {
    "whole.pt": (_saved_module, "pytorch-zip", True),
    "script.pt": (_scripted, "pytorch-zip", True),
    "program.pt2": (_exported, "torch-export", True),
    "pipeline.pkl": (_pickled, "pickle", True),
    "forest.joblib": (_dumped, "joblib", False),
    "pipeline.skops": (_skops, "skops", True),
    "trees.json": (_xgboost, "xgboost-json", False),
    "trees.ubj": (_xgboost, "xgboost-ubjson", False),
    "trees.txt": (_lightgbm, "lightgbm", False),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("name", FILES)
def test_a_file_becomes_a_classifier(name: str, tmp_path: Path) -> None:
    save, format, differentiable = FILES[name]
    expected = save(tmp_path / name)
    opened = open_model(tmp_path / name, data=DATA, device="cpu")
    assert opened.format == format
    assert opened.classifier.differentiable == differentiable
    assert opened.classifier.classes == 2
    assert opened.classifier.name == name
    assert (opened.classifier.labels(torch.from_numpy(X)).numpy() == expected).all()
    assert opened.sha256 == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()


def test_bounds_of_a_table_are_those_of_its_columns(tmp_path: Path) -> None:
    _pickled(tmp_path / "m.pkl")
    made = open_model(tmp_path / "m.pkl", data=DATA, device="cpu").classifier
    assert torch.equal(made.clip(torch.full((1, 30), 1e9))[0], torch.from_numpy(X.max(0)))
    assert torch.equal(made.clip(torch.full((1, 30), -1e9))[0], torch.from_numpy(X.min(0)))
    assert check(made, DATA) == ()
    made = open_model(tmp_path / "m.pkl", data=DATA, device="cpu", low=-1.0, high=5000).classifier
    assert made.low == -1 and made.high == 5000


class Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["model.pkl", "model.pt", "model.joblib"])
def test_what_the_scan_refuses_is_not_loaded(name: str, tmp_path: Path) -> None:
    canary, path = tmp_path / "canary", tmp_path / name
    {"model.pt": torch.save, "model.joblib": joblib.dump}.get(name, lambda v, p: p.write_bytes(pickle.dumps(v)))(
        {"a": Touch(canary)}, path
    )
    with pytest.raises(garrison.LoadRefused, match="import"):
        open_model(path, data=DATA)
    assert not canary.exists()


@pytest.fixture
def architectures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own_architectures.py").write_text(
        "from torch import nn\n"
        "def small():\n    return nn.Sequential(nn.Linear(30, 8), nn.ReLU(), nn.Linear(8, 2))\n"
        "def wide():\n    return nn.Sequential(nn.Linear(30, 9), nn.ReLU(), nn.Linear(9, 2))\n"
        "def deep():\n    return nn.Sequential(small(), nn.Linear(2, 2))\n"
        "def broken():\n    raise RuntimeError('no')\n"
        "def number():\n    return 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "own_architectures", raising=False)
    return tmp_path


@pytest.mark.parametrize("form", ["plain", "checkpoint", "parallel", "safetensors"])
def test_weights_with_an_architecture(form: str, architectures: Path) -> None:
    path = architectures / "weights.pt"
    weights = net().state_dict()
    if form == "safetensors":
        from safetensors.torch import save_file

        path = architectures / "weights.safetensors"
        save_file(weights, path)
    else:
        parallel = {f"module.{name}": value for name, value in weights.items()}
        torch.save(
            {"plain": weights, "checkpoint": {"state_dict": weights, "epoch": 3}, "parallel": parallel}[form], path
        )
    opened = open_model(path, data=DATA, architecture="own_architectures:small", device="cpu")
    expected = net()(torch.from_numpy(X)).argmax(1)
    assert torch.equal(opened.classifier.labels(torch.from_numpy(X)), expected)
    assert opened.parameters == 30 * 8 + 8 + 8 * 2 + 2


BAD_ARCHITECTURES = {
    "own_architectures:wide": "does not fit the weights: size mismatch",
    "own_architectures:deep": "are missing from the file",
    "own_architectures:broken": "RuntimeError: no",
    "own_architectures:number": "makes a int",
    "own_architectures:none": "AttributeError",
    "no_such_module:f": "ModuleNotFoundError",
    "small": "package.module:function",
}


@pytest.mark.parametrize("architecture", BAD_ARCHITECTURES)
def test_an_architecture_that_does_not_fit_is_said_in_one_line(architecture: str, architectures: Path) -> None:
    torch.save(net().state_dict(), architectures / "weights.pt")
    with pytest.raises(UsageError, match=BAD_ARCHITECTURES[architecture]) as caught:
        open_model(architectures / "weights.pt", data=DATA, architecture=architecture)
    assert "\n" not in str(caught.value)


def test_weights_alone_ask_for_an_architecture(tmp_path: Path) -> None:
    torch.save(net().state_dict(), tmp_path / "weights.pt")
    with pytest.raises(UsageError, match="--architecture"):
        open_model(tmp_path / "weights.pt", data=DATA)


def test_a_device_that_is_none(tmp_path: Path) -> None:
    torch.save(net(), tmp_path / "m.pt")
    with pytest.raises(UsageError, match="no device"):
        open_model(tmp_path / "m.pt", data=DATA, device="toaster")


def _rewritten(path: Path, **changes: Callable[[bytes], bytes]) -> None:
    """The archive with members changed, by the last part of their names."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            last = name.rpartition("/")[2].partition(".")[0]
            archive.writestr(name, changes.get(last, bytes)(content))


def test_a_program_is_loaded_from_an_archive_that_was_written_anew(tmp_path: Path) -> None:
    """So that what follows is refused for what it says, and not for how it was written."""
    _exported(tmp_path / "program.pt2")
    _rewritten(tmp_path / "program.pt2")
    assert isinstance(garrison.load(tmp_path / "program.pt2"), torch.export.ExportedProgram)


UNPICKLED: dict[str, tuple[dict[str, Callable[[bytes], bytes]], str]] = {
    "a pickled weight": (
        {"model_weights_config": lambda text: text.replace(b'"use_pickle": false', b'"use_pickle": true', 1)},
        "would unpickle '0.weight'",
    ),
    "an object": (
        {"model_weights_config": lambda text: text.replace(b'"weight_1"', b'"opaque_obj_1"')},
        "would unpickle",
    ),
    "a weight that is elsewhere": (
        {"model_weights_config": lambda text: text.replace(b'"weight_1"', b'"../../x"')},
        "would unpickle",
    ),
    "a size without bytes": ({"weight_0": lambda _: b""}, "has a size and no bytes"),
}


@pytest.mark.parametrize("case", UNPICKLED)
def test_a_program_that_would_unpickle_is_refused(case: str, tmp_path: Path) -> None:
    changes, message = UNPICKLED[case]
    _exported(tmp_path / "program.pt2")
    _rewritten(tmp_path / "program.pt2", **changes)
    with pytest.raises(garrison.LoadRefused, match=message):
        garrison.load(tmp_path / "program.pt2")


def test_a_program_whose_samples_are_objects_is_refused(tmp_path: Path) -> None:
    canary, hostile = tmp_path / "canary", io.BytesIO()
    torch.save(Touch(canary), hostile)
    path = tmp_path / "program.pt2"
    _exported(path)
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, hostile.getvalue() if name.endswith("sample_inputs/model.pt") else content)
    with pytest.raises(garrison.LoadRefused):
        garrison.load(path)
    assert not canary.exists()


def test_a_program_with_a_record_that_is_none_of_its_own_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "program.pt2"
    _exported(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("program/data/constants/opaque_obj_0", b"x")
    with pytest.raises(garrison.LoadRefused, match="opaque_obj_0"):
        garrison.load(path)


def _onnx(path: Path, *, external: bool) -> Any:
    onnx = pytest.importorskip("onnx")
    weights = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[n,30] x) => (float[n,2] y) { y = MatMul(x, w) }'
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    onnx.save_model(model, path, save_as_external_data=external, location="weights.bin", size_threshold=0)
    return (X @ weights).argmax(1)


def test_an_onnx_file(tmp_path: Path) -> None:
    expected = _onnx(tmp_path / "model.onnx", external=False)
    opened = open_model(tmp_path / "model.onnx", data=DATA, device="cpu")
    assert opened.format == "onnx" and opened.classifier.differentiable
    assert (opened.classifier.labels(torch.from_numpy(X)).numpy() == expected).all()


def test_an_onnx_model_with_its_tensors_beside_it_is_a_directory(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    expected = _onnx(tmp_path / "net" / "model.onnx", external=True)
    with pytest.raises(garrison.LoadRefused, match=r"weights\.bin"):
        open_model(tmp_path / "net" / "model.onnx", data=DATA)
    opened = open_model(tmp_path / "net", data=DATA, device="cpu")
    assert opened.classifier.differentiable
    assert (opened.classifier.labels(torch.from_numpy(X)).numpy() == expected).all()


def test_an_onnx_model_whose_tensors_lie_outside_is_refused(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    (tmp_path / "net").mkdir()
    _onnx(tmp_path / "net" / "model.onnx", external=True)
    (tmp_path / "net" / "weights.bin").rename(tmp_path / "weights.bin")
    model = onnx.load_model(tmp_path / "net" / "model.onnx", load_external_data=False)
    next(
        entry for entry in model.graph.initializer[0].external_data if entry.key == "location"
    ).value = "../weights.bin"
    (tmp_path / "net" / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(garrison.LoadRefused):
        open_model(tmp_path / "net", data=DATA)


def test_a_damaged_model_is_said_in_one_line(tmp_path: Path) -> None:
    xgboost = pytest.importorskip("xgboost")
    xgboost.XGBClassifier(n_estimators=1).fit(X, Y).save_model(tmp_path / "m.json")
    text = (tmp_path / "m.json").read_text()
    (tmp_path / "m.json").write_text(text.replace('"split_indices"', '"split_nothing"'))
    with pytest.raises((UsageError, garrison.LoadRefused)) as caught:
        open_model(tmp_path / "m.json", data=DATA)
    assert "\n" not in str(caught.value)


def test_a_pipeline_of_texts(tmp_path: Path) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = ["win money", "see you", "free money", "at home"]
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [1, 0, 1, 0])
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(pipeline))
    data = Data(texts, np.array([1, 0, 1, 0]), "text")
    opened = open_text_model(tmp_path / "m.pkl", data=data)
    assert opened.format == "pickle" and len(opened.sha256) == 64
    assert opened.classifier(texts).argmax(1).tolist() == [1, 0, 1, 0]
    with pytest.raises(UsageError, match="open_text_model"):
        open_model(tmp_path / "m.pkl", data=data)
    (tmp_path / "n.pkl").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(UsageError, match=r"n\.pkl: a dict without classes_"):
        open_text_model(tmp_path / "n.pkl", data=data)


def test_a_pipeline_that_chooses_its_columns_by_their_types(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    from sklearn.compose import make_column_selector, make_column_transformer

    frame = pandas.DataFrame(X[:, :3], columns=["a", "b", "c"])
    selected = make_column_transformer((StandardScaler(), make_column_selector(dtype_include="number")))
    estimator = make_pipeline(selected, LogisticRegression()).fit(frame, Y)
    joblib.dump(estimator, tmp_path / "m.joblib")
    data = Data(np.ascontiguousarray(X[:, :3]), Y.astype(np.int64), "table", features=("a", "b", "c"))
    opened = open_model(tmp_path / "m.joblib", data=data, device="cpu")
    assert opened.classifier.differentiable
    decided = opened.classifier.labels(torch.from_numpy(np.asarray(data.inputs)))
    assert decided.tolist() == estimator.predict(frame).tolist()


@pytest.mark.parametrize("count", [0, 2])
def test_a_directory_is_one_onnx_model(count: int, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("Two models, or none.")
    for number in range(count):
        _onnx(tmp_path / f"{number}.onnx", external=False)
    with pytest.raises(UsageError, match=f"it has {count} files"):
        open_model(tmp_path, data=DATA)
