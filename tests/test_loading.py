"""`garrison.load`: what scan and policy let pass comes out as the framework gives it, and nothing else is loaded."""

import bz2
import datetime
import gzip
import hashlib
import io
import lzma
import os
import pickle
import sys
import threading
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import garrison
from garrison.core.errors import GarrisonError, UsageError
from garrison.core.policy import Identity, RuleOverride, Waiver
from garrison.loading import load_identified
from garrison.provenance.keys import KeySigner, pem
from garrison.provenance.signing import sign, signature_path
from garrison.provenance.trust import Trust
from garrison.scanning import scan_files

os.environ.setdefault("KERAS_BACKEND", "torch")  # its default, TensorFlow, is not among what tests install

numpy_object = numpy.array([{"a": 1}, None], dtype=object)


class Touch:
    """Unpickling one touches a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


class Mine:
    """A class that garrison does not know."""

    def __init__(self) -> None:
        self.value = 1


def file(path: Path, value: object) -> Path:
    path.write_bytes(pickle.dumps(value))
    return path


def test_a_pickle(tmp_path: Path) -> None:
    value = {"weights": [1.0, 2.0], "names": {"a", "b"}, "array": numpy.arange(3)}
    for protocol in range(6):
        path = tmp_path / f"{protocol}.pkl"
        path.write_bytes(pickle.dumps(value, protocol))
        loaded: Any = garrison.load(path)
        assert loaded["names"] == {"a", "b"}
        assert list(loaded["array"]) == [0, 1, 2]


def test_only_who_wants_the_digest_pays_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file(tmp_path / "model.pkl", [1, 2])
    assert load_identified(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr("garrison.loading._sha256", lambda copy: pytest.fail("the model is hashed"))
    assert garrison.load(path) == [1, 2]


def test_a_hostile_pickle_is_refused_and_does_nothing(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    path = file(tmp_path / "model.pkl", {"weights": [1.0], "more": Touch(canary)})
    with pytest.raises(garrison.LoadRefused, match=r"^\S+model\.pkl @ 0x\w+: dangerous-import: .*mkdir") as caught:
        garrison.load(path)
    assert not canary.exists()
    assert "\n" not in str(caught.value)
    assert caught.value.report is not None and not caught.value.report.decision.allowed
    assert isinstance(caught.value, GarrisonError) and isinstance(caught.value, pickle.UnpicklingError)


def test_what_is_unknown_needs_the_policys_word(tmp_path: Path) -> None:
    path = file(tmp_path / "model.pkl", Mine())
    with pytest.raises(garrison.LoadRefused, match="unknown-import"):
        garrison.load(path)
    with pytest.raises(garrison.LoadRefused, match="unknown-import"):
        garrison.load(path, garrison.Policy(threshold="critical"))
    loaded = garrison.load(path, garrison.Policy(allowed_globals=(f"{__name__}.Mine",)))
    assert isinstance(loaded, Mine) and loaded.value == 1


def test_a_waiver_counts(tmp_path: Path) -> None:
    path = file(tmp_path / "model.pkl", Mine())
    waiver = Waiver(rule="unknown-import", reason="ours", owner="me", expires=datetime.date(2999, 1, 1))
    assert isinstance(garrison.load(path, garrison.Policy(waivers=(waiver,))), Mine)


def test_what_policy_denies_is_not_loaded(tmp_path: Path) -> None:
    path = file(tmp_path / "model.pkl", [1])
    with pytest.raises(garrison.LoadRefused, match="pickle, a denied format"):
        garrison.load(path, garrison.Policy(denied_formats=("pickle",)))
    path = file(tmp_path / "array.pkl", numpy.arange(3))
    with pytest.raises(garrison.LoadRefused, match="denied-import"):
        garrison.load(path, garrison.Policy(denied_globals=("numpy.*",)))


def test_what_cannot_be_examined_to_its_end_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(list(range(1000)))[:-5])
    with pytest.raises(garrison.LoadRefused, match=r"model\.pkl"):
        garrison.load(path)
    path.write_bytes(os.urandom(1000).replace(b"\0", b"\1"))
    with pytest.raises(garrison.LoadRefused):
        garrison.load(path)
    path.write_bytes(b"")
    with pytest.raises(garrison.LoadRefused):
        garrison.load(path)


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        garrison.load(tmp_path / "absent")
    with pytest.raises(UsageError, match=r"a directory, of which garrison\.admitted"):
        garrison.load(tmp_path)


def test_a_file_that_somebody_keeps_rewriting(tmp_path: Path) -> None:
    """Between the check and the use there is nothing to win: what was checked is what is loaded."""
    canary, path, other = tmp_path / "canary", tmp_path / "model.pkl", tmp_path / "other.pkl"
    benign, hostile = pickle.dumps(["x" * 60]), pickle.dumps(Touch(canary))
    benign, hostile = (data.ljust(200, b"\n") for data in (benign, hostile))
    path.write_bytes(benign)
    stopped = threading.Event()

    def rewrite() -> None:
        while not stopped.is_set():
            for data in (hostile, benign):
                with open(path, "r+b") as target:  # in place
                    target.write(data)
            for data in (hostile, benign):
                other.write_bytes(data)
                os.replace(other, path)  # by another file

    thread = threading.Thread(target=rewrite)
    thread.start()
    outcomes: set[int] = set()
    policy = garrison.Policy(rules={"pickle-trailing-data": RuleOverride(enabled=False)})
    try:
        for _ in range(200):
            try:
                outcomes.add(len(garrison.load(path, policy)[0]))  # type: ignore[index]
            except garrison.LoadRefused:
                outcomes.add(-1)
            if len(outcomes) > 1:
                break
    finally:
        stopped.set()
        thread.join()
    assert not canary.exists()
    assert outcomes == {60, -1}


def test_a_file_that_changes_just_after_the_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file(tmp_path / "model.pkl", ["as it was"])

    def scan_and_change(*arguments: Any) -> Any:
        report = scan_files(*arguments)
        with open(path, "r+b") as target:
            target.write(pickle.dumps(Touch(tmp_path / "canary")))
        return report

    monkeypatch.setattr("garrison.loading.scan_files", scan_and_change)
    assert garrison.load(path) == ["as it was"]
    assert not (tmp_path / "canary").exists()
    with pytest.raises(garrison.LoadRefused):
        garrison.load(path)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_files(pack: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.pkl.packed"
    path.write_bytes(pack(pickle.dumps({"a": 1})))
    assert garrison.load(path) == {"a": 1}
    canary = tmp_path / "canary"
    path.write_bytes(pack(pickle.dumps(Touch(canary))))
    with pytest.raises(garrison.LoadRefused, match="mkdir"):
        garrison.load(path)
    assert not canary.exists()


@pytest.mark.parametrize("name", [".", "parts/..", "n" * 300, "parts/", "a\nb", "\N{SNOWMAN}" * 90, "model.pkl"])
def test_a_member_may_be_called_what_no_file_can_be(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, pickle.dumps({"a": 1}))
    assert garrison.load(path) == {"a": 1}


@pytest.fixture
def company(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of one's own, which has imported this and that."""
    module: Any = types.ModuleType("mycompany")
    module.os, module.np, module.mkdir, module.run = os, numpy, os.mkdir, __import__("subprocess").run
    module.read, module.Mine = numpy.load, Mine
    monkeypatch.setitem(sys.modules, "mycompany", module)


@pytest.mark.parametrize("name", ["mkdir", "run", "read", "os.mkdir", "os", "np", "Mine.__init__.__globals__"])
def test_what_an_allowed_module_merely_imported_is_not_allowed(name: str, company: None, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    call = pickle.dumps((str(canary),))[2:-1] + b"R."
    data = b"\x80\x04\x8c\x09mycompany\x8c" + bytes([len(name)]) + name.encode() + b"\x93"
    for stream in (data + b".", data + call):
        (tmp_path / "model.pkl").write_bytes(stream)
        with pytest.raises(garrison.LoadRefused):
            garrison.load(tmp_path / "model.pkl", garrison.Policy(allowed_globals=("mycompany.*",)))
    assert not canary.exists()


def test_a_class_that_moved_is_loaded_by_its_old_name(company: None, tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"cmycompany\nMine\n.")
    assert garrison.load(tmp_path / "model.pkl", garrison.Policy(allowed_globals=("mycompany.*",))) is Mine


def test_skops_is_held_to_the_same(company: None, tmp_path: Path) -> None:
    import skops.io

    skops.io.dump({"a": Mine()}, tmp_path / "model.skops")
    with zipfile.ZipFile(tmp_path / "model.skops") as archive:
        schema = archive.read("schema.json").replace(__name__.encode(), b"mycompany").replace(b'"Mine"', b'"run"')
    with zipfile.ZipFile(tmp_path / "model.skops", "w") as archive:
        archive.writestr("schema.json", schema)
    with pytest.raises(garrison.LoadRefused, match=r"mycompany\.run, which is subprocess\.run"):
        garrison.load(tmp_path / "model.skops", garrison.Policy(allowed_globals=("mycompany.*",)))


def test_two_formats_at_once_are_refused(tmp_path: Path) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("archive/data.pkl", pickle.dumps({}, 2))
        writer.writestr("archive/version", "3\n")
    path = tmp_path / "model.bin"
    path.write_bytes(pickle.dumps([1]) + archive.getvalue())
    with pytest.raises(garrison.LoadRefused):
        garrison.load(path)


def test_a_format_that_nothing_loads(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# A model\n")
    with pytest.raises(garrison.LoadRefused, match="nothing here loads"):
        garrison.load(tmp_path / "README.md")


def test_arrays(tmp_path: Path) -> None:
    numpy.save(tmp_path / "plain.npy", numpy.arange(6).reshape(2, 3))
    numpy.save(tmp_path / "objects.npy", numpy_object)
    assert garrison.load(tmp_path / "plain.npy").tolist() == [[0, 1, 2], [3, 4, 5]]  # type: ignore[attr-defined]
    assert garrison.load(tmp_path / "objects.npy").tolist() == [{"a": 1}, None]  # type: ignore[attr-defined]
    numpy.savez(tmp_path / "one.npz", plain=numpy.arange(3))
    assert list(garrison.load(tmp_path / "one.npz")) == ["plain"]  # type: ignore[call-overload]
    numpy.savez(tmp_path / "both.npz", plain=numpy.arange(3), objects=numpy_object)
    loaded: Any = garrison.load(tmp_path / "both.npz")
    assert loaded["plain"].tolist() == [0, 1, 2] and loaded["objects"].tolist() == [{"a": 1}, None]


def test_arrays_of_hostile_objects(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    hostile = numpy.array([Touch(canary), None], dtype=object)
    numpy.save(tmp_path / "objects.npy", hostile)
    numpy.savez(tmp_path / "objects.npz", a=hostile)
    for name in ("objects.npy", "objects.npz"):
        with pytest.raises(garrison.LoadRefused, match="mkdir"):
            garrison.load(tmp_path / name)
    assert not canary.exists()


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("lzma", 1), ("lz4", 1)])
def test_joblib(compress: Any, tmp_path: Path) -> None:
    import joblib

    path = tmp_path / "model.joblib"
    fortran = numpy.asfortranarray(numpy.arange(6).reshape(2, 3))
    joblib.dump({"plain": numpy.arange(1000.0), "objects": numpy_object, "fortran": fortran}, path, compress=compress)
    loaded: Any = garrison.load(path)
    assert loaded["plain"].tolist() == numpy.arange(1000.0).tolist()
    assert loaded["objects"].tolist() == [{"a": 1}, None]
    assert loaded["fortran"].tolist() == [[0, 1, 2], [3, 4, 5]]
    canary = tmp_path / "canary"
    hostile = numpy.array([Touch(canary), None], dtype=object)
    joblib.dump({"plain": numpy.arange(1000.0), "objects": hostile}, path, compress=compress)
    with pytest.raises(garrison.LoadRefused, match="mkdir"):
        garrison.load(path)
    assert not canary.exists()


def test_a_model_of_scikit_learn(tmp_path: Path) -> None:
    import joblib
    import skops.io
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = numpy.arange(8.0).reshape(4, 2)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(features, [0, 0, 1, 1])
    joblib.dump(model, tmp_path / "model.joblib")
    skops.io.dump(model, tmp_path / "model.skops")
    for name in ("model.joblib", "model.skops"):
        loaded: Any = garrison.load(tmp_path / name)
        assert loaded.predict(features).tolist() == [0, 0, 1, 1]


def test_skops_types_that_are_unknown(tmp_path: Path) -> None:
    import skops.io

    skops.io.dump({"a": Mine()}, tmp_path / "model.skops")
    with pytest.raises(garrison.LoadRefused, match="unknown-import"):
        garrison.load(tmp_path / "model.skops")
    policy = garrison.Policy(allowed_globals=(f"{__name__}.Mine",))
    assert garrison.load(tmp_path / "model.skops", policy)["a"].value == 1  # type: ignore[index]


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_torch(tmp_path: Path) -> None:
    import torch

    state = {"weight": torch.arange(4.0), "step": 3}
    torch.save(state, tmp_path / "weights.pt")
    torch.save(state, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    for name in ("weights.pt", "legacy.pt"):
        loaded: Any = garrison.load(tmp_path / name)
        assert loaded["weight"].tolist() == [0, 1, 2, 3] and loaded["step"] == 3
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
    torch.save(module, tmp_path / "module.pt")
    torch.save(module, tmp_path / "legacy_module.pt", _use_new_zipfile_serialization=False)
    for name in ("module.pt", "legacy_module.pt"):
        loaded = garrison.load(tmp_path / name)
        assert torch.equal(loaded[0].weight, module[0].weight)
    torch.jit.script(module).save(tmp_path / "scripted.pt")  # type: ignore[no-untyped-call]
    loaded = garrison.load(tmp_path / "scripted.pt")
    assert torch.equal(loaded(torch.ones(1, 2)), module(torch.ones(1, 2)))


def test_hostile_checkpoints(tmp_path: Path) -> None:
    import torch

    canary = tmp_path / "canary"
    for new in (True, False):
        torch.save({"a": torch.ones(2), "b": Touch(canary)}, tmp_path / "a.pt", _use_new_zipfile_serialization=new)
        with pytest.raises(garrison.LoadRefused, match="mkdir"):
            garrison.load(tmp_path / "a.pt")
    assert not canary.exists()


def test_safetensors(tmp_path: Path) -> None:
    import torch
    from safetensors.numpy import save_file
    from safetensors.torch import save_file as save_tensors

    save_file({"a": numpy.arange(3)}, tmp_path / "numpy.safetensors")
    loaded: Any = garrison.load(tmp_path / "numpy.safetensors")
    assert isinstance(loaded["a"], numpy.ndarray) and loaded["a"].tolist() == [0, 1, 2]
    save_tensors({"a": torch.ones(2, dtype=torch.bfloat16)}, tmp_path / "torch.safetensors", metadata={"format": "pt"})
    loaded = garrison.load(tmp_path / "torch.safetensors")
    assert loaded["a"].dtype is torch.bfloat16


def test_onnx(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "b"], ["y"])],
        "graph",
        [value("x", TensorProto.FLOAT, [2])],
        [value("y", TensorProto.FLOAT, [2])],
        [helper.make_tensor("b", TensorProto.FLOAT, [2], [1.0, 2.0])],
    )
    model = helper.make_model(graph)
    onnx.save(model, tmp_path / "model.onnx")
    assert garrison.load(tmp_path / "model.onnx") == model


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_keras(tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    for name in ("model.keras", "model.h5"):
        model.save(tmp_path / name)
        os.rename(tmp_path / name, tmp_path / "model")  # the name has no say
        loaded: Any = garrison.load(tmp_path / "model")
        assert numpy.array_equal(loaded.get_weights()[0], model.get_weights()[0])


def test_keras_with_a_lambda_layer(tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x + 1)])
    model.save(tmp_path / "model.keras")
    with pytest.raises(garrison.LoadRefused, match=r"model\.keras"):
        garrison.load(tmp_path / "model.keras")


def test_a_framework_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    numpy.save(tmp_path / "a.npy", numpy.arange(3))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(garrison.LoadRefused, match="pip install numpy"):
        garrison.load(tmp_path / "a.npy")


# -------------------------------------------------------------------- signatures and folders

SIGNER = KeySigner(ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture
def signing(tmp_path: Path) -> garrison.Policy:
    """A policy that lets only what `SIGNER` signed be loaded."""
    (tmp_path / "key.pem").write_bytes(pem(SIGNER.public_key))
    return garrison.Policy(identities=(Identity(name="alice", public_key=str(tmp_path / "key.pem")),))


def sign_it(model: Path) -> None:
    path = signature_path(str(model))
    Path(path).write_bytes(sign(str(model), SIGNER, signature=path).bundle)


def test_only_what_is_signed(signing: garrison.Policy, tmp_path: Path) -> None:
    path = file(tmp_path / "model.pkl", [1])
    with pytest.raises(garrison.LoadRefused, match="it has no signature"):
        garrison.load(path, signing)
    sign_it(path)
    assert garrison.load(path, signing) == [1]
    assert garrison.load(path, trust=Trust(identities=signing.identities)) == [1]
    with pytest.raises(UsageError, match="no identity is trusted"):
        garrison.load(path, signature=signature_path(str(path)))
    file(path, [2])
    with pytest.raises(garrison.LoadRefused, match="not as it was signed"):
        garrison.load(path, signing)


def test_a_signature_is_no_pardon(signing: garrison.Policy, tmp_path: Path) -> None:
    path = file(tmp_path / "model.pkl", Touch(tmp_path / "canary"))
    sign_it(path)
    with pytest.raises(garrison.LoadRefused, match="mkdir"):
        garrison.load(path, signing)
    assert not (tmp_path / "canary").exists()


def test_a_file_of_a_signed_folder(signing: garrison.Policy, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    file(folder / "a.pkl", ["a"])
    file(folder / "b.pkl", ["b"])
    sign_it(folder)
    assert garrison.load(folder / "a.pkl", signing) == ["a"]
    os.replace(folder / "b.pkl", folder / "a.pkl")
    with pytest.raises(garrison.LoadRefused, match=r"a\.pkl is not as it was signed"):
        garrison.load(folder / "a.pkl", signing)


def test_a_folder_is_admitted_as_a_whole(signing: garrison.Policy, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "parts").mkdir(parents=True)
    file(folder / "parts" / "a.pkl", ["a"])
    (folder / "config.json").write_text("{}")
    os.symlink("config.json", folder / "link.json")
    with garrison.admitted(folder) as path:
        file(folder / "parts" / "a.pkl", Touch(tmp_path / "canary"))
        assert os.path.basename(path) == "folder" and os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
        assert sorted(os.listdir(path)) == ["config.json", "link.json", "parts"]
        assert not os.path.islink(os.path.join(path, "link.json"))
        assert pickle.loads(Path(path, "parts", "a.pkl").read_bytes()) == ["a"]
    assert not os.path.exists(path)
    with pytest.raises(garrison.LoadRefused, match=r"folder/parts/a\.pkl @ 0x\w+: dangerous-import"):
        garrison.admitted(folder).__enter__()
    file(folder / "parts" / "a.pkl", ["a"])
    os.unlink(folder / "link.json")
    with pytest.raises(garrison.LoadRefused, match="not signed"):
        garrison.admitted(folder, signing).__enter__()
    sign_it(folder)
    with garrison.admitted(folder, signing) as path:
        assert os.path.exists(path)
    (folder / "added.json").write_text("{}")
    with pytest.raises(garrison.LoadRefused, match=r"not as it was signed \(added: added\.json\)"):
        garrison.admitted(folder, signing).__enter__()


def test_a_file_is_admitted_for_a_loader_of_ones_own(tmp_path: Path) -> None:
    path = file(tmp_path / "model.pkl", ["a"])
    with garrison.admitted(path) as held:
        assert pickle.loads(Path(held).read_bytes()) == ["a"]
    file(path, Touch(tmp_path / "canary"))
    with pytest.raises(garrison.LoadRefused):
        garrison.admitted(path).__enter__()


def test_onnx_with_tensors_in_another_file(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    value = helper.make_tensor_value_info
    weights = numpy_helper.from_array(numpy.arange(1000.0), "b")
    node = helper.make_node("Add", ["x", "b"], ["y"])
    shape = [1000]
    graph = helper.make_graph(
        [node], "g", [value("x", TensorProto.DOUBLE, shape)], [value("y", TensorProto.DOUBLE, shape)], [weights]
    )
    folder = tmp_path / "folder"
    folder.mkdir()
    onnx.save(helper.make_model(graph), folder / "model.onnx", save_as_external_data=True, location="weights")
    with pytest.raises(garrison.LoadRefused, match=r"garrison\.admitted"):
        garrison.load(folder / "model.onnx")
    with garrison.admitted(folder, garrison.Policy(coverage="allow")) as path:
        loaded = onnx.load(os.path.join(path, "model.onnx"))
    assert numpy_helper.to_array(loaded.graph.initializer[0]).tolist() == numpy.arange(1000.0).tolist()
