"""How far manifests leave open what will be installed."""

import pytest

from garrison.core.findings import Check, Finding
from garrison.core.judgement import judge
from garrison.core.policy import Policy
from tests.support import examine_files, findings_of, worst

HASH = " --hash=sha256:" + "a" * 64


def rules_of(files: dict[str, bytes]) -> list[tuple[str, str, str]]:
    found = findings_of(files)
    return [(item.rule, str(item.severity), item.subject) for item in found if item.rule.startswith("requirement-")]


def message(files: dict[str, bytes], rule: str) -> str:
    return next(item.message for item in findings_of(files) if item.rule == rule)


def checks_of(files: dict[str, bytes]) -> dict[str, Check]:
    return {check.name: check for check in judge(examine_files(files), Policy())[1]}


def test_one_finding_a_file_counts_and_names() -> None:
    files = {"requirements.txt": b"a\nb\nc\nd\ne\nf\ng==1\nh>=2\n"}
    assert sorted(rules_of(files)) == [
        ("requirement-loose", "info", "requirements.txt"),
        ("requirement-unpinned", "low", "requirements.txt"),
    ]
    assert (
        message(files, "requirement-unpinned")
        == "6 of 8 packages are asked for in any version: a, b, c, d, e and 1 more"
    )
    assert "1 of 8 packages is" in message(files, "requirement-loose")


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        (b"a==1\n", []),
        (b"a>=1,<2\n", []),
        (b"a~=1.4\n", []),
        (b"a==1.*\n", ["requirement-loose"]),
        (b"a!=1\n", ["requirement-unpinned"]),
        (b"-e .\ngit+https://github.com/a/b@main#egg=b\n", []),
        (b"a==1\nb==2\n", ["requirement-unhashed"]),
        (b"a==1" + HASH.encode() + b"\nb==2\n", ["requirement-unhashed"]),
        (b"a==1" + HASH.encode() + b"\nb==2" + HASH.encode() + b"\n", []),
        (b"--require-hashes\na==1\n", ["requirement-unhashed"]),
        (b"numpy=1.19.2=py38_0\n", []),
    ],
)
def test_requirements_files(text: bytes, rules: list[str]) -> None:
    assert [rule for rule, _, _ in rules_of({"requirements.txt": text})] == rules


def test_a_half_hashed_file_is_worse_than_one_without_hashes() -> None:
    half = rules_of({"requirements.txt": b"a==1" + HASH.encode() + b"\nb==2\n"})
    assert half == [("requirement-unhashed", "low", "requirements.txt")]
    assert rules_of({"requirements.txt": b"a==1\nb==2\n"})[0][1] == "info"


def test_libraries_leave_versions_open() -> None:
    text = b'[project]\nname = "x"\nversion = "1"\ndependencies = ["a", "b>=1"]\n[build-system]\nrequires = ["c"]\n'
    assert rules_of({"pyproject.toml": text}) == [("requirement-unpinned", "info", "pyproject.toml")]
    assert message({"pyproject.toml": text}, "requirement-unpinned").startswith("1 of 2 packages is")


def test_a_lock_beside_a_manifest_fixes_its_versions() -> None:
    lock = (
        b'version = 1\nrequires-python = ">=3.11"\n\n'
        b'[[package]]\nname = "a"\nversion = "1.0"\nsource = { registry = "https://pypi.org/simple" }\n'
    )
    project = b'[project]\nname = "x"\nversion = "1"\ndependencies = ["a"]\n'
    assert rules_of({"p/pyproject.toml": project, "p/uv.lock": lock}) == []
    assert rules_of({"p/pyproject.toml": project, "q/uv.lock": lock}) != []


def test_what_is_compiled_or_constrained_is_pinned() -> None:
    compiled = b"a==1" + HASH.encode() + b"\n"
    assert rules_of({"requirements.in": b"a\n", "requirements.txt": compiled}) == []
    assert rules_of({"requirements.txt": b"-c constraints.txt\na\n", "constraints.txt": b"a==1\n"}) == []


def test_conda_pins() -> None:
    text = b"channels: [conda-forge]\ndependencies: [numpy=1.19.2=py38_0, scipy=1.2, torch, 'jax>=1']\n"
    assert sorted(rule for rule, _, _ in rules_of({"environment.yml": text})) == [
        "requirement-loose",
        "requirement-unpinned",
    ]


def test_how_many_were_judged_is_said() -> None:
    assert "pins" not in checks_of({"readme.md": b"# nothing\n"})
    assert checks_of({"requirements.txt": b"a==1\nb==\n? ?\n"})["pins"].gap
    check = checks_of({"requirements.txt": b"a==1\n"})["pins"]
    assert (check.checked, check.total, check.gap) == (1, 1, False)
    computed = checks_of({"setup.py": b"from setuptools import setup\nsetup(install_requires=get())\n"})["pins"]
    assert (computed.checked, computed.total, computed.gap) == (0, 1, True)


def test_nothing_here_is_worse_than_low() -> None:
    found: list[Finding] = findings_of({"requirements.txt": b"a\nb>=1\nc==1" + HASH.encode() + b"\n-r more.txt\n? ?\n"})
    assert worst(found) == "low"
