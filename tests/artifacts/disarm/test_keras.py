"""Keras' weights come out as they went in, without the configuration that would make code of them."""

import contextlib
import io
import os
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file

from garrison.artifacts.disarm import Disarmed, ExaminationError, disarm
from garrison.artifacts.disarm.rebuilding import rebuild
from garrison.core.limits import Limits
from garrison.sources.reader import BytesReader
from garrison.sources.source import Context, Source
from tests.support import damaged

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
os.environ.setdefault("KERAS_BACKEND", "torch")


def disarmed(path: Path) -> tuple[Disarmed, dict[str, Any]]:
    out = path.with_suffix(".safetensors")
    outcome = disarm(str(path), str(out))
    return outcome, load_file(out)


def assert_same(found: Any, expected: Any) -> None:
    expected = np.asarray(expected)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype.newbyteorder("="))
    assert found.tobytes() == expected.astype(expected.dtype.newbyteorder("=")).tobytes()


@pytest.fixture(scope="module")
def model() -> Any:
    import keras

    built = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization()])
    built.compile("adam", "mse")
    return built


@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5"])
def test_weights_of_keras(tmp_path: Path, model: Any, name: str) -> None:
    path = tmp_path / name
    (model.save if name.endswith(".keras") else model.save_weights)(path)
    outcome, found = disarmed(path)
    kernel, bias = model.layers[0].get_weights()
    assert_same(found["layers/dense/vars/0"], kernel)
    assert_same(found["layers/dense/vars/1"], bias)
    for number, weight in enumerate(model.layers[1].get_weights()):
        assert_same(found[f"layers/batch_normalization/vars/{number}"], weight)
    left = {one.path for one in outcome.left}
    assert ("config.json" in left) == name.endswith(".keras")


@pytest.mark.filterwarnings("ignore")
def test_a_whole_model_of_old(tmp_path: Path, model: Any) -> None:
    path = tmp_path / "model.h5"
    model.save(path)
    outcome, found = disarmed(path)
    with h5py.File(path) as file:
        expected: dict[str, Any] = {}
        file.visititems(lambda name, item: expected.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert_same(found[name], array)
    assert "@model_config" in {one.path for one in outcome.left}
    assert outcome.values["model_weights@layer_names"][0] == model.layers[0].name


def test_brief_numbers_of_keras(tmp_path: Path) -> None:
    import keras
    import torch

    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(2, dtype="bfloat16")])
    model.save_weights(tmp_path / "model.weights.h5")
    disarm(str(tmp_path / "model.weights.h5"), str(tmp_path / "out.safetensors"))
    with safe_open(tmp_path / "out.safetensors", "pt") as file:
        kernel = file.get_tensor("layers/dense/vars/0") if "layers/dense/vars/0" in file.keys() else None  # noqa: SIM118
        assert kernel is not None
        assert torch.equal(kernel, model.layers[0].kernel.value.detach())


def test_code_in_a_configuration_is_named(tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Lambda(lambda x: x * 2), keras.layers.Dense(1)])
    model.save(tmp_path / "model.keras")
    outcome, found = disarmed(tmp_path / "model.keras")
    assert any(one.path == "config.json" and one.reason.startswith("code of") for one in outcome.left)
    assert_same(found["layers/dense/vars/0"], model.layers[1].get_weights()[0])


ARRAYS = {
    "f2": np.arange(5, dtype="f2"),
    "f8": np.linspace(0, 1, 12).reshape(3, 4),
    "big": np.arange(6, dtype=">i4").reshape(2, 3),
    "u1": np.arange(7, dtype="u1"),
    "i8": np.array(-3, dtype="i8"),
    "bool": np.array([True, False]),
    "complex": np.array([1 + 2j, 3], dtype="c8"),
    "empty": np.zeros((0, 3), dtype="f4"),
}
LARGE = np.random.default_rng(0).integers(0, 1000, (37, 5, 11), dtype="i4")
PACKINGS: dict[str, dict[str, Any]] = {
    "plain": {"chunks": (10, 5, 4)},
    "gzip": {"chunks": (10, 2, 11), "compression": "gzip"},
    "gzip and shuffle": {"chunks": (37, 5, 11), "compression": "gzip", "shuffle": True},
    "checksum": {"chunks": (1, 5, 11), "fletcher32": True, "shuffle": True},
    "automatic": {"chunks": True, "compression": "gzip"},
}


@pytest.mark.parametrize("version", ["earliest", "latest"])
def test_every_type_of_hdf5(tmp_path: Path, version: str) -> None:
    path = tmp_path / "values.h5"
    records = np.array([(1, 2.5)], dtype=[("a", "i2"), ("b", "f8")])
    with h5py.File(path, "w", libver=version) as file:
        for name, array in ARRAYS.items():
            file[f"group/{name}"] = array
        file["records"] = records
        file["texts"] = ["some", "text"]
        file["wide"] = np.array([1j], dtype="c16")
    outcome, found = disarmed(path)
    for name, array in ARRAYS.items():
        assert_same(found[f"group/{name}"], array)
    assert_same(found["records.b"], records["b"])
    assert {one.path for one in outcome.left} == {"texts", "wide"}


@pytest.mark.parametrize("packing", PACKINGS)
def test_chunks(tmp_path: Path, packing: str) -> None:
    path = tmp_path / "values.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=LARGE, **PACKINGS[packing])
        partly = file.create_dataset(
            "b", shape=(20, 6), dtype="f8", fillvalue=1.5, **{**PACKINGS[packing], "chunks": (4, 3)}
        )
        partly[5:9, 2:4] = 7
        file.create_dataset("c", shape=(3,), dtype="i4", fillvalue=9)
        expected = {name: file[name][()] for name in "abc"}
    _, found = disarmed(path)
    for name, array in expected.items():
        assert_same(found[name], array)


def test_one_chunk_of_the_newest_files(tmp_path: Path) -> None:
    path = tmp_path / "values.h5"
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        file.create_dataset("a", data=LARGE, chunks=LARGE.shape, compression="gzip")
        file.create_dataset("b", data=LARGE, chunks=(1, 5, 11))
    outcome, found = disarmed(path)
    assert_same(found["a"], LARGE)
    assert [(one.path, "index" in one.reason) for one in outcome.left] == [("b", True)]


def test_values_that_lie_elsewhere_are_left(tmp_path: Path) -> None:
    path = tmp_path / "values.h5"
    with h5py.File(path, "w") as file:
        file["here"] = np.ones(2)
        file["soft"] = h5py.SoftLink("/here")
        file["external"] = h5py.ExternalLink("/etc/passwd", "/x")
        file.create_dataset("raw", shape=(2,), dtype="f4", external=[("/etc/passwd", 0, 8)])
        layout = h5py.VirtualLayout(shape=(2,), dtype="f8")
        layout[:] = h5py.VirtualSource("other.h5", "x", shape=(2,))
        file.create_virtual_dataset("virtual", layout)
    outcome, found = disarmed(path)
    assert found.keys() == {"here"}
    assert {one.path for one in outcome.left} == {"soft", "external", "raw", "virtual"}


def test_chunks_that_lie_are_left(tmp_path: Path) -> None:
    path = tmp_path / "values.h5"
    with h5py.File(path, "w") as file:
        data = np.zeros((1000, 100), dtype="f8")
        file.create_dataset("a", data=data, chunks=(100, 100), compression="gzip")
        file["kept"] = np.ones(1)
        info = file["a"].id.get_chunk_info(3)
    raw = bytearray(path.read_bytes())
    raw[info.byte_offset + 2 : info.byte_offset + 12] = b"\xff" * 10
    path.write_bytes(raw)
    with pytest.raises(ExaminationError, match="does not unpack"):
        disarmed(path)
    assert not path.with_suffix(".safetensors").exists()


def _sample(version: str) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=version) as file:
        file.create_dataset("group/a", data=LARGE, chunks=(10, 5, 11), compression="gzip", shuffle=True)
        file["b"] = np.ones(3, dtype=[("x", "i2"), ("y", "c8")])
        file["b"].attrs["name"] = "text"
    return buffer.getvalue()


SAMPLES = [_sample("earliest"), _sample("latest")]


@given(st.data())
def test_damaged_files_give_a_file_or_a_reason(data: st.DataObject) -> None:
    damaged_bytes = data.draw(damaged(*SAMPLES))
    with contextlib.suppress(ExaminationError):
        list(rebuild(Source("model.h5", BytesReader(damaged_bytes)), Context(Limits(), len(damaged_bytes))))


def test_archives_with_other_weights_and_assets(tmp_path: Path, model: Any) -> None:
    path = tmp_path / "model.keras"
    model.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("assets/hook.py", "import os")
    outcome, _ = disarmed(path)
    assert "assets/hook.py" in {one.path for one in outcome.left}
