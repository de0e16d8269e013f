"""Code in TorchScript archives is judged by the operators that it uses, with their arguments."""

import pickle
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.artifacts.torchscript import uses
from garrison.core.facts import Artifact, Operator
from tests.artifacts.formats.torch_archives import archive, torchscript
from tests.support import examine_bytes, facts_of, findings_of, worst


@pytest.mark.parametrize(
    "lines",
    [
        ['torch.save(x, "/tmp/q")'],
        ['torch . save(x,\n\n      "/tmp/q")'],
        ["f = torch.save", 'f(x, "/tmp/q")'],
        ["t = torch", 't.save(x, "/tmp/q")'],
        ['getattr(torch, "save")(x, "/tmp/q")'],
        ['ops.aten.save(x, "/tmp/q")'],
        ["o = ops", "a = o.aten", 'a.save(x, "/tmp/q")'],
        ['a = "/tmp"', 'torch.save(x, a + "/q")'],
        ['torch.save(x, "/tmp/{}".format(name))'],
        ['torch.save(x, "".join(["/tmp/", "q"]))'],
        ["torch.save(x, *('/tmp/q',))"],
        ["torch.save(x, self.path)"],
        ["path = self.path", "torch.save(x, path)"],
        ["torch.save(x, CONSTANTS.c0)"],
        ['torch.save(x, annotate(str, "/tmp/q"))'],
        ['fork(torch.save, x, "/tmp/q")'],
        ['y = torch.from_file("/tmp/q", True, 10, dtype=0)'],
        ['y = torch.from_file(filename="/tmp/q", shared=True, size=3)'],
        ['y = [torch.from_file(s, True, 3) for s in ["/tmp/q"]]', "async = 1"],
        ['for s in ["/tmp/q"]:', "  y = torch.from_file(s, True, 3)"],
        ['ops.torchvision.write_file("/tmp/q", x)'],
        ['y = ops.image.write_file("/tmp/q", x)'],
        ["async = 1", 'torch.save(x, "/tmp/q")'],
        ["async = 1", "t = torch", 't.save(x, "/tmp/q")'],
        ["async = 1", "f = torch.save", 'f(x, "/tmp/q")'],
        ["async = 1", "a = ops.aten", 'a.save(x, "/tmp/q")'],
    ],
)
def test_writing_a_file_that_the_model_names_is_critical(lines: list[str]) -> None:
    findings = findings_of(torchscript(*lines), "model.pt")
    assert worst(findings) == "critical", findings
    assert {finding.rule for finding in findings if finding.severity == "critical"} == {"file-operator"}


@pytest.mark.parametrize(
    "line",
    [
        'y = torch.from_file("/etc/passwd", False, 10, dtype=0)',
        'y = torch.from_file("/etc/passwd")',
        'y = ops.image.read_file("/etc/passwd")',
        'y = ops.image.read_file("x") + ops.torchvision.read_file("/etc/passwd")',
        'y = ops.prim.rpc_async("worker", "f", ())',
        "y = ops.prim.IgnoredPythonOp()",
        "y = __torch__.torch.classes.dist_c10d.TCPStore.__new__(__torch__.torch.classes.dist_c10d.TCPStore)",
    ],
)
def test_reading_files_the_network_and_python_are_high(line: str) -> None:
    assert worst(findings_of(torchscript(line), "model.pt")) == "high"


def test_a_file_that_the_caller_names_is_medium() -> None:
    assert worst(findings_of(torchscript("torch.save(x, name)"), "model.pt")) == "medium"


@pytest.mark.parametrize("line", ['y = ops.evil.doit(x, "rm -rf")', "y = __torch__.torch.classes.evil.Engine(x)"])
def test_operators_and_classes_of_unknown_makers_are_medium(line: str) -> None:
    findings = findings_of(torchscript(line), "model.pt")
    assert [(finding.rule, finding.severity) for finding in findings] == [("custom-operator", "medium")]
    assert "evil" in findings[0].message


@pytest.mark.parametrize(
    "lines",
    [
        ["_0 = torch.select(x, 0, 0)", "_1 = torch.copy_(_0, torch.tensor(65, dtype=ops.prim.dtype(_0)))"],
        ['print("Torch version:", "2.3.0")', 'torch.warn("a warning", 2)', 'ops.prim.RaiseException("no")'],
        ["y = ops.quantized.linear_dynamic(x, self.packed, True)", "z = unchecked_cast(Tensor, annotate(Any, x))"],
        ["y = ops.torchvision.nms(x, x, 0.5)", "y = torch.reshape(torch.load_balance(x), [-1])"],
        ["y : __torch__.torch.classes.quantized.LinearPackedParamsBase = self._packed_params"],
        ['y = getattr(self, "1")', "z = (self.saver).save(x)", "y = inf"],
    ],
)
def test_ordinary_code_is_no_alarm(lines: list[str]) -> None:
    assert findings_of(torchscript(*lines), "model.pt") == []


def test_the_archive_is_described() -> None:
    artifact = next(f for f in facts_of(torchscript("y = x")) if type(f) is Artifact and f.format == "pytorch-zip")
    assert artifact.details["torchscript"] is True and artifact.details["version"] == "3"
    assert all(item.state == "examined" for item in examine_bytes(torchscript("y = x")))


def test_names_are_compared_without_regard_to_case() -> None:
    """As the reader of PyTorch does."""
    data = torchscript('torch.save(x, "/tmp/q")').replace(b"code/__torch__.py", b"CODE/__Torch__.PY")
    assert worst(findings_of(data, "model.pt")) == "critical"


def test_code_is_found_behind_other_bytes() -> None:
    """`torch.jit.load` looks for the archive from the file's end."""
    assert (
        worst(findings_of(b"\x89PNG\r\n\x1a\n" + bytes(100) + torchscript('torch.save(x, "/q")'), "a.png"))
        == "critical"
    )


def _bytecode(operators: list[tuple[str, str]], constants: list[object]) -> bytes:
    tables = (
        ("instructions", (("OP", 0, 0), ("RET", 0, 0))),
        ("operators", tuple(operators)),
        ("constants", tuple(constants)),
        ("types", ()),
        ("register_size", 2),
    )
    return pickle.dumps((7, ("__torch__.Net.forward", tables)), 2)


def test_the_bytecode_of_the_lite_interpreter_is_read() -> None:
    """It is what runs there; the sources beside it may say something else."""
    honest = torchscript("y = x", **{"bytecode.pkl": _bytecode([("aten::add", "Tensor")], [1])})
    assert findings_of(honest, "model.ptl") == []
    evil = torchscript("y = x", **{"bytecode.pkl": _bytecode([("aten::save", "")], ["/tmp/q"])})
    assert worst(findings_of(evil, "model.ptl")) == "critical"
    custom = archive({"bytecode.pkl": _bytecode([("evil::op", "")], []), "data.pkl": b"\x80\x02).", "version": b"3"})
    assert [finding.rule for finding in findings_of(custom, "model.ptl")] == ["custom-operator"]


def test_the_oldest_layout_names_its_code_in_a_document() -> None:
    model = b'{"mainModule": {"torchscriptArena": {"key": "arena/net.txt"}}, "protoVersion": "6"}'
    members = {"version": b"1\n", "model.json": model, "tensors/0": bytes(8)}
    honest = archive({**members, "arena/net.txt": b"op_version_set = 1\ndef forward(self, x):\n  return x\n"})
    assert worst(findings_of(honest, "model.pt")) == "none"
    evil = archive({**members, "arena/net.txt": b"def forward(self, x):\n  torch.save(x, '/tmp/q')\n"})
    assert worst(findings_of(evil, "model.pt")) == "critical"


def test_long_chains_of_aliases_end() -> None:
    lines = ["a0 = torch"] + [f"a{n} = a{n - 1}\n    a{n} = a{n - 1}" for n in range(1, 60)] + ["a59.save(x, name)"]
    started = time.process_time()
    assert all(item.state != "failed" for item in examine_bytes(torchscript(*lines)))
    assert time.process_time() - started < 2


@given(st.text(alphabet="torch.saveops(),'\"x= \n\t\\{}[]:0123", max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_without_an_error(text: str) -> None:
    for use in uses(f"torch.save{text}"):
        assert use.name


@given(st.integers(0, 2000), st.lists(st.tuples(st.integers(0, 1999), st.integers(0, 255)), max_size=5))
@settings(max_examples=100, deadline=None)
def test_broken_archives_do_not_fail(length: int, flips: list[tuple[int, int]]) -> None:
    data = bytearray(torchscript('torch.save(x, "/q")', **{"bytecode.pkl": _bytecode([("aten::save", "")], ["/q"])}))
    for place, value in flips:
        data[place % len(data)] = value
    for item in examine_bytes(bytes(data[:length])):
        assert item.state != "failed"
    assert any(type(fact) is Operator for fact in facts_of(torchscript('torch.save(x, "/q")')))
