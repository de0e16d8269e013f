"""Manifests that name each other."""

from garrison.core.findings import Check
from garrison.core.judgement import judge
from garrison.core.policy import Policy
from tests.support import examine_files, findings_of


def check(files: dict[str, bytes]) -> Check:
    return next(one for one in judge(examine_files(files), Policy())[1] if one.name == "files that manifests name")


def test_a_circle_is_found_once() -> None:
    files = {
        "p/requirements.txt": b"-r requirements/base.txt\n",
        "p/requirements/base.txt": b"a==1\n\n-r ../requirements.txt\n",
    }
    found = [item for item in findings_of(files) if item.rule == "requirement-cycle"]
    assert [(item.subject, item.place, str(item.severity)) for item in found] == [
        ("p/requirements/base.txt", "line 3", "low")
    ]
    itself = [
        item for item in findings_of({"requirements.txt": b"-r requirements.txt\n"}) if item.rule == "requirement-cycle"
    ]
    assert len(itself) == 1


def test_reading_one_file_twice_is_no_circle() -> None:
    files = {
        "requirements.txt": b"-r requirements-a.txt\n-r requirements-b.txt\n",
        "requirements-a.txt": b"-r requirements-c.txt\n",
        "requirements-b.txt": b"-r requirements-c.txt\n",
        "requirements-c.txt": b"x==1\n",
    }
    assert [item for item in findings_of(files) if item.rule == "requirement-cycle"] == []
    assert (check(files).checked, check(files).total, check(files).gap) == (4, 4, False)


def test_files_that_were_not_scanned_are_named() -> None:
    files = {"p/requirements.txt": b"-r base.txt\n-c ../limits.txt\n", "p/base.txt": b"a==1\n"}
    found = check(files)
    assert (found.checked, found.total, found.gap) == (1, 2, True)
    assert "../limits.txt (named in requirements.txt, line 2)" in found.reason


def test_files_in_archives_are_joined_inside_them() -> None:
    files = {"a.zip!/p/requirements.txt": b"-r ../base.txt\n", "a.zip!/base.txt": b"a==1\n"}
    assert not check(files).gap
    assert check({"a.zip!/requirements.txt": b"-r ../b.txt\n", "b.txt": b"a==1\n"}).gap


def test_projects_name_the_files_that_they_are_built_from() -> None:
    text = (
        b'[project]\nname = "x"\nversion = "1"\n'
        b'[tool.setuptools.dynamic]\ndependencies = {file = ["requirements.txt"]}\n'
    )
    assert not check({"pyproject.toml": text, "requirements.txt": b"a==1\n"}).gap
    assert check({"pyproject.toml": text}).gap


def test_a_long_circle_is_told_once() -> None:
    files = {f"requirements-{n}.txt": f"-r requirements-{n + 1}.txt\n".encode() for n in range(400)}
    files["requirements-400.txt"] = b"-r requirements-0.txt\n"
    assert len([item for item in findings_of(files) if item.rule == "requirement-cycle"]) == 1


def test_a_file_that_pip_reads_but_is_of_another_kind_is_a_gap() -> None:
    files = {"requirements.txt": b"-r deps.dat\n-r none\n", "deps.dat": b"jinja2==2.10\n%%%\n", "none": b""}
    found = check(files)
    assert (found.checked, found.total, found.gap) == (1, 2, True)
    assert "no such file: deps.dat (named in requirements.txt, line 1)" in found.reason
    assert not check({"requirements.txt": b"-r deps.dat\n", "deps.dat": b"jinja2==2.10\n"}).gap
