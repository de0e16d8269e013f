"""`Pipfile`: sections, sources and the ways that packages are got."""

from hypothesis import given

from garrison.core.facts import Artifact, Reference, Requirement
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of

PIPFILE = """
[[source]]
url = "https://pypi.org/simple"
verify_ssl = true
name = "pypi"
[[source]]
url = "https://someone:secret@packages.example.org/simple"
verify_ssl = false
name = "company"
[packages]
scikit-learn = "==1.0.2"
mlflow = "*"
ours = {version = ">=2", index = "company"}
branch = {git = "https://example.org/b.git", ref = "main", editable = true}
win = {version = "*", sys_platform = "== 'win32'", extras = ["a"]}
[dev-packages]
pytest = "~=7.0"
[docs]
mkdocs = "*"
[requires]
python_version = "3.9"
"""


def test_packages_by_section() -> None:
    found = {fact.name: fact for fact in facts_of(PIPFILE.encode(), "Pipfile") if type(fact) is Requirement}
    assert found["scikit-learn"].specifier == "==1.0.2" and found["mlflow"].specifier == ""
    assert found["ours"].source == "https://***@packages.example.org/simple"
    assert found["branch"].source == "git+https://example.org/b.git@main"
    assert found["win"].marker == "sys_platform == 'win32'" and found["win"].extras == ("a",)
    assert (found["pytest"].group, found["mkdocs"].group, found["ours"].group) == ("dev", "docs", "")
    assert found["pytest"].place == "dev-packages.pytest"


def test_sources_without_their_passwords() -> None:
    found = [fact for fact in facts_of(PIPFILE.encode(), "Pipfile") if type(fact) is Reference]
    assert [(fact.target, fact.detail) for fact in found] == [
        ("https://pypi.org/simple", "default index"),
        ("https://***@packages.example.org/simple", "explicit index"),
        ("https://***@packages.example.org/simple", "--trusted-host"),
    ]


def test_what_it_says_of_itself() -> None:
    details = [
        f.details for f in facts_of(PIPFILE.encode(), "Pipfile") if type(f) is Artifact and f.format == "pipfile"
    ]
    assert details == [{"python_version": "3.9"}]


def test_repeated_keys_are_said() -> None:
    entry = examine_bytes(b"[packages]\na = '*'\na = '==1'\n", "Pipfile")[-1]
    assert entry.state != "examined" and entry.reason


@given(damaged(PIPFILE.encode()))
def test_damage_ends_in_a_state(data: bytes) -> None:
    assert_no_failure(data, "Pipfile")
