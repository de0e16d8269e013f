"""What honest frameworks wrote comes out bit by bit as they themselves load it."""

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load_file as load_tensors
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from garrison.artifacts.disarm import Disarmed, disarm

TYPES = [
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.uint16, torch.uint32, torch.uint64),
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64),
    *(torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e8m0fnu),
]
LAYOUTS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "stacked"])


def disarmed(path: Path) -> tuple[Disarmed, Path]:
    out = path.with_suffix(".safetensors")
    return disarm(str(path), str(out)), out


def saved(tmp_path: Path, value: Any, *, zipped: bool = True) -> Path:
    path = tmp_path / "model.pt"
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    return path


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert (found[name].dtype, found[name].shape, bits(found[name])) == (tensor.dtype, tensor.shape, bits(tensor))


@LAYOUTS
def test_every_type_of_pytorch(tmp_path: Path, zipped: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    state = {}
    for dtype in TYPES:
        raw = torch.randint(0, 2 if dtype == torch.bool else 256, (48,), dtype=torch.uint8, generator=generator)
        state[str(dtype)] = raw.view(dtype)
    outcome, out = disarmed(saved(tmp_path, state, zipped=zipped))
    assert outcome.left == ()
    assert_same(load_tensors(out), state)


@LAYOUTS
def test_every_way_in_which_tensors_lie(tmp_path: Path, zipped: bool) -> None:
    base = torch.arange(120, dtype=torch.float32).reshape(2, 3, 4, 5)
    state = {
        "scalar": torch.tensor(1.5),
        "empty": torch.zeros(0, 3),
        "transposed": base.permute(3, 1, 0, 2),
        "sliced": base[:, 1:, ::2, 1:4],
        "repeated": torch.arange(4).expand(3, 4),
        "channels last": base.contiguous(memory_format=torch.channels_last),
        "diagonal": base[0, 0, :4, :4].diagonal(),
        "half a storage": base[1],
    }
    outcome, out = disarmed(saved(tmp_path, state, zipped=zipped))
    assert outcome.left == ()
    assert_same(load_tensors(out), state)


def test_what_is_shared_is_written_out_and_told(tmp_path: Path) -> None:
    weight = torch.arange(6.0)
    path = saved(tmp_path, {"embedding": weight, "head": weight, "part": weight[2:4]})
    _, out = disarmed(path)
    assert_same(load_tensors(out), torch.load(path))
    with safe_open(out, "pt") as file:
        assert file.metadata()["garrison.shared"] == '{"head":"embedding"}'


@LAYOUTS
def test_a_state_dict_loads_into_its_module(tmp_path: Path, zipped: bool) -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4))
    _, out = disarmed(saved(tmp_path, module.state_dict(), zipped=zipped))
    other = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4))
    other.load_state_dict(load_tensors(out))
    assert_same(dict(other.state_dict()), dict(module.state_dict()))


@LAYOUTS
def test_a_module_pickled_whole_gets_the_names_of_its_state_dict(tmp_path: Path, zipped: bool) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    module.register_buffer("scratch", torch.ones(2), persistent=False)
    outcome, out = disarmed(saved(tmp_path, module, zipped=zipped))
    assert_same(load_tensors(out), dict(module.state_dict()))
    assert outcome.values["0.in_features"] == 3
    assert any("torch.nn.modules.linear.Linear" in one.reason and one.path == "0" for one in outcome.left)


@LAYOUTS
def test_a_checkpoint_keeps_its_structure_and_plain_values(tmp_path: Path, zipped: bool) -> None:
    module = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.25)
    module(torch.ones(2)).sum().backward()
    optimizer.step()
    checkpoint = {
        "state_dict": module.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 7,
        "name": "naïve",
        "best": float("inf"),
        "raw": b"\0\1",
        "dtype": torch.float16,
        "parameter": torch.nn.Parameter(torch.ones(1)),
    }
    outcome, out = disarmed(saved(tmp_path, checkpoint, zipped=zipped))
    found = load_tensors(out)
    assert torch.equal(found["state_dict.weight"], module.weight)
    assert torch.equal(found["optimizer.state.0.exp_avg"], optimizer.state_dict()["state"][0]["exp_avg"])
    assert torch.equal(found["parameter"], torch.ones(1))
    values = outcome.values
    assert (values["epoch"], values["name"], values["optimizer.param_groups.0.lr"]) == (7, "naïve", 0.25)
    assert values["optimizer.param_groups.0.betas"] == [0.9, 0.999]
    assert (values["best"], values["raw"], values["dtype"]) == ({"float": "inf"}, {"base64": "AAE="}, "torch.float16")
    assert outcome.left == ()


def test_what_safetensors_has_no_name_for_is_left(tmp_path: Path) -> None:
    state = {"wide": torch.ones(2, dtype=torch.complex128), "kept": torch.ones(2), "sparse": torch.eye(2).to_sparse()}
    outcome, out = disarmed(saved(tmp_path, state))
    reasons = {one.path: one.reason for one in outcome.left}
    assert "C128" in reasons["wide"]
    assert "_rebuild_sparse_tensor" in reasons["sparse"]
    assert torch.equal(load_tensors(out)["kept"], torch.ones(2))


def test_numbers_of_machines_that_write_the_high_byte_first(tmp_path: Path) -> None:
    import zipfile

    path = saved(tmp_path, {"a": torch.arange(5, dtype=torch.int32), "c": torch.tensor([1 + 2j])})
    turned = tmp_path / "big.pt"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(turned, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if "/data/" in name:
                data = np.frombuffer(data, "<u4").byteswap().tobytes()
            new.writestr(name, b"big" if name.endswith("byteorder") else data)
    _, out = disarmed(turned)
    assert_same(load_tensors(out), torch.load(turned))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_modules_keep_their_tensors(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 2))
    path = tmp_path / "scripted.pt"
    torch.jit.trace(module, torch.ones(1, 3)).save(str(path))
    outcome, out = disarmed(path)
    assert_same(load_tensors(out), dict(module.state_dict()))
    assert any(one.path.startswith("code/") for one in outcome.left)


def tarred(path: Path) -> None:
    """A checkpoint as PyTorch 0.1 laid it out: two tensors that share a storage, and one of a view of it."""
    import struct
    import tarfile

    class Reference:
        def __init__(self, key: int) -> None:
            self.key = key

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return str(value.key) if isinstance(value, Reference) else None

    numbers = struct.pack("<q6f", 6, *range(6))
    storages = b"".join(pickle.dumps(one, 2) for one in (1, (7, "cpu", torch.FloatStorage))) + numbers
    storages += pickle.dumps([(8, 7, 2, 3)], 2)
    tensors = pickle.dumps(3, 2)
    for key, storage, shape, strides, offset in [
        (20, 7, (3, 2), (1, 3), 0),
        (21, 7, (2,), (2,), 1),
        (22, 8, (3,), (1,), 0),
    ]:
        tensors += pickle.dumps((key, storage, torch.FloatTensor), 2)
        tensors += struct.pack(f"<ii{2 * len(shape) + 1}q", len(shape), 0, *shape, *strides, offset)
    buffer = io.BytesIO()
    Pickler(buffer, 2).dump({"a": Reference(20), "b": Reference(21), "c": Reference(22), "n": 3})
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in (("storages", storages), ("tensors", tensors), ("pickle", buffer.getvalue())):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


@pytest.mark.filterwarnings("ignore")
def test_tars_of_the_first_pytorch(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    tarred(path)
    loaded = torch.load(path, weights_only=False)
    outcome, out = disarmed(path)
    assert (outcome.format, outcome.values, outcome.left) == ("pytorch-tar", {"n": loaded.pop("n")}, ())
    assert_same(load_tensors(out), loaded)


def test_what_was_disarmed_stays_as_it_is(tmp_path: Path) -> None:
    weight = torch.arange(4.0)
    path = saved(tmp_path, {"a": weight, "b": weight, "h": torch.ones(3, dtype=torch.float16), "n": [1, "x"]})
    _, out = disarmed(path)
    again = tmp_path / "again.safetensors"
    assert disarm(str(out), str(again)).left == ()
    assert again.read_bytes() == out.read_bytes()


# ---------------------------------------------------------------- NumPy, pickle, joblib

ARRAYS: dict[str, Any] = {
    "f8": np.linspace(0, 1, 7),
    "f2": np.arange(5, dtype="f2"),
    "bool": np.array([True, False]),
    "u2": np.arange(6, dtype="u2").reshape(2, 3),
    "c8": np.array([1 + 2j, 3], dtype="c8"),
    "big": np.arange(6, dtype=">i4").reshape(3, 2),
    "big complex": np.array([1 + 2j, 3], dtype=">c8"),
    "fortran": np.asfortranarray(np.arange(12, dtype="f4").reshape(3, 4)),
    "scalar": np.array(5, dtype="i8"),
    "empty": np.zeros((0, 4), dtype="f4"),
    "strided": np.arange(20)[::3],
    "large": np.arange(3000, dtype="i8"),
}
RECORDS = np.array([(1, 2.5, [1, 2]), (3, 4.5, [3, 4])], dtype=[("a", "i1"), ("b", "f8"), ("c", ">i2", (2,))])


def assert_arrays(out: Path, expected: dict[str, Any]) -> None:
    found = load_arrays(out)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert (found[name].shape, found[name].dtype) == (array.shape, array.dtype.newbyteorder("="))
        assert found[name].tobytes() == array.astype(array.dtype.newbyteorder("=")).tobytes()


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_every_protocol(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "arrays.pkl"
    path.write_bytes(pickle.dumps({**ARRAYS, "number": np.float32(0.5), "ünï": "text", "set": {1}}, protocol))
    outcome, out = disarmed(path)
    assert_arrays(out, ARRAYS)
    assert (outcome.values["number"], outcome.values["ünï"], outcome.values["set.0"]) == (0.5, "text", 1)
    assert outcome.left == ()


@pytest.mark.parametrize("compress", [0, *((name, 3) for name in ("zlib", "gzip", "bz2", "xz", "lzma", "lz4"))])
def test_files_of_joblib(tmp_path: Path, compress: Any) -> None:
    path = tmp_path / "arrays.joblib"
    joblib.dump(ARRAYS, path, compress=compress)
    outcome, out = disarmed(path)
    assert_arrays(out, joblib.load(path))
    assert outcome.left == ()


@pytest.mark.parametrize("name", ARRAYS)
def test_npy(tmp_path: Path, name: str) -> None:
    path = tmp_path / "array.npy"
    np.save(path, ARRAYS[name])
    _, out = disarmed(path)
    assert_arrays(out, {"tensor": np.load(path)})


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(tmp_path: Path, save: Any) -> None:
    path = tmp_path / "arrays.npz"
    save(path, **ARRAYS)
    _, out = disarmed(path)
    assert_arrays(out, dict(np.load(path)))


def test_structures_become_an_array_for_each_part(tmp_path: Path) -> None:
    np.save(tmp_path / "records.npy", RECORDS)
    assert_arrays(disarmed(tmp_path / "records.npy")[1], {name: RECORDS[name] for name in "abc"})
    (tmp_path / "records.pkl").write_bytes(pickle.dumps({"r": RECORDS}))
    assert_arrays(disarmed(tmp_path / "records.pkl")[1], {f"r.{name}": RECORDS[name] for name in "abc"})


def test_masked_arrays_have_a_mask_beside_them(tmp_path: Path) -> None:
    array = np.ma.masked_array(np.asfortranarray(np.arange(6.0).reshape(2, 3)), mask=[[0, 1, 0], [1, 0, 0]])
    (tmp_path / "masked.pkl").write_bytes(pickle.dumps({"m": array}))
    outcome, out = disarmed(tmp_path / "masked.pkl")
    assert_arrays(out, {"m": array.data, "m.mask": array.mask})
    assert outcome.left == ()


def test_arrays_of_objects_are_laid_out_by_their_indices(tmp_path: Path) -> None:
    objects = np.empty((2, 2), dtype=object)
    objects[0, 0], objects[0, 1], objects[1, 0], objects[1, 1] = np.arange(3), "text", None, {"k": np.ones(2)}
    np.save(tmp_path / "objects.npy", objects)
    outcome, out = disarmed(tmp_path / "objects.npy")
    assert_arrays(out, {"0.0": np.arange(3), "1.1.k": np.ones(2)})
    assert outcome.values == {"0.1": "text", "1.0": None}
    joblib.dump({"o": objects}, tmp_path / "objects.joblib")
    outcome, out = disarmed(tmp_path / "objects.joblib")
    assert_arrays(out, {"o.0.0": np.arange(3), "o.1.1.k": np.ones(2)})


def test_texts_are_plain_values_and_dates_are_left(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"classes": np.array(["ab", "c"]), "when": np.array(["2020-01-01"], dtype="M8[D]")}))
    outcome, _ = disarmed(path)
    assert outcome.values == {"classes": ["ab", "c"]}
    assert [(one.path, "dates" in one.reason) for one in outcome.left] == [("when", True)]


@pytest.mark.parametrize("dump", [joblib.dump, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_estimators_keep_their_arrays_and_parameters(tmp_path: Path, dump: Any) -> None:
    features = np.random.default_rng(0).random((40, 3))
    labels = (features[:, 0] > 0.5).astype(int)
    forest = RandomForestClassifier(2, random_state=0).fit(features, labels)
    linear = LogisticRegression().fit(features, labels)
    dump({"forest": forest, "linear": linear}, tmp_path / "model.pkl")
    outcome, out = disarmed(tmp_path / "model.pkl")
    found = load_arrays(out)
    assert np.array_equal(found["linear.coef_"], linear.coef_)
    assert np.array_equal(found["forest.classes_"], forest.classes_)
    tree = forest.estimators_[1].tree_
    assert np.array_equal(found["forest.estimators_.1.tree_.nodes.threshold"], tree.threshold)
    assert np.array_equal(found["forest.estimators_.1.tree_.values"], tree.value)
    assert outcome.values["forest.n_estimators"] == 2
    assert ("linear", "object of sklearn.linear_model._logistic.LogisticRegression") in {
        (one.path, one.reason.partition(";")[0]) for one in outcome.left
    }


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_tensors_in_plain_pickles(tmp_path: Path, protocol: int) -> None:
    state = OrderedDict(a=torch.arange(6).reshape(2, 3).t(), b=torch.nn.Parameter(torch.ones(2)))
    path = tmp_path / "tensors.pkl"
    path.write_bytes(pickle.dumps(state, protocol))
    outcome, out = disarmed(path)
    assert_same(load_tensors(out), {name: tensor.detach() for name, tensor in state.items()})
    assert outcome.left == ()


def test_the_same_bytes_come_out_each_time(tmp_path: Path) -> None:
    path = saved(tmp_path, {"a": torch.ones(3), "n": 1, "h": torch.ones(2, dtype=torch.float16)})
    first = disarmed(path)[1].read_bytes()
    assert disarmed(path)[1].read_bytes() == first
    header = int.from_bytes(first[:8], "little")
    assert header % 8 == 0


def test_names_that_meet_are_kept_apart(tmp_path: Path) -> None:
    path = saved(
        tmp_path, {"a.b": torch.zeros(1), "a": {"b": torch.ones(1)}, "__metadata__": torch.zeros(2), 1: 2, "1": 3}
    )
    outcome, out = disarmed(path)
    assert set(load_tensors(out)) == {"a.b", "a.b#2", "__metadata__#2"}
    assert outcome.values == {"1": 2, "1#2": 3}


def test_what_python_2_wrote(tmp_path: Path) -> None:
    """Text and bytes were one there."""
    old = (
        b"\x80\x02}U\x07weightscnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x08\x00\x00\x80?\x00\x00\x80\xbftbs."
    )
    (tmp_path / "old.pkl").write_bytes(old)
    _, out = disarmed(tmp_path / "old.pkl")
    assert_arrays(out, pickle.loads(old, encoding="latin1"))
