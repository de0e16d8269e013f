"""What each tool's tables of `pyproject.toml` ask for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.facts import Anomaly, Artifact, Reference, Requirement
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of

NAME = "pyproject.toml"


def asked(text: str) -> list[tuple[str, str, str]]:
    return [(f.name, f.specifier, f.group) for f in facts_of(text.encode(), NAME) if type(f) is Requirement]


def references(text: str) -> list[tuple[str, str]]:
    found = facts_of(text.encode(), NAME)
    return [(fact.target, fact.detail) for fact in found if type(fact) is Reference]


PROJECT = """
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"
[project]
name = "mine"
version = "1"
requires-python = ">=3.10"
dependencies = ["numpy>=1.19,<2; python_version == '3.10'", "torch"]
[project.optional-dependencies]
dev = ["black==23.3.0"]
[dependency-groups]
test = ["pytest>=8", {include-group = "Lint_tools"}]
lint-tools = ["ruff"]
"""

POETRY = """
[tool.poetry]
name = "private-gpt"
[tool.poetry.dependencies]
python = ">=3.11,<3.12"
fastapi = { extras = ["all"], version = "^0.103.1" }
pyyaml = "^6.0.1"
anything = "*"
chromadb = {version = "^0.4.13", optional = true}
branch = {git = "https://example.org/b.git", branch = "main"}
archive = {url = "https://example.org/archive-1.2-py3-none-any.whl"}
ours = {version = "1.0", source = "company"}
foo = [
  {version = "<=1.9", python = ">=3.6,<3.8"},
  {version = "^2.0", python = ">=3.8", platform = "linux"},
]
[tool.poetry.group.dev.dependencies]
black = "^22"
[tool.poetry.dev-dependencies]
pytest = "7.0"
[tool.poetry.extras]
chroma = ["chromadb"]
[[tool.poetry.source]]
name = "company"
url = "https://packages.example.org/simple"
priority = "explicit"
"""


def test_what_a_project_asks_for_by_the_standards() -> None:
    assert set(asked(PROJECT)) == {
        ("hatchling", ">=1.27", "build-system"),
        ("numpy", ">=1.19,<2", ""),
        ("torch", "", ""),
        ("black", "==23.3.0", "dev"),
        ("pytest", ">=8", "test"),
        ("ruff", "", "lint-tools"),
    }
    details = next(fact.details for fact in facts_of(PROJECT.encode(), NAME) if type(fact) is Artifact)
    assert details == {"name": "mine", "version": "1", "python": ">=3.10", "build-backend": "hatchling.build"}


def test_poetry() -> None:
    found = {f.name: f for f in facts_of(POETRY.encode(), NAME) if type(f) is Requirement and f.name != "foo"}
    assert "python" not in found
    assert found["fastapi"].specifier == "^0.103.1" and found["fastapi"].extras == ("all",)
    assert found["anything"].specifier == ""
    assert found["chromadb"].group == "chroma"
    assert found["branch"].source == "git+https://example.org/b.git@main"
    assert found["archive"].specifier == "==1.2"
    assert found["ours"].source == "https://packages.example.org/simple"
    assert found["black"].group == found["pytest"].group == "dev"
    assert found["black"].place == "tool.poetry.group.dev.dependencies.black"
    assert references(POETRY) == [("https://packages.example.org/simple", "explicit index")]


def test_several_ways_to_get_one_package_have_their_conditions() -> None:
    found = [
        (f.specifier, f.marker) for f in facts_of(POETRY.encode(), NAME) if type(f) is Requirement and f.name == "foo"
    ]
    assert found == [
        ("<=1.9", 'python_version >= "3.6" and python_version < "3.8"'),
        ("^2.0", '(python_version >= "3.8") and (sys_platform == "linux")'),
    ]


def test_pdm_hatch_flit_and_setuptools() -> None:
    text = """
    [tool.pdm.dev-dependencies]
    test = ["pytest>=7", "-e file:///${PROJECT_ROOT}/sub#egg=sub"]
    [tool.pdm.resolution.overrides]
    urllib3 = "1.26.2"
    [[tool.pdm.source]]
    name = "private"
    url = "https://packages.example.org/simple"
    verify_ssl = false
    [tool.hatch.envs.docs]
    dependencies = ["mkdocs"]
    [tool.hatch.metadata.hooks.requirements_txt]
    files = ["requirements.txt"]
    [tool.setuptools.dynamic]
    dependencies = {file = ["base.txt"]}
    optional-dependencies.dev = {file = "dev.txt"}
    [tool.flit.metadata]
    requires = ["requests>=2.6"]
    [tool.flit.metadata.requires-extra]
    doc = ["sphinx"]
    """
    assert set(asked(text)) == {
        ("pytest", ">=7", "test"),
        ("sub", "", "test"),
        ("urllib3", "==1.26.2", "overrides"),
        ("mkdocs", "", "envs.docs"),
        ("requests", ">=2.6", ""),
        ("sphinx", "", "doc"),
    }
    assert set(references(text)) == {
        ("https://packages.example.org/simple", "extra index"),
        ("https://packages.example.org/simple", "--trusted-host"),
        ("requirements.txt", "dependencies"),
        ("base.txt", "dependencies"),
        ("dev.txt", "dependencies"),
    }


def test_uv() -> None:
    text = """
    [project]
    name = "a"
    version = "1"
    dependencies = ["torch", "mine"]
    [tool.uv]
    dev-dependencies = ["ruff"]
    constraint-dependencies = ["grpcio<1.65"]
    index-strategy = "unsafe-best-match"
    [[tool.uv.index]]
    name = "pytorch"
    url = "https://download.pytorch.org/whl/cu121"
    explicit = true
    [tool.uv.sources]
    torch = [{index = "pytorch", marker = "sys_platform == 'linux'"}]
    mine = {git = "https://example.org/mine", rev = "abc"}
    """
    found = [(f.name, f.source, f.constraint) for f in facts_of(text.encode(), NAME) if type(f) is Requirement]
    assert ("grpcio", "", True) in found and ("ruff", "", False) in found
    assert ("torch", "https://download.pytorch.org/whl/cu121", True) in found
    assert ("mine", "git+https://example.org/mine@abc", True) in found
    assert references(text) == [("https://download.pytorch.org/whl/cu121", "explicit index")]
    assert [f.what for f in facts_of(text.encode(), NAME) if type(f) is Anomaly] == ["index-strategy"]


def test_groups_in_a_circle_are_found_at_any_depth() -> None:
    groups = "".join(f'g{n} = [{{include-group = "g{n + 1}"}}]\n' for n in range(3000))
    text = f'[dependency-groups]\n{groups}g3000 = [{{include-group = "G0"}}]\n'
    found = [fact for fact in facts_of(text.encode(), NAME) if type(fact) is Anomaly]
    assert [fact.what for fact in found] == ["requirement-cycle"] and len(found[0].detail) < 300
    straight = f'[dependency-groups]\n{groups}g3000 = ["x"]\n'
    assert not any(type(fact) is Anomaly for fact in facts_of(straight.encode(), NAME))


@pytest.mark.parametrize(
    "text",
    [
        '[project]\ndependencies = ["asdf=="]\n',
        '[project]\ndependencies = ["two words"]\n',
        "[tool.poetry.dependencies]\nnumpy = 1\n",
        '[tool.poetry.dependencies]\n"not a name" = "1"\n',
        '[dependency-groups]\na = [{include-group = "b"}]\n',
    ],
)
def test_what_no_tool_reads_is_said(text: str) -> None:
    found = [fact for fact in facts_of(text.encode(), NAME) if type(fact) is Anomaly]
    assert [fact.what for fact in found] == ["requirement-refused"]


@pytest.mark.parametrize("text", ["[project]\nname = 'a'\nname = 'b'\n", "= = =", "[project]\nx = " + "[" * 9999])
def test_no_toml_is_not_passed_over(text: str) -> None:
    entry = examine_bytes(text.encode(), NAME)[-1]
    assert entry.state in ("partial", "not-understood") and entry.reason


@pytest.mark.parametrize(
    "text", ["project = 1", "[project]\ndependencies = 1", "tool = []", "[tool]\npoetry = 1\nuv = 'x'"]
)
def test_tables_that_are_none_are_passed_over(text: str) -> None:
    assert asked(text) == []
    assert examine_bytes(text.encode(), NAME)[-1].state == "examined"


@given(damaged(PROJECT.encode(), POETRY.encode()))
def test_damage_ends_in_a_state(data: bytes) -> None:
    assert_no_failure(data, NAME)


@given(
    st.dictionaries(
        st.text(max_size=5), st.one_of(st.integers(), st.text(max_size=5), st.lists(st.integers())), max_size=3
    )
)
def test_any_values_are_survived(values: dict[str, object]) -> None:
    import json

    lines = [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in values.items()]
    for where in (
        "project",
        "tool.poetry.dependencies",
        "tool.uv",
        "tool.pdm",
        "dependency-groups",
        "tool.hatch.envs.a",
    ):
        assert_no_failure("\n".join([f"[{where}]", *lines]).encode(), NAME)


@pytest.mark.parametrize(
    "text",
    [
        '[tool.rye]\ndev-dependencies = ["jinja2==2.10"]\n',
        '[tool.uv.extra-build-dependencies]\nx = ["jinja2==2.10"]\n',
        '[tool.uv.extra-build-dependencies]\nx = [{requirement = "jinja2==2.10", match-runtime = true}]\n',
        '[tool.hatch.build.hooks.custom]\ndependencies = ["jinja2==2.10"]\n',
        '[tool.hatch.build.targets.wheel.hooks.custom]\ndependencies = ["jinja2==2.10"]\n',
    ],
)
def test_what_builds_install_counts_too(text: str) -> None:
    assert [(name, specifier) for name, specifier, _ in asked(text)] == [("jinja2", "==2.10")]
