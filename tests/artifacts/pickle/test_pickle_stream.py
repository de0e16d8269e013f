"""What loading a pickle does is found, however it is written, and ordinary pickles pass without a word."""

import base64
import collections
import datetime
import decimal
import io
import os
import pickle
import struct
import uuid
import zlib
from pathlib import PurePosixPath

import cloudpickle
import dill
import joblib
import numpy
import pytest

from garrison.core.facts import Import
from garrison.core.limits import Limits
from tests.support import examine_bytes, facts_of, findings_of, worst


def text(value: str) -> bytes:
    """Push a text."""
    raw = value.encode()
    return b"\x8c" + bytes([len(raw)]) + raw


def name(module: str, attribute: str) -> bytes:
    """Resolve a global."""
    return text(module) + text(attribute) + b"\x93"


def call(function: bytes, *arguments: bytes) -> bytes:
    """Call what `function` pushes."""
    return function + b"(" + b"".join(arguments) + b"tR"


def stream(body: bytes) -> bytes:
    return b"\x80\x04" + body + b"."


def rules_of(data: bytes, file: str = "model.pkl") -> set[str]:
    return {item.rule for item in findings_of(data, file)}


SYSTEM = name("os", "system")
RUN = text("id")


class Instance:
    def __reduce__(self) -> tuple[object, ...]:
        return (collections.OrderedDict, ([("a", 1)],))


ORDINARY = {
    "plain values": [1, -5, 2.5, None, True, "text", b"bytes", (1, 2), {3, 4}, {"k": [1]}, 1 << 100],
    "standard classes": [
        collections.OrderedDict(a=1),
        collections.defaultdict(list, a=[1]),
        collections.Counter("abc"),
        datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
        decimal.Decimal("1.5"),
        uuid.UUID(int=5),
        PurePosixPath("a/b"),
        complex(1, 2),
        slice(1, 2),
        range(3),
        frozenset({1}),
        bytearray(b"x"),
    ],
    "what an object reduces to": Instance(),
    "arrays": [numpy.arange(5), numpy.float32(1), numpy.dtype("f8"), numpy.array(["a", None], dtype=object)],
    "a random generator": numpy.random.default_rng(5),
    "a structured array": numpy.zeros(2, dtype=[("a", "<i4"), ("b", "S3")]),
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("what", ORDINARY)
def test_ordinary_pickles_pass_without_a_word(what: str, protocol: int) -> None:
    data = pickle.dumps(ORDINARY[what], protocol)
    assert findings_of(data, "model.pkl") == []
    assert examine_bytes(data, "model.pkl")[-1].state == "examined"


@pytest.mark.parametrize(
    "kind", ["u1", "u4", "<u8", ">i2", "f2", "f8", "c8", "c16", "?", "S5", "U3", "V4", "M8[ns]", "m8[s]", "i4,f8"]
)
def test_joblib_arrays_of_every_kind_are_read_to_their_end(kind: str) -> None:
    file = io.BytesIO()
    joblib.dump([numpy.zeros(700, kind), "behind"], file)
    (examination,) = examine_bytes(file.getvalue(), "model.joblib")
    assert examination.state == "examined", examination.reason
    assert findings_of(file.getvalue(), "model.joblib") == []


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("lzma", 3), ("xz", 3)])
def test_joblib_with_raw_arrays_passes_and_is_read_to_its_end(compress: object) -> None:
    file = io.BytesIO()
    value = {"a": numpy.arange(1000.0), "o": numpy.array([1, "x", None], dtype=object), "b": numpy.ones((3, 4), "<i2")}
    joblib.dump(value, file, compress=compress)
    examinations = examine_bytes(file.getvalue(), "model.joblib")
    assert {examination.state for examination in examinations} == {"examined"}
    assert findings_of(file.getvalue(), "model.joblib") == []


def test_a_call_behind_joblibs_raw_arrays_is_found() -> None:
    file = io.BytesIO()
    joblib.dump([numpy.arange(1000.0)], file)
    data = file.getvalue()
    assert data.endswith((b"e.", b"a."))
    hostile = data[:-1] + call(SYSTEM, RUN) + b"0."
    assert worst(findings_of(hostile, "model.joblib")) == "critical"


CALLS = {
    "REDUCE": stream(call(SYSTEM, RUN)),
    "REDUCE in protocol 0": b"cos\nsystem\n(S'id'\ntR.",
    "REDUCE without a header": call(SYSTEM, RUN) + b".",
    "INST": b"(S'id'\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nS'id'\no.",
    "NEWOBJ": stream(name("subprocess", "Popen") + RUN + b"\x85\x81"),
    "NEWOBJ_EX": stream(name("subprocess", "Popen") + b")}" + text("args") + RUN + b"s\x92"),
    "Python 2's name": b"c__builtin__\neval\n(S'1'\ntR.",
    "Python 2's module": b"ccommands\ngetoutput\n(S'id'\ntR.",
    "the platform's module": b"cposix\nsystem\n(S'id'\ntR.",
    "a dotted name": stream(call(name("logging", "os.system"), RUN)),
    "a re-exported module": stream(call(name("shutil", "os.popen"), RUN)),
    "names through the memo": stream(text("system") + b"\x940" + text("os") + b"\x940h\x01h\x00\x93" + RUN + b"\x85R"),
    "a global through the memo": stream(SYSTEM + b"\x940h\x00" + RUN + b"\x85R"),
    "names pushed by DUP": stream(text("code") + b"2\x93" + b")R0" + call(SYSTEM, RUN)),
    "getattr": stream(call(call(name("builtins", "getattr"), name("os", ""), text("system")), RUN)),
    "getattr of an import": stream(
        call(
            call(name("builtins", "getattr"), call(name("importlib", "import_module"), text("os")), text("system")), RUN
        )
    ),
    "attrgetter": stream(call(call(call(name("operator", "attrgetter"), text("system")), name("os", "")), RUN)),
    "partial": stream(call(call(name("functools", "partial"), SYSTEM, RUN))),
    "resolve_name": stream(call(call(name("pkgutil", "resolve_name"), text("os:system")), RUN)),
    "a namesake of an importer": stream(call(name("torch.hub", "_import_module"), text("m"), text("/tmp/m.py"))),
    "a module from a file": stream(
        call(name("importlib._bootstrap_external", "spec_from_file_location"), text("m"), text("/tmp/m.py"))
    ),
    "map": stream(call(name("builtins", "list"), call(name("builtins", "map"), SYSTEM, b"(" + RUN + b"l"))),
    "a subclass of a known module": stream(call(name("torch.utils.collect_env", "run"), RUN)),
    "exec of a text": stream(call(name("builtins", "exec"), text("import os"))),
    "a nested pickle": stream(call(name("pickle", "loads"), b"C" + bytes([21]) + b"cos\nsystem\n(S'id'\ntR.")),
    "a thread": stream(call(name("threading", "Timer"), b"K\x01", SYSTEM)),
    "a loader of another name": stream(call(name("networkx", "read_gpickle"), text("/tmp/x"))),
    "an evaluator of another name": stream(call(name("torch.utils.benchmark", "Timer"), text("1"))),
    "ctypes": stream(call(name("ctypes", "CDLL"), text("libc.so.6"))),
}


@pytest.mark.parametrize("what", CALLS)
def test_dangerous_calls_are_critical_however_they_are_written(what: str) -> None:
    found = findings_of(CALLS[what], "model.pkl")
    assert worst(found) == "critical", found


@pytest.mark.parametrize("what", CALLS)
def test_they_are_found_behind_another_pickle_and_in_a_broken_one(what: str) -> None:
    assert worst(findings_of(pickle.dumps([1, 2]) + CALLS[what], "model.pkl")) == "critical"
    broken = findings_of(CALLS[what][:-1] + b"\xff\xff", "model.pkl")
    assert worst(broken) == "critical"


def test_the_finding_says_what_is_called_with_what_and_where() -> None:
    (found,) = findings_of(stream(call(SYSTEM, text("rm -rf /"))), "model.pkl")
    assert (found.rule, found.place, found.subject) == ("dangerous-import", "@ 0x1b", "model.pkl")
    assert "os.system('rm -rf /')" in found.message


def test_an_unknown_module_is_named_unknown() -> None:
    found = findings_of(stream(name("acme.models", "Net") + b")\x81"), "model.pkl")
    assert [(item.rule, item.severity) for item in found] == [("unknown-import", "medium")]
    assert "acme.models.Net" in found[0].message


def test_a_name_of_the_standard_library_that_no_model_needs_is_high() -> None:
    assert worst(findings_of(stream(call(name("turtle", "bye"))), "model.pkl")) in ("high", "critical")


def test_altering_a_global_is_found() -> None:
    data = stream(name("builtins", "list") + b"}" + text("append") + SYSTEM + b"sb")
    assert {"state-tampering", "pickle-overrides-behaviour"} & rules_of(data)
    assert worst(findings_of(data)) in ("high", "critical")


def test_a_name_that_is_put_together_is_followed() -> None:
    joined = call(name("builtins", "str.join"), text(""), b"](" + text("o") + text("s") + b"e")
    data = stream(joined + text("system") + b"\x93" + RUN + b"\x85R")
    found = findings_of(data, "model.pkl")
    assert {"pickle-computed-name", "dangerous-import"} <= {item.rule for item in found}
    assert worst(found) == "critical"


def test_setting_items_of_a_tensor_is_found_and_of_a_dictionary_is_not() -> None:
    tensor = name("torch._utils", "_rebuild_tensor_v2") + b")R"
    assert "pickle-tensor-assignment" in rules_of(stream(tensor + text("key") + text("value") + b"s"))
    mapping = name("collections", "OrderedDict") + b")R"
    assert findings_of(stream(mapping + text("key") + text("value") + b"s")) == []


def test_an_extension_code_is_named() -> None:
    assert "pickle-extension-code" in rules_of(stream(b"\x82\x07)R"))


def test_a_persistent_id_does_not_hide_what_is_around_it() -> None:
    assert worst(findings_of(stream(text("key") + b"Q0" + call(SYSTEM, RUN)))) == "critical"


@pytest.mark.parametrize("encode", [base64.b64encode, lambda raw: raw.hex().encode(), bytes])
def test_a_pickle_inside_a_literal_is_examined(encode: object) -> None:
    inner = encode(pickle.dumps([0])[:2] + call(SYSTEM, RUN) + b".")  # type: ignore[operator]
    data = pickle.dumps({"payload": inner, "text": "x"}, 4)
    assert any(isinstance(fact, Import) and fact.module == "os" for fact in facts_of(data, "model.pkl"))


BEYOND = {
    "BINBYTES": b"B" + struct.pack("<I", 1 << 30),
    "BINBYTES8": b"\x8e" + struct.pack("<Q", 1 << 40),
    "BYTEARRAY8": b"\x96" + struct.pack("<Q", 1 << 40),
    "BINUNICODE": b"X" + struct.pack("<I", 1 << 30),
    "BINSTRING": b"T" + struct.pack("<i", 1 << 30),
    "SHORT_BINBYTES": b"C\xff",
}
"""Literals that reach beyond the end of what they stand in."""


@pytest.mark.parametrize("what", BEYOND)
def test_a_pickle_inside_a_literal_that_reaches_beyond_the_end_is_examined(what: str) -> None:
    hostile = BEYOND[what] + stream(call(SYSTEM, RUN))
    for data in (
        b"\x80\x04" + hostile,
        stream(b"N") + hostile,
        stream(b"N") + BEYOND[what] + stream(name("collections", "OrderedDict") + b")R") + hostile,
        stream(b"C" + bytes([len(hostile)]) + hostile),
        stream(b"N") + BEYOND[what] + stream(call(SYSTEM, RUN)).hex().encode(),
        stream(b"N") + BEYOND[what] + base64.b64encode(stream(call(SYSTEM, RUN))),
    ):
        assert worst(findings_of(data, "model.pkl")) == "critical", data


def test_a_pickle_inside_many_literals_is_examined_once() -> None:
    decoy = stream(name("collections", "OrderedDict") + b")R")
    unfinished = stream(b"N") + (BEYOND["BINBYTES"] + decoy) * 200 + BEYOND["BINBYTES"] + stream(call(SYSTEM, RUN))
    inside = stream(call(SYSTEM, RUN))
    for _ in range(31):
        inside = decoy[:-1] + b"B" + struct.pack("<I", len(inside)) + inside + b"."
    for data, count in ((unfinished, 202), (inside, 32)):
        assert len(examine_bytes(data, "model.pkl")) == count
        assert worst(findings_of(data, "model.pkl")) == "critical"


def test_more_hidden_pickles_than_are_examined_are_said() -> None:
    decoy = stream(name("collections", "OrderedDict") + b")R")
    for literal in (b"C" + bytes([len(decoy)]) + decoy, BEYOND["BINBYTES"] + decoy):
        examination = examine_bytes(stream(b"N") + literal * 300, "model.pkl")[-1]
        assert examination.state == "partial"
        assert "more pickles in its literals" in examination.reason


class Runs:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, ("id",))


def test_a_joblib_file_with_arrays_of_objects_is_one_subject() -> None:
    file = io.BytesIO()
    joblib.dump([numpy.array(["red", "green", number], dtype=object) for number in range(12)], file)
    assert len(examine_bytes(file.getvalue(), "encoder.joblib")) == 1
    assert findings_of(file.getvalue(), "encoder.joblib") == []


def test_opcodes_before_arrays_that_look_like_literals_of_all_that_follows_are_none() -> None:
    for before in range(100):  # until the memo entry's number before each array is the opcode X
        file = io.BytesIO()
        arrays = [numpy.array(["red", "green", number], dtype=object) for number in range(300)]
        joblib.dump([[str(number) for number in range(before)], arrays], file)
        if file.getvalue().count(b"XK\x10ub\x80") > 290:
            break
    else:
        pytest.fail("joblib writes arrays otherwise")
    assert [item.state for item in examine_bytes(file.getvalue(), "encoder.joblib")] == ["examined"]
    assert findings_of(file.getvalue(), "encoder.joblib") == []


def test_what_an_array_of_objects_runs_in_a_joblib_file_is_found() -> None:
    file = io.BytesIO()
    joblib.dump([numpy.array([number, Runs()], dtype=object) for number in range(3)], file)
    assert worst(findings_of(file.getvalue(), "encoder.joblib")) == "critical"


def test_data_behind_the_last_pickle_is_said() -> None:
    assert "pickle-trailing-data" in rules_of(pickle.dumps([1, 2]) + b"\x00\x01\x02garbage")


def test_a_compressed_pickle_is_examined() -> None:
    assert worst(findings_of(zlib.compress(CALLS["REDUCE"]), "model.bin")) == "critical"


def test_prose_is_no_pickle() -> None:
    for prose in (b"computer\nscience\nis fun\n", b"cat\nsat on the mat\n", b"Intro\nto models\n", b".\n"):
        assert findings_of(prose, "notes.txt") == []


class TestFunctionsThatArtifactsCarry:
    def test_a_harmless_function_is_at_most_medium(self) -> None:
        for module in (dill, cloudpickle):
            data = module.dumps(lambda x: numpy.add(x, 1))
            assert worst(findings_of(data, "model.pkl")) in ("low", "medium")

    def test_one_that_reaches_the_system_is_critical(self) -> None:
        def harm() -> None:
            import os

            os.system("id")

        for module in (dill, cloudpickle):
            assert worst(findings_of(module.dumps(harm), "model.pkl")) in ("high", "critical")


def laughs(levels: int) -> bytes:
    """Lists of lists that share their items: small to write, endless to print or to copy."""
    body = b"]" + b"\x94"
    for level in range(levels):
        body += b"](" + (b"h" + bytes([level])) * 10 + b"e\x94"
    return stream(body)


HOSTILE = {
    "a billion laughs": laughs(30),
    "nested marks": b"(" * 200_000 + b".",
    "nested lists": b"]" * 200_000 + b"a" * 199_999 + b".",
    "nested tuples": b"N" + b"\x85" * 200_000 + b".",
    "a memo of four billion slots": b"\x80\x02Nr\xff\xff\xff\xff.",
    "a memo number without end": b"Np" + b"9" * 100_000 + b"\n.",
    "a literal longer than the file": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b"abc",
    "a frame longer than the file": b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"N.",
    "an integer of a million digits": b"L" + b"9" * 1_000_000 + b"L\n.",
    "a negative length": b"T\xff\xff\xff\xff.",
    "very many streams": b"N." * 200_000,
    "very many globals": b"".join(b"ca\nb%d\n0" % index for index in range(120_000)) + b"N.",
    "very many calls": b"cbuiltins\nlist\n" + b"2)R0" * 100_000 + b".",
    "only a header": b"\x80\x04",
    "nothing": b"",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_bytes_end_within_the_limits(what: str) -> None:
    examination = examine_bytes(HOSTILE[what], "model.pkl", limits=Limits(seconds=20))[-1]
    assert examination.state != "failed", examination.reason
    assert "seconds" not in examination.reason


def test_a_pickle_that_expands_when_it_is_copied_is_found() -> None:
    assert "pickle-expansion-bomb" in rules_of(laughs(30))
    assert "pickle-expansion-bomb" not in rules_of(pickle.dumps([[0] * 10 for _ in range(1000)]))


def test_a_cut_pickle_says_so() -> None:
    data = pickle.dumps({"weights": list(range(1000))})
    for end in (3, 20, len(data) // 2, len(data) - 1):
        examination = examine_bytes(data[:end], "model.pkl")[-1]
        assert examination.state in ("partial", "not-understood"), end


def test_an_instance_of_a_carried_class_runs_nothing_of_it() -> None:
    class Scaler:
        def __init__(self) -> None:
            self.factor = 2

        def scale(self, value: int) -> int:
            return value * self.factor

    class Hostile(Scaler):
        def scale(self, value: int) -> int:
            return os.system(str(value))

    assert worst(findings_of(dill.dumps(Scaler()), "model.dill")) == "medium"
    assert worst(findings_of(dill.dumps(Hostile()), "model.dill")) == "critical"
    assert worst(findings_of(cloudpickle.dumps(Scaler()), "model.pkl")) == "medium"
    assert worst(findings_of(cloudpickle.dumps(Hostile()), "model.pkl")) == "critical"


def test_a_carried_class_whose_code_runs_while_it_is_loaded() -> None:
    made = call(name("dill._dill", "_create_type"), name("builtins", "type"), text("A"), b")", b"}")
    new = b"}" + text("__new__") + call(name("dill._dill", "_create_function"), b"N") + b"s"
    runs = call(name("dill._dill", "_create_type"), name("builtins", "type"), text("A"), b")", new)
    assert worst(findings_of(b"\x80\x04" + made + b")\x81.")) == "medium"
    assert worst(findings_of(b"\x80\x04" + runs + b")\x81.")) == "high"
    assert worst(findings_of(b"\x80\x04" + made + b")R.")) == "high"  # runs its __init__
    as_metaclass = call(name("dill._dill", "_create_type"), call(name("dill._dill", "_create_function"), b"N"), b"N")
    assert worst(findings_of(b"\x80\x04" + as_metaclass + b".")) == "high"
