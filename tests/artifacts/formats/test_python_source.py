"""Python source: which functions it calls, however the names are written, and when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.facts import Import, Reference
from tests.support import examine_bytes, facts_of, findings_of


def called(text: str) -> dict[str, bool]:
    """Full names of what is called, and whether that is deferred."""
    facts = facts_of(text.encode(), "module.py")
    return {f"{f.module}.{f.name}": f.deferred for f in facts if type(f) is Import and f.usage == "call"}


@pytest.mark.parametrize(
    "text",
    [
        "import os\nos.system('id')",
        "import os as o\no.system('id')",
        "from os import system\nsystem('id')",
        "from os import system as s\ns('id')",
        "from os import *\nsystem('id')",
        "__import__('os').system('id')",
        "import importlib\nimportlib.import_module('o' + 's').system('id')",
        "import os\ngetattr(os, 'sys' 'tem')('id')",
        "import os\ngetattr(os, 'sys' + 'tem')('id')",
        "import os\ngetattr(os, 'metsys'[::-1])('id')",
        "import os\ngetattr(os, ''.join(['sys', 'tem']))('id')",
        "import os\nx = os.system\nx('id')",
        "import os\nx = print\nif True:\n    x = os.system\nx('id')",
        "import sys\nsys.modules['os'].system('id')",
        "import os\nos.__dict__['system']('id')",
        "import os\nvars(os)['system']('id')",
        "import os\nglobals()['os'].system('id')",
        "import os\n(run := os.system)('id')",
        "import os\n@os.system\ndef f(): pass",
        "import os, functools\nfunctools.partial(os.system, 'id')()",
        "{'a': 1}\nimport os\nos.system('id')",
        "import os\n" + "\n".join(f"print{n}()" for n in range(3000)) + "\nos.system('id')",
    ],
)
def test_a_call_is_seen_however_it_is_written(text: str) -> None:
    assert called(text).get("os.system") is False


def test_a_function_that_is_handed_on_is_seen() -> None:
    facts = facts_of(b"import os\nlist(map(os.system, ['id']))\n", "m.py")
    assert any(type(f) is Import and f.usage == "reference" and f.name == "system" for f in facts)


@pytest.mark.parametrize(
    ("text", "deferred"),
    [
        ("def f():\n    os.system('id')", True),
        ("def f():\n    os.system('id')\nf()", False),
        ("def g():\n    os.system('id')\ndef f():\n    g()\nf()", False),
        ("class A:\n    os.system('id')", False),
        ("class A:\n    def forward(self):\n        os.system('id')", True),
        ("class A:\n    def __init__(self):\n        os.system('id')", False),
        ("class A:\n    def __init__(self):\n        self.go()\n    def go(self):\n        os.system('id')", False),
        ("f = lambda: os.system('id')", True),
        ("f = lambda: os.system('id')\nf()", False),
        ("def f(x=os.system('id')):\n    pass", False),
    ],
)
def test_when_a_call_runs(text: str, deferred: bool) -> None:
    assert called("import os\n" + text)["os.system"] is deferred


def test_modules_beside_it_are_stated() -> None:
    text = b"from .a import x\nfrom . import b\nfrom ..c.d import e\nimport f\n"
    targets = {f.target for f in facts_of(text, "m.py") if type(f) is Reference}
    assert targets == {"a", "a/x", "b", "../c/d", "../c/d/e"}


def test_source_of_its_own_is_left_to_those_who_run_it() -> None:
    assert findings_of(b"import os\nos.system('make')\n", "build.py") == []


def test_prose_is_no_python() -> None:
    assert "python" not in examine_bytes(b"import numpy\nand then say what you want.\n", "notes.txt")[-1].formats
    assert "python" in examine_bytes(b"import numpy\nprint(1)\n", "script")[-1].formats


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
def test_any_text_ends_in_a_state(text: str) -> None:
    examination = examine_bytes(text.encode("utf-8", "surrogatepass"), "m.py")[-1]
    assert examination.state != "failed", examination.reason


def test_deep_source_ends_in_a_state() -> None:
    deep = b"x = " + b"(" * 5000 + b")" * 5000
    assert examine_bytes(deep, "m.py")[-1].state != "failed"
    long = b"import os\nx = " + b"+".join([b"os.a"] * 20_000)
    assert examine_bytes(long, "m.py")[-1].state != "failed"
