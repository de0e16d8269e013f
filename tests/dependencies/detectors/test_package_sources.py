"""Where the packages of an artifact are to come from."""

import pytest

from garrison.core.facts import Requirement
from garrison.core.findings import Finding
from tests.support import examine_bytes, facts_of, worst
from tests.support import findings_of as all_findings_of


def findings_of(data: "bytes | dict[str, bytes]", name: str = "subject") -> list[Finding]:
    """Findings about where packages come from."""
    return [item for item in all_findings_of(data, name) if item.rule in ("package-index", "package-source")]


@pytest.mark.parametrize(
    ("line", "severity"),
    [
        ("numpy==1.26.4", "none"),
        ("torch==2.4.0+cu121 --hash=sha256:" + "a" * 64, "none"),
        ("-i https://pypi.org/simple", "none"),
        ("--extra-index-url https://download.pytorch.org/whl/cu121", "none"),
        ("--extra-index-url=https://pypi.nvidia.com", "none"),
        ("-f https://data.pyg.org/whl/torch-2.0.0+cpu.html", "none"),
        ("--find-links https://storage.googleapis.com/jax-releases/jax_cuda_releases.html", "none"),
        ("--extra-index-url https://packages.example.org/simple", "medium"),
        ("--extra-index-url https://user:secret@packages.example.org/simple", "medium"),
        ("--extra-index-url https://pypi.org.example.org/simple", "medium"),
        ("--extra-index-url http://packages.example.org/simple", "high"),
        ("--index-url http://203.0.113.9:8080/simple", "high"),
        ("--index-url https://203.0.113.9/simple", "high"),
        ("--index-url https://[2001:db8::1]/simple", "high"),
        ("-ihttp://packages.example.org/simple", "high"),
        ("--trusted-host packages.example.org", "medium"),
        ("--find-links /tmp/wheels", "low"),
        ("--find-links https://github.com/mypyc/mypy_mypyc-wheels/releases/expanded_assets/v1", "low"),
        ("-f https://dl.fbaipublicfiles.com/detectron2/wheels/cu113/torch1.10/index.html", "none"),
        ("x @ https://example.org/x-1.0.whl", "medium"),
        ("x @ http://example.org/x-1.0.whl", "high"),
        ("x @ https://example.org/x-1.0.whl#sha256=" + "a" * 64, "low"),
        ("x @ https://files.pythonhosted.org/packages/x-1.0.whl", "none"),
        ("https://github.com/a/b/archive/main.zip", "none"),
        ("git+https://github.com/a/b.git", "low"),
        ("git+https://github.com/a/b.git@" + "c" * 40, "none"),
        ("-e git+https://github.com/a/b.git@main#egg=b", "low"),
        ("git+http://example.org/b.git", "high"),
        ("git+https://example.org/b.git", "medium"),
        ("-e ../outside", "low"),
        ("-e .", "none"),
        ("-r http://example.org/more.txt", "high"),
        ("-c constraints.txt", "none"),
        ("x @ file:///home/conda/feedstock_root/build_artifacts/x", "low"),
    ],
)
def test_lines_of_requirements(line: str, severity: str) -> None:
    assert worst(findings_of(f"numpy>=1.0\n{line}\n".encode(), "requirements.txt")) == severity


def test_an_index_is_found_behind_comments_and_continuations() -> None:
    text = b"# packages\nnumpy==1.0 \\\n  --hash=sha256:00\n--extra-index-url \\\n  http://example.org/simple\n"
    assert worst(findings_of(text, "requirements.txt")) == "high"


def test_requirements_are_told_by_their_lines() -> None:
    assert examine_bytes(b"numpy==1.0\npandas>=2\n", "deps")[-1].formats == ["requirement-lines"]
    assert examine_bytes(b"the\nquick\nbrown\n", "vocab.txt")[-1].formats == ["text"]
    assert "requirements" in examine_bytes(b"numpy\npandas\n", "requirements.txt")[-1].formats
    assert examine_bytes(b"Hello world, this is prose == text.\n", "x")[-1].formats == ["text"]


def test_the_inventory_holds_the_requirements() -> None:
    text = b"scikit_learn[extra] >=1.0,<2 ; python_version > '3.9'  # why\nmlflow\n"
    found = [fact for fact in facts_of(text, "requirements.txt") if type(fact) is Requirement]
    assert [(fact.name, fact.specifier) for fact in found] == [("scikit_learn", ">=1.0,<2"), ("mlflow", "")]


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("channels: [conda-forge, defaults]\ndependencies: [python=3.10, {pip: [mlflow]}]", "none"),
        ("channels: [https://example.org/conda]\ndependencies: [python]", "medium"),
        ("channels: [http://example.org/conda]\ndependencies: [python]", "high"),
        ("channels: [https://conda.anaconda.org/conda-forge]\ndependencies: [python]", "none"),
        ("channels: [defaults]\ndependencies: [{pip: ['--extra-index-url http://example.org/', x]}]", "high"),
        ("dependencies: [{pip: ['x @ http://example.org/x.whl']}]", "high"),
        ("python: 3.10\nbuild_dependencies: [pip]\ndependencies: ['--index-url http://203.0.113.1/', x]", "high"),
    ],
)
def test_conda_and_python_environments(text: str, severity: str) -> None:
    assert worst(findings_of(text.encode(), "conda.yaml")) == severity


def test_packages_of_the_authors_machine_are_one_finding() -> None:
    lines = "".join(f"p{n} @ file:///home/a/cache/p{n}-1.0-py3-none-any.whl\n" for n in range(8))
    found = findings_of(lines.encode(), "requirements.txt")
    assert [(str(item.severity), item.place) for item in found] == [("low", "line 1")]
    assert "8 packages (p0, p1, p2, p3, p4 and 3 more)" in found[0].message


def test_what_lies_in_the_scan_is_not_outside() -> None:
    files = {
        "repository/a/requirements.txt": b"-e ../b\n-r ../common.txt\n",
        "repository/b/pyproject.toml": b"[project]\n",
    }
    assert [item.place for item in findings_of(files)] == ["line 2"]
    assert findings_of({**files, "repository/common.txt": b"x==1\n"}) == []
    assert [item.place for item in findings_of({"a/requirements.txt": b"-e ../b\n"})] == ["line 1"]


def test_an_explicit_index_serves_only_what_is_bound_to_it() -> None:
    index = '[[tool.uv.index]]\nname = "a"\nurl = "https://packages.example.org/simple"\n'
    assert worst(findings_of(f"{index}explicit = true\n".encode(), "pyproject.toml")) == "low"
    assert worst(findings_of(index.encode(), "pyproject.toml")) == "medium"


def test_a_package_of_a_named_index_is_judged_once() -> None:
    text = (
        '[[tool.poetry.source]]\nname = "a"\nurl = "https://packages.example.org/simple"\npriority = "explicit"\n'
        '[tool.poetry.dependencies]\nours = {version = "1", source = "a"}\n'
    )
    assert [item.rule for item in findings_of(text.encode(), "pyproject.toml")] == ["package-index"]


def test_passwords_of_indexes_are_not_shown() -> None:
    line = b"--extra-index-url https://user:hunter2@packages.example.org/simple\n-e git+https://u:hunter2@example.org/x#egg=x\n"
    assert all("hunter2" not in item.message for item in findings_of(line, "requirements.txt"))


def test_messages_stay_short_whatever_is_written() -> None:
    long = "x" * 5_000
    lines = f"--extra-index-url https://e.example/{long}\n-e ../{long}\n{long} @ https://e.example/{long}.whl\n"
    found = findings_of(lines.encode(), "requirements.txt")
    assert len(found) == 3 and all(len(item.message) < 1000 for item in found)
