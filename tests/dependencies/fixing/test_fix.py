"""`garrison fix` raises what is vulnerable as little as it can, and leaves every other byte alone."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import garrison
from garrison.cli.main import main
from garrison.core.facts import Anomaly, Requirement
from garrison.dependencies.fixing.editing import CannotEdit, edited
from garrison.dependencies.fixing.ranges import raised
from tests.dependencies.fixing.advisories import build
from tests.dependencies.index.server import PackageIndex
from tests.support import facts_of

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, own_settings: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the command in a directory of its own; returns its exit code and what it said on standard output."""
    database = build(
        tmp_path,
        {"demo": ["1.5", "2.0"], "other": ["3.1"], "hopeless": [""], "partly": ["1.2", ""]},
        malicious=["evil"],
    )
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.setenv("GARRISON_DATABASE", database)
    monkeypatch.chdir(project)

    def call(*arguments: str) -> tuple[int, str]:
        code = main(["fix", *(arguments or (".",))])
        return code, capfd.readouterr().out

    return call


FILES = {
    "requirements.txt": (
        "# what we use\r\nDemo[fast] == 1.0 ; python_version >= '3.8'  # keep\r\nsafe==1.0\r\n  other>=2,<4\r\n",
        {"Demo[fast] == 1.0": "Demo[fast] == 2.0", "other>=2,<4": "other>=3.1,<4"},
    ),
    "requirements/test.in": ("demo==1.0\n-e .\nother ~= 3.0\n", {"demo==1.0": "demo==2.0", "~= 3.0": "~= 3.0,>=3.1"}),
    "pyproject.toml": (
        '[project]\nname = "x"\ndependencies = [\n  "demo>=1.0,!=1.3", # why\n  \'other==3.0\',\n]\n'
        '[project.optional-dependencies]\nfast = ["demo==1.0"]\n'
        '[dependency-groups]\ntest = ["other (>2)"]\n',
        {"demo>=1.0,!=1.3": "demo>=2.0,!=1.3", "other==3.0": "other==3.1", "demo==1.0": "demo==2.0", "(>2)": "(>=3.1)"},
    ),
    "poetry/pyproject.toml": (
        '[tool.poetry.dependencies]\npython = "^3.9"\ndemo = "1.0"\n'
        'other = {version = "^3.0", extras = ["x"]}  # a table\n'
        '[tool.poetry.group.dev.dependencies.demo]\nversion = "~1.4 || 2.5"\n',
        {'demo = "1.0"': 'demo = "2.0"', '"^3.0"': '"^3.1"'},
    ),
    "Pipfile": (
        '[packages]\n"demo" = "==1.0"\nsafe = "*"\n[dev-packages]\nother = {version = ">=3"}\n',
        {'"demo" = "==1.0"': '"demo" = "==2.0"', '">=3"': '">=3.1"'},
    ),
    "environment.yml": (
        "channels: [conda-forge]\ndependencies:\n  - demo=1.0=py39_0   # conda\n  - other>=3\n  - pip:\n"
        "    - demo == 1.0\n",
        {"demo=1.0=py39_0": "demo=2.0", "other>=3": "other>=3.1", "demo == 1.0": "demo == 2.0"},
    ),
    "setup.cfg": (
        "[options]\ninstall_requires =\n    demo==1.0\n    other>=3.0;python_version<'4'\n",
        {"demo==1.0": "demo==2.0", "other>=3.0": "other>=3.1"},
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_only_what_is_vulnerable_changes(run: Run, name: str) -> None:
    text, edits = FILES[name]
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    path.chmod(0o640)
    expected = text
    for old, new in edits.items():
        expected = expected.replace(old, new)
    code, diff = run()
    assert code == 1 and path.read_bytes() == text.encode()
    subprocess.run(["git", "apply", "--check", "-"], input=diff, text=True, check=True, cwd=path.cwd(), env=_no_git())
    code, _ = run("--write", ".")
    assert path.read_bytes().decode() == expected
    assert path.stat().st_mode & 0o777 == 0o640
    assert code == 0
    assert run("--write", ".") == (0, "") and path.read_bytes().decode() == expected


def _no_git() -> dict[str, str]:
    """So that `git apply` looks at no repository around."""
    return {**os.environ, "GIT_CEILING_DIRECTORIES": "/", "GIT_DIR": "/nonexistent"}


def test_after_writing_a_scan_finds_nothing_of_it(run: Run) -> None:
    Path("requirements.txt").write_text("demo==1.0\nother==2.0\n")
    assert any(one.severity.rank for one in garrison.scan(".").findings if "demo" in one.message)
    assert run("--write", ".")[0] == 0
    assert [one for one in garrison.scan(".").findings if "PYSEC" in one.message] == []


def test_what_stays_is_said(run: Run) -> None:
    Path("requirements.txt").write_text("hopeless==1.0\npartly==1.0\nevil==1.0\ndemo<1.5,>=1.0\n")
    code, said = run("--write", ".")
    assert code == 1
    assert Path("requirements.txt").read_text() == "hopeless==1.0\npartly==1.2\nevil==1.0\ndemo<1.5,>=1.0\n"
    assert "hopeless 1.0 has PYSEC-2024-hopeless-1 and stays: no version is known to clear it" in said
    assert "partly 1.0 to 1.2 clears PYSEC-2024-partly-1, and leaves PYSEC-2024-partly-2" in said
    assert "evil 1.0 has MAL-2024-evil-0 and stays: it was made to do harm" in said
    assert "demo 1.0 has PYSEC-2024-demo-1, PYSEC-2024-demo-2 and stays: its own range asks for <1.5,>=1.0" in said


def test_constraints_of_the_same_project_hold(run: Run) -> None:
    Path("requirements.txt").write_text("-c constraints.txt\ndemo==1.0\nother==3.0\n")
    Path("constraints.txt").write_text("demo<1.8\nother==3.0\n")
    code, said = run("--write", ".")
    assert code == 1
    assert Path("requirements.txt").read_text() == "-c constraints.txt\ndemo==1.5\nother==3.1\n"
    assert Path("constraints.txt").read_text() == "demo<1.8\nother==3.1\n"
    assert "demo 1.0 to 1.5 clears PYSEC-2024-demo-1, and leaves PYSEC-2024-demo-2" in said


def test_lock_files_are_left_to_their_tools(run: Run) -> None:
    text = (
        'version = 1\n[[package]]\nname = "demo"\nversion = "1.0"\nsource = { registry = "https://pypi.org/simple" }\n'
    )
    Path("uv.lock").write_text(text)
    code, said = run("--write", ".")
    assert code == 1 and Path("uv.lock").read_text() == text
    assert "uv lock --upgrade-package demo" in said and "demo 1.0: 2.0 or later clears" in said


def test_hashes_need_the_index(run: Run, index: PackageIndex, tmp_path: Path) -> None:
    old = "a" * 64
    text = f"demo==1.0 \\\n    --hash=sha256:{old} \\\n    --hash=sha256:{old[::-1]}  # two\nsafe==1.0\n"
    Path("requirements.txt").write_text(text)
    code, said = run("--write", ".")
    assert code == 1 and "--online" in said and Path("requirements.txt").read_text() == text
    Path("garrison.toml").write_text(f'[packages]\nindex = "{index.url}"\n')
    index.add("demo", "2.0")
    index.add("demo", "2.0", sdist=True)
    index.add("demo", "1.9")
    assert run("--write", "--online", "requirements.txt")[0] == 0
    digests = sorted(file["hashes"]["sha256"] for file in index.pages["demo"]["files"][:2])
    assert Path("requirements.txt").read_text() == (
        f"demo==2.0 \\\n    --hash=sha256:{digests[0]} \\\n    --hash=sha256:{digests[1]}  # two\nsafe==1.0\n"
    )


def test_the_index_says_which_versions_there_are(run: Run, index: PackageIndex) -> None:
    Path("pyproject.toml").write_text(
        '[project]\nname = "x"\nrequires-python = ">=3.9"\ndependencies = ["demo==1.0"]\n'
    )
    Path("garrison.toml").write_text(f'[packages]\nindex = "{index.url}"\n')
    index.add("demo", "2.0", yanked=True)
    index.add("demo", "2.1", python=">=3.11")
    index.add("demo", "2.2rc1")
    index.add("demo", "2.3", python=">=3.8")
    assert run("--write", "--online", "pyproject.toml")[0] == 0
    assert "demo==2.3" in Path("pyproject.toml").read_text()


def test_what_stays_is_not_contradicted(run: Run, index: PackageIndex) -> None:
    Path("requirements.txt").write_text("demo==1.0\nother==3.0\nsafe==1.0\nold==1.0\n")
    Path("garrison.toml").write_text(f'[packages]\nindex = "{index.url}"\n')
    for version in ("1.0", "1.5", "2.0"):
        index.add("demo", version)
    for version in ("3.0", "3.1"):
        index.add("other", version)
    index.add("safe", "1.0", requires=["demo<1.9", "other>=9", 'demo<1.1 ; extra == "x"'])
    index.add("old", "1.0", sdist=True)
    code, said = run("--write", "--online", "requirements.txt")
    assert code == 1
    assert Path("requirements.txt").read_text() == "demo==1.5\nother==3.1\nsafe==1.0\nold==1.0\n"
    assert "and leaves PYSEC-2024-demo-2" in said
    Path("requirements.txt").write_text("demo==1.5\nsafe==1.0\n")
    _, said = run("--write", "--online", "requirements.txt")
    assert "safe 1.0 asks for <1.9" in said and Path("requirements.txt").read_text() == "demo==1.5\nsafe==1.0\n"


def test_a_file_that_changes_meanwhile_is_left(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("requirements.txt").write_text("demo==1.0\n")
    replace = os.fsync

    def meanwhile(descriptor: int) -> None:
        Path("requirements.txt").write_text("demo==1.0\nmore\n")
        replace(descriptor)

    monkeypatch.setattr("os.fsync", meanwhile)
    assert run("--write", ".")[0] == 2
    assert Path("requirements.txt").read_text() == "demo==1.0\nmore\n" and os.listdir(".") == ["requirements.txt"]


def test_links_and_nothing_to_do(run: Run, tmp_path: Path) -> None:
    (tmp_path / "shared.txt").write_text("demo==1.0\n")
    Path("requirements.txt").symlink_to(tmp_path / "shared.txt")
    assert run("--write", "requirements.txt")[0] == 0
    assert (tmp_path / "shared.txt").read_text() == "demo==2.0\n" and Path("requirements.txt").is_symlink()
    assert run("requirements.txt")[0] == 0


def test_without_a_database_it_says_how_to_get_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GARRISON_DATABASE", "/nonexistent")
    assert run()[0] == 2


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "latin-1"])
def test_codings_stay(coding: str) -> None:
    text = f"# coding: {coding} é\ndemo==1.0\n" if coding == "latin-1" else "# é\ndemo==1.0\n"
    data = text.encode(coding)
    fact = Requirement(ecosystem="pypi", name="demo", specifier="==1.0", place="line 2")
    assert edited(data, "requirements.txt", fact, "2.0").decode(coding) == text.replace("1.0", "2.0")


def test_the_same_requirement_twice_changes_where_it_is_meant() -> None:
    data = b"demo==1.0; python_version<'3.9'\ndemo==1.0; python_version>='3.9'\n"
    facts = [fact for fact in facts_of(data, "requirements.txt") if isinstance(fact, Requirement)]
    result = edited(data, "requirements.txt", facts[1], "2.0")
    assert result == b"demo==1.0; python_version<'3.9'\ndemo==2.0; python_version>='3.9'\n"


@pytest.mark.parametrize(
    ("ecosystem", "old", "new"),
    [
        ("pypi", "==1.0", "==2.0"),
        ("pypi", "=== 1.0", "=== 2.0"),
        ("pypi", "<3,>=1.0", "<3,>=2.0"),
        ("pypi", ">1.0", ">=2.0"),
        ("pypi", "~=1.4", "~=1.4,>=2.0"),
        ("pypi", "^1.4", "^2.0"),
        ("pypi", "~1.4.1", "~2.0"),
        ("pypi", "1.4", "2.0"),
        ("pypi", "==1.*", None),
        ("pypi", "<2", None),
        ("conda", "=1.0=py_0", "=2.0"),
        ("conda", "==1.0", "==2.0"),
        ("conda", "=1.0", "=2.0"),
        ("conda", ">=1.0,<3", ">=2.0,<3"),
    ],
)
def test_ranges_are_raised_in_their_own_words(ecosystem: str, old: str, new: str | None) -> None:
    assert raised(old, "2.0", ecosystem) == new


NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,8}[A-Za-z0-9]", fullmatch=True)
VERSIONS = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}(rc1|\.post2)?", fullmatch=True)
LINES = st.one_of(
    st.builds(
        "{}{}{}{}".format,
        NAMES,
        st.sampled_from(["==", " >= ", "[x]=="]),
        VERSIONS,
        st.sampled_from(["", "  # é #1.0", " ; os_name=='x'", ",!=99"]),
    ),
    st.sampled_from(["", "# 1.0==1.0", "-e .", "--no-index", "demo"]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=8), st.sampled_from(["\n", "\r\n"]), st.data())
def test_any_requirement_of_any_file_can_be_raised_and_nothing_else_changes(
    lines: list[str], ending: str, data: st.DataObject
) -> None:
    text = ending.join(lines) + ending
    every = facts_of(text.encode(), "requirements.txt")
    facts = [fact for fact in every if isinstance(fact, Requirement) and fact.specifier]
    if not facts or any(isinstance(fact, Anomaly) for fact in every):
        return  # pip refuses the whole file
    fact = data.draw(st.sampled_from(facts))
    result = edited(text.encode(), "requirements.txt", fact, "1000.1").decode()
    number = int(fact.place.removeprefix("line ")) - 1
    before, after = text.split(ending), result.split(ending)
    assert [one for position, one in enumerate(before) if position != number] == [
        one for position, one in enumerate(after) if position != number
    ]
    changed = next(f for f in facts_of(result.encode(), "requirements.txt") if f.place == fact.place)
    assert isinstance(changed, Requirement) and "1000.1" in changed.specifier


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=80))
def test_files_that_are_something_else_are_left(data: bytes) -> None:
    fact = Requirement(ecosystem="pypi", name="demo", specifier="==1.0", place="line 1")
    with pytest.raises(CannotEdit):
        edited(data, "requirements.txt", fact, "2.0")


def test_only_names_that_matter_are_asked_for(run: Run, index: PackageIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("requirements.txt").write_text("safe==1.0\ndemo==1.0\nours-only==1.0\nranged>=1\n")
    Path("garrison.toml").write_text(f'[packages]\nindex = "{index.url}"\nprivate = ["ours-*"]\n')
    monkeypatch.setattr("garrison.dependencies.index.address.Address.public", True)
    index.add("demo", "2.0")
    assert run("--write", "--online", "requirements.txt")[0] == 0
    assert [path for path in index.asked if "files" not in path] == ["/simple/demo/", "/simple/safe/"]


def test_a_file_with_two_names_is_changed_once(run: Run) -> None:
    Path("requirements.txt").write_text("demo==1.0\n")
    Path("also.txt").symlink_to("requirements.txt")
    code, said = run("--write", ".")
    assert code == 0 and said.count("demo 1.0 to 2.0") == 1 and "also.txt" not in said
    assert Path("requirements.txt").read_text() == "demo==2.0\n" and Path("also.txt").is_symlink()


def test_a_link_out_of_the_directory_is_not_followed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.txt").write_text("demo==1.0\n")
    Path("requirements.txt").symlink_to(tmp_path / "elsewhere.txt")
    code, said = run("--write", ".")
    assert code == 1 and "leaves what was named" in said
    assert (tmp_path / "elsewhere.txt").read_text() == "demo==1.0\n"
