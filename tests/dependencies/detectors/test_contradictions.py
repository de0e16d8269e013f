"""Requirements that exclude each other, stand twice, or are not what the lock has."""

import pytest

from garrison.core.findings import Finding
from garrison.core.judgement import judge
from garrison.core.policy import Policy
from tests.support import examine_files, findings_of

UV_LOCK = b"""version = 1
requires-python = ">=3.11"

[[package]]
name = "numpy"
version = "1.21.5"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "torch"
version = "2.0.0+cpu"
source = { registry = "https://pypi.org/simple" }
"""


def of(files: dict[str, bytes], *rules: str) -> list[Finding]:
    return [item for item in findings_of(files) if item.rule in rules]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (b"numpy==1.0\nnumpy==1.1\n", 1),
        (b"numpy==1.0\nNumPy>=1.1\n", 1),
        (b"a.b==1\na-b==2\nA_B==3\n", 3),
        (b"numpy>=1.0\nnumpy<2\n", 0),
        (b"numpy==1.0\nnumpy==1.0.0\n", 0),
        (b"numpy==1.0; python_version < '3.9'\nnumpy==1.1; python_version >= '3.9'\n", 0),
        (b"numpy==1.0; python_version < '3.10'\nnumpy==1.1; python_version >= '3.9'\n", 1),
        (b"numpy==1.0; sys_platform == 'win32'\nnumpy==1.1; sys_platform == 'linux'\n", 0),
        (b"numpy==1.0; sys_platform == 'win32'\nnumpy==1.1\n", 1),
        (b"numpy==1.0; nonsense == 'x'\nnumpy==1.1\n", 0),
        (b"numpy==1.0\n-c constraints.txt\n", 1),
    ],
)
def test_within_a_file_and_what_it_reads(text: bytes, count: int) -> None:
    found = of({"requirements.txt": text, "constraints.txt": b"numpy>=2\n"}, "requirement-contradiction")
    assert len(found) == count and all(str(item.severity) == "low" for item in found)


def test_both_places_are_named() -> None:
    files = {"requirements.txt": b"-c limits/constraints.txt\n\nnumpy==1.0\n", "limits/constraints.txt": b"numpy>=2\n"}
    found = of(files, "requirement-contradiction")
    assert [(item.subject, item.place) for item in found] == [("limits/constraints.txt", "line 1")]
    assert "numpy==1.0 (line 3 of requirements.txt)" in found[0].message


def test_extras_exclude_what_is_always_there_but_not_each_other() -> None:
    text = (
        '[project]\nname = "x"\nversion = "1"\ndependencies = {base}\n'
        '[project.optional-dependencies]\ncpu = ["torch==1"]\ngpu = ["torch==2"]\n'
    )
    assert of({"pyproject.toml": text.replace("{base}", "[]").encode()}, "requirement-contradiction") == []
    found = of({"pyproject.toml": text.replace("{base}", '["torch>=2"]').encode()}, "requirement-contradiction")
    assert [item.place for item in found] == ["project.optional-dependencies.cpu[0]"]


def test_what_stands_twice() -> None:
    found = of({"requirements.txt": b"torch\nx==1\nTorch\nx==1\ny[a]\ny[b]\n"}, "requirement-duplicate")
    assert [(item.place, str(item.severity)) for item in found] == [("line 3", "info")]
    assert "torch, x" in found[0].message


def test_a_tools_table_may_say_more_of_the_same_package() -> None:
    text = (
        b'[project]\nname = "x"\nversion = "1"\ndependencies = ["a>=1"]\n'
        b'[tool.poetry.dependencies]\na = {source = "s"}\n'
    )
    assert of({"pyproject.toml": text}, "requirement-duplicate") == []


@pytest.mark.parametrize(
    ("dependencies", "rules"),
    [
        ('["numpy>=1.20", "torch==2.0.0"]', []),
        ('["numpy>=2"]', ["lock-contradiction"]),
        ('["numpy", "pandas"]', ["lock-outdated"]),
        ('["numpy", "pandas; python_version < \'3.8\'"]', []),
        ('["numpy", "mine[extra]"]', []),
    ],
)
def test_a_lock_is_held_against_its_manifest(dependencies: str, rules: list[str]) -> None:
    project = f'[project]\nname = "Mine"\nversion = "1"\ndependencies = {dependencies}\n'.encode()
    found = of({"p/pyproject.toml": project, "p/uv.lock": UV_LOCK}, "lock-contradiction", "lock-outdated")
    assert [item.rule for item in found] == rules


def test_compiled_requirements_are_held_against_what_they_were_compiled_from() -> None:
    files = {"requirements.in": b"numpy>=2\npandas\nscipy\n", "requirements.txt": b"numpy==1.0\nscipy==1.0\n"}
    found = of(files, "lock-contradiction", "lock-outdated")
    assert {(item.rule, item.subject, item.place) for item in found} == {
        ("lock-contradiction", "requirements.in", "line 1"),
        ("lock-outdated", "requirements.txt", ""),
    }


def test_overrides_are_to_differ() -> None:
    project = (
        b'[project]\nname = "m"\nversion = "1"\ndependencies = ["numpy>=2"]\n'
        b'[tool.uv]\noverride-dependencies = ["numpy<2"]\n'
    )
    assert of({"pyproject.toml": project, "uv.lock": UV_LOCK}, "lock-contradiction", "requirement-contradiction") == []


@pytest.mark.parametrize(
    "marker", ["", "; python_version < '3.{n}' and sys_platform != 'p{n}' or platform_machine != 'm{n}'"]
)
def test_many_pairs_end_at_a_limit_that_is_said(marker: str) -> None:
    lines = "".join(f"p{n}>={n}.1,<{n}.5{marker.format(n=n)}\np{n}>={n}.6{marker.format(n=-n)}\n" for n in range(4500))
    found = judge(examine_files({"requirements.txt": lines.encode()}), Policy())[1]
    check = next(check for check in found if check.name == "contradictions")
    assert check.gap and check.total == 4500


def test_what_many_files_share_is_compared_once() -> None:
    files = {f"requirements-{n}.txt": b"-c limits.txt\na>=1\nb>=1\n" for n in range(200)}
    found = judge(examine_files({**files, "limits.txt": b"a<2\nb<1\n"}), Policy())
    assert len([item for item in found[0] if item.rule == "requirement-contradiction"]) == 200
    assert "contradictions" not in {check.name for check in found[1]}
