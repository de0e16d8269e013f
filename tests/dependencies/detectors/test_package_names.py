"""Names of packages in what projects ask for and have installed."""

import pytest

from garrison.core.facts import Examination, Package, Requirement
from garrison.core.findings import Check, Finding
from garrison.core.judgement import judge
from garrison.core.policy import PackagePolicy, Policy


def judged(*names: str, ecosystem: str = "pypi", source: str = "", policy: Policy | None = None) -> list[Finding]:
    facts = [
        Requirement(ecosystem=ecosystem, name=name, specifier="==1.0", source=source, place="line 1") for name in names
    ]
    found, _ = judge([Examination(subject="requirements.txt", facts=[*facts])], policy or Policy())
    return [item for item in found if item.rule in ("typosquatting", "mistaken-package-name")]


def test_a_slip_says_what_may_have_been_meant() -> None:
    (found,) = judged("numpy", "reqeusts", "reqeusts")
    assert (found.rule, found.severity, found.place) == ("typosquatting", "medium", "line 1")
    assert "'requests'" in found.message and "'requests'" in found.fix


def test_other_alphabets_are_high_and_shown_in_plain() -> None:
    (found,) = judged("rеquests")
    assert found.severity == "high" and "\\u0435" in found.message


@pytest.mark.parametrize(("name", "severity"), [("torchtriton", "high"), ("cv2", "medium"), ("sklearn", "low")])
def test_names_on_record_say_why(name: str, severity: str) -> None:
    (found,) = judged(name)
    assert (found.rule, found.severity) == ("mistaken-package-name", severity)
    assert "https://" in found.fix


def test_names_that_no_public_index_resolves_are_not_judged() -> None:
    assert judged("reqeusts", policy=Policy(packages=PackagePolicy(private=("req*",)))) == []
    assert judged("reqeusts", source="git+https://github.com/acme/reqeusts@abcdef0") == []
    assert judged("reqeusts", ecosystem="conda") == [] and judged("./libs/reqeusts") == []
    assert len(judged("reqeusts", source="https://pypi.example.org/simple/")) == 1


def test_installed_packages_are_judged_as_well() -> None:
    package = Package(purl="pkg:npm/lodahs@1.0.0", ecosystem="npm", name="lodahs", version="1.0.0", state="installed")
    found, checks = judge([Examination(subject="node_modules/lodahs/package.json", facts=[package])], Policy())
    assert [item.rule for item in found if item.rule == "typosquatting"]
    assert [(check.checked, check.total) for check in checks if check.name == "look-alike names"] == [(1, 1)]


def test_nothing_is_said_to_be_checked_where_there_is_no_name() -> None:
    _, checks = judge([Examination(subject="model.bin")], Policy())
    assert not [check for check in checks if type(check) is Check and check.name == "look-alike names"]
