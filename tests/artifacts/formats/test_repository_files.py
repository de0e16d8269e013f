"""Small files of repositories: pointers, cards, path files and TOML."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.facts import Artifact, Reference
from tests.support import examine_bytes, facts_of, findings_of, worst

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d" * 32 + b"\nsize 1827781090\n"
CARD = (
    b"---\nlicense: apache-2.0\nbase_model: org/base\ndatasets:\n- org/data\n- org/more\ntags: [a, b]\n"
    b"model-index:\n- name: x\n---\n# Title\n\nText: with colons, {braces} and `code`.\n"
)


def test_a_pointer_is_not_the_model() -> None:
    found = findings_of(POINTER, "model.bin")
    assert [(item.rule, str(item.severity)) for item in found] == [("lfs-pointer", "low")]
    assert facts_of(POINTER, "model.bin")[0] == Artifact(
        format="lfs-pointer", details={"oid": "sha256:" + "4d" * 32, "size": 1827781090}
    )


@given(st.integers(0, len(POINTER)))
def test_a_cut_pointer_ends_in_a_state(length: int) -> None:
    assert examine_bytes(POINTER[:length], "model.bin")[-1].state == "examined"


def test_a_card_goes_to_the_inventory() -> None:
    facts = facts_of(CARD, "README.md")
    assert findings_of(CARD, "README.md") == []
    assert facts[0] == Artifact(
        format="model-card",
        details={"license": "apache-2.0", "base_model": "org/base", "datasets": "org/data, org/more"},
    )
    assert {(f.role, f.target) for f in facts if type(f) is Reference} == {
        ("base-model", "org/base"),
        ("metadata", "org/data"),
        ("metadata", "org/more"),
    }


@given(st.text(alphabet=st.sampled_from("{}[]:,-&*!|>#'\"%@ \n\tlicense"), max_size=80))
def test_any_head_of_a_card_ends_in_a_state(head: str) -> None:
    assert examine_bytes(f"---\n{head}\n---\n".encode(), "README.md")[-1].state != "failed"


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("/usr/local/lib/python3.11/site-packages\nimport sys\n", "low"),
        ("/usr/lib/python3\n./src\n", "none"),
        ("import coverage; coverage.process_startup()\n", "low"),
        (
            "import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os.environ.get(var, 'local') == 'local'; "
            "enabled and __import__('_distutils_hack').add_shim();\n",
            "low",
        ),
        ("import os; os.system('id')\n", "critical"),
        ("src\nimport base64; exec(base64.b64decode('cHJpbnQoMSk='))\n", "critical"),
        ("import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'x'])\n", "critical"),
    ],
)
def test_path_files_of_python(text: str, severity: str) -> None:
    found = findings_of(text.encode(), "site-packages.pth")
    assert worst(found) == severity
    assert not {item.rule for item in found} & {"format-mismatch", "malformed"}


def test_toml_is_walked_as_any_document() -> None:
    assert findings_of(b'[model]\nname = "x"\n', "config.toml") == []
    assert worst(findings_of(b'[model]\n_target_ = "os.system"\n_args_ = ["id"]\n', "config.toml")) == "critical"
    assert worst(findings_of(b'title = "x"\n[a]\nchat_template = "{{ \'\'.__class__ }}"\n', "conf")) == "critical"
    assert examine_bytes(b"a = [", "x.toml")[-1].state == "partial"
