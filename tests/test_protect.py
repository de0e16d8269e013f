"""`garrison.protect`: every way to load refuses what the policy refuses, here, in threads and in what is started."""

import _pickle
import contextlib
import datetime
import gzip
import importlib
import io
import os
import pickle
import shelve
import subprocess
import sys
import threading
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from pickle import Unpickler as CapturedUnpickler
from pickle import loads as captured_loads
from typing import Any

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import garrison
from garrison.artifacts.protecting.judging import Follower, Judge
from garrison.core.errors import UsageError
from garrison.core.policy import RuleOverride, Waiver
from garrison.sources.reader import BytesReader
from tests.support import damaged

os.environ.setdefault("KERAS_BACKEND", "torch")


class Touch:
    """Unpickling one makes a directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


class Mine:
    value = 1


class Keeping:
    """Keeps the functions as libraries do."""

    loads = pickle.loads
    static = staticmethod(pickle.loads)
    kind = pickle.Unpickler


class EarlySubclass(pickle.Unpickler):
    pass


class EarlyPythonSubclass(pickle._Unpickler):  # type: ignore[name-defined,misc]
    pass


@pytest.fixture
def protected() -> Iterator[None]:
    with garrison.protect():
        yield


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Any]:
    """What acts when it is unpickled; that it did not is looked at when the test is over."""
    canary = tmp_path / "canary"
    yield Touch(canary)
    assert not canary.exists()


LOADS: dict[str, Callable[[bytes], object]] = {
    "pickle.loads": lambda data: pickle.loads(data),
    "pickle.load": lambda data: pickle.load(io.BytesIO(data)),
    "pickle._loads": lambda data: pickle._loads(data),  # type: ignore[attr-defined]
    "pickle._load": lambda data: pickle._load(io.BytesIO(data)),  # type: ignore[attr-defined]
    "pickle.Unpickler": lambda data: pickle.Unpickler(io.BytesIO(data)).load(),
    "pickle._Unpickler": lambda data: pickle._Unpickler(io.BytesIO(data)).load(),  # type: ignore[attr-defined]
    "_pickle.loads": lambda data: _pickle.loads(data),
    "_pickle.Unpickler": lambda data: _pickle.Unpickler(io.BytesIO(data)).load(),
    "loads imported before": lambda data: captured_loads(data),
    "Unpickler imported before": lambda data: CapturedUnpickler(io.BytesIO(data)).load(),
    "an attribute of a class": lambda data: Keeping.loads(data),
    "the same from an instance": lambda data: Keeping().loads(data),
    "a static method": lambda data: Keeping().static(data),
    "a class in a class": lambda data: Keeping().kind(io.BytesIO(data)).load(),
    "a subclass made before": lambda data: EarlySubclass(io.BytesIO(data)).load(),
    "a Python subclass made before": lambda data: EarlyPythonSubclass(io.BytesIO(data)).load(),
    "a subclass made after": lambda data: type("Late", (pickle.Unpickler,), {})(io.BytesIO(data)).load(),
    "bytearray": lambda data: pickle.loads(bytearray(data)),
    "memoryview": lambda data: pickle.loads(memoryview(data)),
}


@pytest.mark.parametrize("way", LOADS)
def test_pickle_in_every_way(way: str, protected: None, hostile: Touch) -> None:
    load = LOADS[way]
    for value in ({"a": [1, 2]}, OrderedDict(b=numpy.arange(3)), [b"x" * 200_000], None):
        assert str(load(pickle.dumps(value))) == str(value)
    with pytest.raises(garrison.LoadRefused, match=r"dangerous-import: .*mkdir") as caught:
        load(pickle.dumps({"weights": [1], "more": hostile}))
    assert caught.value.report is not None
    for protocol in range(6):
        with pytest.raises(garrison.LoadRefused):
            load(pickle.dumps(hostile, protocol))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=10,
)


@given(VALUES, st.integers(0, 5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_what_is_loaded_is_what_was_dumped(protected: None, value: object, protocol: int) -> None:
    assert pickle.loads(pickle.dumps(value, protocol)) == value


@given(
    damaged(
        *(b"(lp0\n0" * repeated + b"cposix\nmkdir\n(S'canary'\ntR." for repeated in (0, 3)),
        b"\x80\x04\x95\x20\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x05mkdir\x94\x93\x94\x8c\x06canary\x94\x85\x94R\x94.",
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_streams_do_nothing_either(protected: None, tmp_path: Path, data: bytes) -> None:
    with contextlib.chdir(tmp_path), contextlib.suppress(Exception):
        pickle.loads(data)
    assert os.listdir(tmp_path) == []


def test_it_is_taken_off_again(hostile: Touch, tmp_path: Path) -> None:
    before = pickle.loads, pickle.load, pickle.Unpickler, captured_loads, EarlySubclass.__bases__, dict(os.environ)
    kept = dict(vars(Keeping))
    methods = dict(vars(pickle._Unpickler))  # type: ignore[attr-defined]
    with garrison.protect() as outer:
        assert pickle.loads is not before[0] and _pickle.loads is pickle.loads
        with garrison.protect() as inner:
            assert inner is outer
        with pytest.raises(garrison.LoadRefused):
            pickle.loads(pickle.dumps(hostile))
    assert before == (
        *(pickle.loads, pickle.load, pickle.Unpickler, captured_loads, EarlySubclass.__bases__),
        dict(os.environ),
    )
    assert Keeping.loads is kept["loads"] and Keeping.static is kept["static"].__func__
    assert methods == dict(vars(pickle._Unpickler))  # type: ignore[attr-defined]
    pickle.loads(pickle.dumps(Touch(tmp_path / "made")))
    assert (tmp_path / "made").exists()


def test_another_policy_meanwhile(protected: None) -> None:
    with pytest.raises(UsageError, match="another policy"):
        garrison.protect(garrison.Policy(threshold="low"))
    with garrison.protect(garrison.Policy()):
        pass
    with pytest.raises(garrison.LoadRefused):
        pickle.loads(b"cposix\nsystem\n(S'true'\ntR.")


def test_the_policy_decides() -> None:
    data = pickle.dumps(Mine())
    with garrison.protect():
        assert pickle.loads(data).value == 1
    with garrison.protect(garrison.Policy(threshold="medium")), pytest.raises(garrison.LoadRefused, match="unknown"):
        pickle.loads(data)
    with garrison.protect(garrison.Policy(threshold="medium", allowed_globals=(f"{__name__}.*",))):
        assert pickle.loads(data).value == 1
    with garrison.protect(garrison.Policy(denied_formats=("pickle",))), pytest.raises(garrison.LoadRefused):
        pickle.loads(pickle.dumps([1]))


def test_a_waiver_is_for_its_subject(tmp_path: Path) -> None:
    waiver = Waiver(
        rule="unknown-import", reason="ours", owner="me", expires=datetime.date(2999, 1, 1), subject="*/known.pkl"
    )
    for name in ("known.pkl", "other.pkl"):
        (tmp_path / name).write_bytes(pickle.dumps(Mine()))
    with garrison.protect(garrison.Policy(threshold="medium", waivers=(waiver,))):
        with open(tmp_path / "known.pkl", "rb") as file:
            assert pickle.load(file).value == 1
        with open(tmp_path / "other.pkl", "rb") as file, pytest.raises(garrison.LoadRefused, match="unknown-import"):
            pickle.load(file)


def test_a_refusal_travels_between_processes() -> None:
    with garrison.protect(), pytest.raises(garrison.LoadRefused) as caught:
        pickle.loads(b"cposix\nsystem\n(S'true'\ntR.")
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value) and again.report.findings == caught.value.report.findings


def test_files_stand_where_they_would(protected: None, tmp_path: Path) -> None:
    values = [{"a": 1}, OrderedDict(b=2), "x" * 100_000]
    path = tmp_path / "several.pkl"
    path.write_bytes(b"".join(map(pickle.dumps, values)) + b"behind")
    with open(path, "rb") as file:
        assert [pickle.load(file) for _ in values] == values
        assert file.read() == b"behind"
    (tmp_path / "packed").write_bytes(gzip.compress(path.read_bytes()))
    with gzip.open(tmp_path / "packed") as file:
        assert [pickle.load(file) for _ in values] == values


def test_what_breaks_breaks_as_before(protected: None) -> None:
    for data, error in (
        (b"", EOFError),
        (pickle.dumps([1, 2, 3])[:-1], (EOFError, pickle.UnpicklingError)),
        (b"no pickle", pickle.UnpicklingError),
        (b"cno.such.module\nname\n.", ModuleNotFoundError),
    ):
        with pytest.raises(error):  # type: ignore[call-overload]
            pickle.loads(data)
    with pytest.raises(TypeError):
        pickle.loads("text")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["Unpickler", "_Unpickler"])
@pytest.mark.parametrize("protocol", range(6))
def test_several_loads_of_one_unpickler(kind: str, protocol: int, protected: None, hostile: Touch) -> None:
    written = io.BytesIO()
    pickler = pickle.Pickler(written, protocol)
    shared = ["a", OrderedDict(b=1)]
    for value in (shared, {"c": shared}, [shared, shared], hostile):
        pickler.dump(value)
    written.seek(0)
    unpickler = getattr(pickle, kind)(written)
    first = unpickler.load()
    assert first == shared
    assert unpickler.load()["c"] is first and unpickler.load()[1] is first
    with pytest.raises(garrison.LoadRefused):
        unpickler.load()


def test_a_memo_of_an_earlier_stream_is_followed(protected: None) -> None:
    """The second stream calls what the first one left in the memo, where it looks as if it called something else."""
    first = b"\x80\x04\x8c\x05posix\x8c\x06getpid\x93\x94."
    second = b"\x80\x04\x8c\x08builtins\x8c\x03set\x93\x940h\x00)R."
    policy = garrison.Policy(rules={"dangerous-import": RuleOverride(enabled=False)})
    for kind in (pickle.Unpickler, pickle._Unpickler):  # type: ignore[attr-defined]
        seen = []
        judge = Judge(policy)
        follower = Follower()
        for data in (first, second):
            seen.append(judge.stream(BytesReader(data), len(data), "a pickle", follower)[1])
            follower.keep(data)
        assert seen[1] == {("posix", "getpid"), ("builtins", "set")}
        unpickler = kind(io.BytesIO(first + second))
        with pytest.raises(garrison.LoadRefused):
            unpickler.load()


def test_subclasses_that_map_names(protected: None) -> None:
    class Renaming(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            return super().find_class("collections" if module == "old.place" else module, name)

    assert Renaming(io.BytesIO(b"cold.place\nOrderedDict\n)R.")).load() == OrderedDict()

    class Turning(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            return super().find_class("posix", "system")

    with pytest.raises(garrison.LoadRefused, match=r"posix\.system is resolved"):
        Turning(io.BytesIO(b"ccollections\nOrderedDict\n.")).load()


def test_names_that_the_policy_allows_may_be_mapped_to() -> None:
    class Renaming(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            return super().find_class(__name__, "Mine")

    data = b"cold.place\nMine\n)\x81."
    with garrison.protect(), pytest.raises(garrison.LoadRefused, match="unknown-import"):
        Renaming(io.BytesIO(data)).load()
    with garrison.protect(garrison.Policy(allowed_globals=(f"{__name__}.Mine",))):
        assert isinstance(Renaming(io.BytesIO(data)).load(), Mine)


@pytest.mark.parametrize("kind", ["Unpickler", "_Unpickler"])
def test_what_a_module_merely_imported(
    kind: str, protected: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module: Any = types.ModuleType("mycompany")
    module.make, module.Mine = os.mkdir, Mine
    monkeypatch.setitem(sys.modules, "mycompany", module)
    data = b"cmycompany\nmake\n" + pickle.dumps((str(tmp_path / "canary"),), 0)[:-1] + b"R."
    with pytest.raises(garrison.LoadRefused, match=r"mycompany\.make, which is os\.mkdir"):
        getattr(pickle, kind)(io.BytesIO(data)).load()
    assert not (tmp_path / "canary").exists()
    assert getattr(pickle, kind)(io.BytesIO(b"cmycompany\nMine\n.")).load() is Mine


def test_the_file_may_be_named(protected: None, hostile: Touch) -> None:
    call: Any = pickle.load
    assert call(file=io.BytesIO(pickle.dumps([1]))) == [1]
    with pytest.raises(garrison.LoadRefused):
        call(file=io.BytesIO(pickle.dumps(hostile)))
    with pytest.raises(TypeError):
        call()
    nameless: Any = io.BufferedReader(io.BytesIO(pickle.dumps(hostile)))  # type: ignore[arg-type]
    unnamed: Any = type("File", (), {"name": "", "read": nameless.read, "readline": nameless.readline})()
    with pytest.raises(garrison.LoadRefused, match=r"^a pickle @"):
        call(unnamed)


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_packages_of_torch(hostile: Touch, tmp_path: Path) -> None:
    import torch
    from torch import package

    path = tmp_path / "model.pt"
    for source, loads in (("X = 1", True), (f"import os\nos.system('mkdir {hostile.path}')", False)):
        with package.PackageExporter(path) as exporter:
            exporter.extern("**")
            exporter.save_source_string("mine", source)
            exporter.save_pickle("model", "model.pkl", {"a": torch.ones(2)})
        for opened in (path, str(path), io.BytesIO(path.read_bytes())):
            with garrison.protect():
                if loads:
                    importer = package.PackageImporter(opened)  # type: ignore[arg-type]
                    assert importer.load_pickle("model", "model.pkl")["a"].tolist() == [1, 1]
                    assert importer.import_module("mine").X == 1
                else:
                    with pytest.raises(garrison.LoadRefused, match=r"mine\.py line 2"):
                        package.PackageImporter(opened)  # type: ignore[arg-type]
    assert not hasattr(package.PackageImporter.__init__, "__wrapped__")


def test_loading_in_a_protected_process(protected: None, hostile: Touch, tmp_path: Path) -> None:
    import joblib
    import torch
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    joblib.dump(model, tmp_path / "model.joblib")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pt")
    (tmp_path / "model.pkl").write_bytes(pickle.dumps([1]))
    assert garrison.load(tmp_path / "model.pkl") == [1]
    assert type(garrison.load(tmp_path / "model.joblib")) is LinearRegression
    assert type(garrison.load(tmp_path / "model.pt")) is torch.nn.Linear
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(hostile))
    with pytest.raises(garrison.LoadRefused):
        garrison.load(tmp_path / "model.pkl")


def test_persistent_objects_and_buffers_still_work(protected: None) -> None:
    class Persistent(pickle.Unpickler):
        def persistent_load(self, identifier: object) -> object:
            return ["given", identifier]

    assert Persistent(io.BytesIO(b"\x80\x02K\x05Q.")).load() == ["given", 5]
    unpickler: Any = pickle.Unpickler(io.BytesIO(b"\x80\x02K\x05Q."))
    unpickler.persistent_load = lambda identifier: identifier
    assert unpickler.load() == 5
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(numpy.arange(1000), protocol=5, buffer_callback=buffers.append)
    assert pickle.loads(data, buffers=buffers).sum() == 499500
    assert pickle.loads(b"\x80\x02U\x01\xe9.", encoding="latin-1") == "é"


def test_threads(protected: None, hostile: Touch) -> None:
    data = pickle.dumps(hostile)
    refused: list[BaseException] = []

    def load() -> None:
        for _ in range(20):
            assert pickle.loads(pickle.dumps([1, OrderedDict()])) == [1, {}]
            try:
                pickle.loads(data)
            except garrison.LoadRefused as error:
                refused.append(error)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 80


def test_what_calls_pickle(protected: None, hostile: Touch, tmp_path: Path) -> None:
    import cloudpickle
    import dill
    import pandas

    data = pickle.dumps(hostile)
    for load in (cloudpickle.loads, dill.loads):
        assert load(pickle.dumps([1])) == [1]
        with pytest.raises(garrison.LoadRefused):
            load(data)
    frame = pandas.DataFrame({"a": [1, 2]})
    frame.to_pickle(tmp_path / "frame.pkl")
    assert pandas.read_pickle(tmp_path / "frame.pkl").equals(frame)
    (tmp_path / "frame.pkl").write_bytes(data)
    with pytest.raises(garrison.LoadRefused):
        pandas.read_pickle(tmp_path / "frame.pkl")
    with shelve.open(str(tmp_path / "shelf")) as shelf:
        shelf["a"] = [1]
        shelf["b"] = hostile
    with shelve.open(str(tmp_path / "shelf")) as shelf:
        assert shelf["a"] == [1]
        with pytest.raises(garrison.LoadRefused):
            shelf["b"]


def test_numpy(protected: None, hostile: Touch, tmp_path: Path) -> None:
    numpy.save(tmp_path / "a.npy", numpy.array([{"a": 1}], dtype=object))
    assert numpy.load(tmp_path / "a.npy", allow_pickle=True).tolist() == [{"a": 1}]
    numpy.save(tmp_path / "a.npy", numpy.array([hostile], dtype=object))
    numpy.savez(tmp_path / "a.npz", a=numpy.array([hostile], dtype=object))
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(hostile))
    with pytest.raises(garrison.LoadRefused):
        numpy.load(tmp_path / "a.npy", allow_pickle=True)
    with numpy.load(tmp_path / "a.npz", allow_pickle=True) as archive, pytest.raises(garrison.LoadRefused):
        archive["a"]
    with pytest.raises(garrison.LoadRefused):
        numpy.load(tmp_path / "a.pkl", allow_pickle=True)


@pytest.mark.parametrize("compress", [0, 3])
def test_joblib(compress: int, protected: None, hostile: Touch, tmp_path: Path) -> None:
    import joblib

    path = tmp_path / "a.joblib"
    array, objects = numpy.arange(1000.0), numpy.array([{"a": 1}, None], dtype=object)
    joblib.dump({"array": array, "objects": objects}, path, compress=compress)
    loaded = joblib.load(path)
    assert numpy.array_equal(loaded["array"], array) and loaded["objects"].tolist() == [{"a": 1}, None]
    for bad in (hostile, {"array": array, "bad": hostile}, [array, numpy.array([hostile], dtype=object)]):
        joblib.dump(bad, path, compress=compress)
        with pytest.raises(garrison.LoadRefused, match="mkdir"):
            joblib.load(path)
        with open(path, "rb") as file, pytest.raises(garrison.LoadRefused, match="mkdir"):
            joblib.load(file)


def test_joblib_maps_the_file_itself(protected: None, tmp_path: Path) -> None:
    import joblib

    path = tmp_path / "a.joblib"
    joblib.dump([numpy.arange(1000.0), "x"], path)
    mapped = joblib.load(path, mmap_mode="r+")[0]
    assert mapped.filename == str(path)
    mapped[0] = 5.0
    mapped.flush()
    assert joblib.load(path)[0][0] == 5.0
    stacked = io.BytesIO()
    for value in ([numpy.arange(3)], ["second"]):
        joblib.dump(value, stacked)
    with open(path, "wb") as file:
        file.write(stacked.getvalue())
    with open(path, "rb") as file:
        assert joblib.load(file)[0].tolist() == [0, 1, 2]
        assert joblib.load(file) == ["second"]


@pytest.mark.filterwarnings("ignore:`torch.jit", "ignore:'torch.load' received a zip file")
def test_torch(protected: None, hostile: Touch, tmp_path: Path) -> None:
    import torch

    path = tmp_path / "a.pt"
    for new in (True, False):
        torch.save({"a": torch.arange(3)}, path, _use_new_zipfile_serialization=new)
        for weights_only in (True, False):
            assert torch.load(path, weights_only=weights_only)["a"].tolist() == [0, 1, 2]
            memory = io.BytesIO(path.read_bytes())
            assert torch.load(memory, weights_only=weights_only)["a"].tolist() == [0, 1, 2]
        torch.save({"a": torch.arange(3), "b": hostile}, path, _use_new_zipfile_serialization=new)
        for weights_only in (True, False):
            with pytest.raises(garrison.LoadRefused, match="mkdir"):
                torch.load(path, weights_only=weights_only)
            with pytest.raises(garrison.LoadRefused, match="mkdir"):
                torch.load(io.BytesIO(path.read_bytes()), weights_only=weights_only)
    torch.save(torch.nn.Linear(2, 2), path)
    assert torch.load(path, weights_only=False).weight.shape == (2, 2)
    assert torch.load(path, weights_only=False, mmap=True).weight.shape == (2, 2)
    torch.jit.script(torch.nn.Linear(2, 2)).save(path)  # type: ignore[no-untyped-call]
    assert torch.jit.load(path)(torch.ones(1, 2)).shape == (1, 2)  # type: ignore[no-untyped-call]
    with pytest.raises(FileNotFoundError):
        torch.load(tmp_path / "absent.pt")


def test_activations_of_torch_that_are_built_in() -> None:
    from torch import special
    from torch.nn import functional

    with garrison.protect(garrison.Policy(threshold="medium")):
        for function in (functional.gelu, functional.softplus, functional.softshrink, special.expit):
            assert pickle.loads(pickle.dumps(function)) is function
        assert pickle.loads(b"ctorch.nn.functional\nsoftplus\n.") is functional.softplus  # as older ones wrote it


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_keras(protected: None, tmp_path: Path) -> None:
    import keras
    from keras.src.saving import saving_lib

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    for name in ("model.keras", "model.h5"):
        model.save(tmp_path / name)
        loaded = keras.saving.load_model(tmp_path / name)
        assert numpy.array_equal(loaded.get_weights()[0], model.get_weights()[0])
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x + 1)])
    model.save(tmp_path / "model.keras")
    for load in (keras.saving.load_model, keras.models.load_model, saving_lib.load_model):
        with pytest.raises(garrison.LoadRefused):
            load(tmp_path / "model.keras", safe_mode=False)
    with pytest.raises(garrison.LoadRefused, match="a directory"):
        keras.saving.load_model(tmp_path)
    with pytest.raises(garrison.LoadRefused, match="neither a path nor a file object, but int"):
        keras.saving.load_model(5)


@pytest.mark.parametrize("module", ["saving_api", "saving_lib", "legacy.save"])
def test_keras_2_by_its_other_name(module: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It needs all of TensorFlow: here a package of the same shape stands for it."""
    folder = tmp_path / "tf_keras" / "src" / "saving" / "legacy"
    folder.mkdir(parents=True)
    where = folder.parent.joinpath(*module.split(".")).with_suffix(".py")
    where.write_text(
        "import pathlib\n\n"
        "def load_model(filepath, custom_objects=None, compile=True): return pathlib.Path(filepath).read_bytes()"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("tf_keras", "tf_keras.src", "tf_keras.src.saving", f"tf_keras.src.saving.{module}"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with garrison.protect():
        load = importlib.import_module(f"tf_keras.src.saving.{module}").load_model
        for content, passes in ((pickle.dumps([1]), True), (b"cposix\nsystem\n(S'id'\ntR.", False)):
            (tmp_path / "model.h5").write_bytes(content)
            if passes:
                assert load(tmp_path / "model.h5") == content
            else:
                with pytest.raises(garrison.LoadRefused):
                    load(str(tmp_path / "model.h5"), compile=False)


def test_a_checkpoint_that_somebody_keeps_rewriting(protected: None, hostile: Touch, tmp_path: Path) -> None:
    import torch

    path = tmp_path / "a.pt"
    good, bad = io.BytesIO(), io.BytesIO()
    torch.save({"a": "x" * 200}, good, _use_new_zipfile_serialization=False)
    torch.save({"a": hostile}, bad, _use_new_zipfile_serialization=False)
    path.write_bytes(good.getvalue())
    stopped = threading.Event()

    def rewrite() -> None:
        while not stopped.is_set():
            for data in (bad.getvalue(), good.getvalue()):
                with open(path, "r+b") as target:
                    target.write(data)

    thread = threading.Thread(target=rewrite)
    thread.start()
    try:
        for _ in range(100):
            with contextlib.suppress(garrison.LoadRefused, pickle.UnpicklingError, EOFError, RuntimeError):
                assert torch.load(path, weights_only=False) == {"a": "x" * 200}
    finally:
        stopped.set()
        thread.join()


# -------------------------------------------------------------------- other processes


def python(code: str, *arguments: str, directory: Path, before: str = "", **settings: Any) -> Any:
    """Run a script by `python -m garrison.protect`."""
    script = directory / "script.py"
    script.write_text(code)
    command = [sys.executable, *before.split(), "-m", "garrison.protect", *arguments]
    if not arguments:
        command.append(str(script))
    return subprocess.run(command, capture_output=True, text=True, cwd=directory, timeout=60, **settings)


HOSTILE = "import pickle\npickle.loads(b\"cposix\\nmkdir\\n(S'canary'\\ntR.\")\n"


def test_a_script(tmp_path: Path) -> None:
    done = python(f"import sys\nprint(sys.argv, __name__, __file__)\n{HOSTILE}", directory=tmp_path)
    script = str(tmp_path / "script.py")
    assert done.stdout == f"{[script]} __main__ {script}\n"
    assert done.returncode == 1 and "LoadRefused: a pickle @ 0x19: dangerous-import" in done.stderr
    assert not (tmp_path / "canary").exists()
    done = python("import sys\nsys.exit(int(sys.argv[1]) + len(sys.argv))", "script.py", "40", "-m", directory=tmp_path)
    assert done.returncode == 43


def test_a_module_and_options_of_the_interpreter(tmp_path: Path) -> None:
    (tmp_path / "package.py").write_text(f"import sys\nprint(sys.argv[1:], sys.flags.utf8_mode)\n{HOSTILE}")
    done = python("", "-m", "package", "-q", "--policy", "x", directory=tmp_path, before="-X utf8")
    assert done.stdout == "['-q', '--policy', 'x'] 1\n" and "LoadRefused" in done.stderr
    assert not (tmp_path / "canary").exists()


def test_the_policy_file(tmp_path: Path) -> None:
    code = "import pickle\nclass Mine: pass\npickle.loads(pickle.dumps(Mine()))"
    assert python(code, directory=tmp_path).returncode == 0
    (tmp_path / "strict.toml").write_text('threshold = "medium"')
    done = python(code, "--policy", "strict.toml", "script.py", directory=tmp_path)
    assert done.returncode == 1 and "unknown-import" in done.stderr
    (tmp_path / "garrison.toml").write_text('threshold = "medium"')
    assert "unknown-import" in python(code, directory=tmp_path).stderr


@pytest.mark.parametrize(
    ("arguments", "before"),
    [([], ""), (["-m"], ""), (["--policy", "absent.toml", "script.py"], ""), (["script.py"], "-I"), (["--x"], "")],
)
def test_wrong_usage(arguments: list[str], before: str, tmp_path: Path) -> None:
    command = [sys.executable, *before.split(), "-m", "garrison.protect", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("python -m garrison.protect: error: ")


def test_pythons_that_are_started(tmp_path: Path) -> None:
    """By subprocess, by a shell, by another Python; before it imports anything, and with the sitecustomize it has."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "sitecustomize.py").write_text("import sys\nsys.its_own = True")
    (tmp_path / "child.py").write_text(f"import sys\nassert sys.its_own\n{HOSTILE}")
    code = """
import os, subprocess, sys
again = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, 'child.py']))"
shell = ["sh", "-c", f"{sys.executable} child.py"]
for command in ([sys.executable, "child.py"], shell, [sys.executable, "-c", again]):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "LoadRefused" in done.stderr, done
print("all refused")
"""
    done = python(code, directory=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path / "other")})
    assert done.stdout == "all refused\n", done.stderr
    assert not (tmp_path / "canary").exists()


def test_a_python_that_cannot_be_protected_does_not_start(tmp_path: Path) -> None:
    with garrison.protect():
        done = subprocess.run(
            [sys.executable, "-c", "print(1)"],
            env={**os.environ, "GARRISON_PROTECT": "{}}"},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 3 and done.stdout == ""
    assert done.stderr.startswith("garrison: this Python cannot be protected, so it does not start: ")


def test_multiprocessing_goes_on_working(tmp_path: Path) -> None:
    """Classes of one's own, which the policy does not know, travel between processes; files do not pass that way."""
    (tmp_path / "garrison.toml").write_text('threshold = "medium"')
    code = """
import concurrent.futures, multiprocessing, pickle

class Mine:
    def __init__(self, value): self.value = value

def work(item):
    try:
        pickle.load(open("hostile.pkl", "rb"))
    except pickle.UnpicklingError as error:
        assert type(error).__name__ == "LoadRefused", error
        return Mine(item.value + 1)

if __name__ == "__main__":
    open("hostile.pkl", "wb").write(b"cposix\\nmkdir\\n(S'canary'\\ntR.")
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        with context.Pool(1) as pool:
            assert [item.value for item in pool.map(work, [Mine(1), Mine(2)])] == [2, 3]
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor:
        assert executor.submit(work, Mine(5)).result().value == 6
    print("worked")
"""
    done = python(code, directory=tmp_path)
    assert done.stdout == "worked\n", done.stderr
    assert not (tmp_path / "canary").exists()


def test_joblib_and_torch_workers_go_on_working(tmp_path: Path) -> None:
    (tmp_path / "garrison.toml").write_text('threshold = "medium"')
    code = """
import joblib, numpy, torch

class Mine:
    def __init__(self, value): self.value = value

class Data(torch.utils.data.Dataset):
    def __len__(self): return 2
    def __getitem__(self, index): return torch.full((2,), index)

if __name__ == "__main__":
    big = numpy.zeros(300_000)
    def work(item, array): return Mine(item.value + len(array))
    found = joblib.Parallel(n_jobs=2, max_nbytes=1000)(joblib.delayed(work)(Mine(i), big) for i in range(2))
    assert [item.value for item in found] == [300_000, 300_001]
    assert [batch.tolist() for batch in torch.utils.data.DataLoader(Data(), num_workers=1)] == [[[0, 0]], [[1, 1]]]
    print("worked")
"""
    done = python(code, directory=tmp_path)
    assert done.stdout == "worked\n", done.stderr


def test_libraries_that_are_imported_after(tmp_path: Path) -> None:
    code = """
import sys
assert not {"numpy", "joblib", "torch", "pandas"} & set(sys.modules)
bad = b"cposix\\nmkdir\\n(S'canary'\\ntR."
open("bad.pkl", "wb").write(bad)
import io, pickle, garrison, cloudpickle, dill, joblib, numpy, pandas
from joblib import load
from dill import loads
from pickle import Unpickler
for function, argument in ((cloudpickle.loads, bad), (loads, bad), (load, "bad.pkl"), (pandas.read_pickle, "bad.pkl"),
                           (lambda file: numpy.load(file, allow_pickle=True), "bad.pkl"),
                           (lambda data: Unpickler(io.BytesIO(data)).load(), bad)):
    try:
        function(argument)
    except garrison.LoadRefused:
        continue
    sys.exit(f"{function} loaded it")
assert joblib.numpy_pickle.__spec__.loader is joblib.numpy_pickle.__loader__
print("all refused")
"""
    done = python(code, directory=tmp_path)
    assert done.stdout == "all refused\n", done.stderr
    assert not (tmp_path / "canary").exists()
