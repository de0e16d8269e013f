"""YAML documents: tags that unsafe loaders construct, and documents that loaders act on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import examine_bytes, findings_of, worst


@pytest.mark.parametrize(
    "text",
    [
        '!!python/object/apply:os.system ["id"]',
        "a: !!python/object/apply:subprocess.Popen [[id]]",
        "%TAG ! tag:yaml.org,2002:python/\n---\na: !object/apply:os.system [id]",
        "a: !<tag:yaml.org,2002:python/object/apply:os.system> [id]",
        "- 1\n- !!python/object/new:os.system [id]",
        "{a: !!python/name:os.system }",
        "!!python/module:os",
    ],
)
def test_python_tags_are_imports(text: str) -> None:
    assert worst(findings_of(text.encode(), "config.yaml")) in ("high", "critical")


@pytest.mark.parametrize(
    "text",
    [
        "name: x\nversion: 1\nlayers:\n  - 1\n  - 2\n",
        "a: !!python/tuple [1, 2]\nb: !!timestamp 2001-01-01\n",
        "a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n",
        "model:\n  _target_: torch.optim.AdamW\n  lr: 0.1\n",
        "optimizer:\n  class_path: torch.optim.Adam\n  init_args: {lr: 0.1}\n",
        "model:\n  target: ldm.models.diffusion.ddpm.LatentDiffusion\n  params:\n    x: 1\n",
    ],
)
def test_ordinary_documents_have_no_finding(text: str) -> None:
    assert findings_of(text.encode(), "config.yaml") == []


@pytest.mark.parametrize(
    "text",
    [
        "_target_: os.system\n_args_: [id]\n",
        "{_target_: os.system, _args_: [id]}\n",
        "base: &b {_target_: os.system}\nx: *b\n",
        "---\na: 1\n---\n_target_: os.system\n_args_: [id]\n",
        "model:\n  target: os.system\n  params: {command: id}\n",
        "model:\n  class_path: os.system\n  init_args: {command: id}\n",
        "'_target_': \"os\\x2esystem\"\n",
    ],
)
def test_hostile_targets(text: str) -> None:
    assert worst(findings_of(text.encode(), "model_config.yaml")) == "critical"


def test_aliases_are_never_expanded() -> None:
    text = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(20)
    )
    assert examine_bytes(text.encode(), "bomb.yaml")[-1].state == "examined"


def test_prose_is_no_yaml() -> None:
    assert (
        "yaml" not in examine_bytes(b"--- \nA horizontal rule.\nAnd more prose, not keys.\n", "notes.txt")[-1].formats
    )
    assert "yaml" not in examine_bytes(b"Hello there\nthis is text\n", "notes.txt")[-1].formats


def test_headers_of_mails_and_packages_are_no_yaml() -> None:
    data = b"Metadata-Version: 2.4\nName: x\nSummary: a thing: another\nAuthor: A <a@example.org>\nLicense: MIT\n"
    assert "yaml" not in examine_bytes(data, "METADATA")[-1].formats
    assert findings_of(data, "METADATA") == []


@given(st.text(alphabet=st.sampled_from("{}[]:,-&*!|>#'\"%@ \n\tabc.0_~<"), max_size=80))
def test_any_text_is_examined_without_an_error(text: str) -> None:
    examination = examine_bytes(text.encode(), "x.yaml")[-1]
    assert examination.state != "failed", examination.reason


def test_other_text_with_colons_is_not_called_broken_yaml() -> None:
    metadata = b"Metadata-Version: 2.1\nName: x\nSummary: one: two: three\n"
    assert findings_of(metadata, "METADATA") == []
    assert [item.rule for item in findings_of(metadata, "config.yaml")] == ["malformed"]
