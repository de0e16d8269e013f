"""How far behind, taken back, given up, unknown: what an index says is judged, and what it was not asked is counted."""

from pathlib import Path

import garrison
from garrison.core.facts import Artifact, Examination, Package, Reference, Release, Requirement
from garrison.core.findings import Check, Finding
from garrison.core.policy import PackagePolicy, Policy
from garrison.dependencies.detectors.freshness import detect
from garrison.dependencies.index.inquiry import inquire
from tests.dependencies.index.server import PackageIndex


def judged(index: PackageIndex, *examinations: Examination, **packages: object) -> tuple[list[Finding], list[Check]]:
    """What is found of the examinations when the index may be asked."""
    policy = Policy(packages=PackagePolicy(index=index.url, **packages))  # type: ignore[arg-type]
    asked = list(inquire(examinations, policy, True))
    found = list(detect([*examinations, *asked], policy))
    return [one for one in found if isinstance(one, Finding)], [one for one in found if isinstance(one, Check)]


def pinned(*pins: str) -> Examination:
    facts = []
    for number, pin in enumerate(pins, 1):
        name, _, version = pin.partition("==")
        specifier = f"=={version}" if version else ""
        facts.append(Requirement(ecosystem="pypi", name=name, specifier=specifier, place=f"line {number}"))
    return Examination(subject="requirements.txt", facts=[*facts])


def history(index: PackageIndex) -> None:
    index.add("demo", "1.0", uploaded="2020-01-01T12:00:00Z")
    index.add("demo", "1.1", uploaded="2021-01-01T11:59:59Z")
    index.add("demo", "1.2", uploaded="2022-01-01T00:00:00Z", yanked=True)
    index.add("demo", "1.3", uploaded="2023-01-01T12:00:00Z")
    index.add("demo", "2.0b1", uploaded="2023-02-01T00:00:00Z")


def test_days_and_releases_behind(index: PackageIndex) -> None:
    history(index)
    policy = Policy(packages=PackagePolicy(index=index.url))
    (asked,) = inquire([pinned("Demo==1.0", "demo==1.1", "demo==1.3", "demo==1.0.0+cu113")], policy, True)
    facts = {fact.version: fact for fact in asked.facts if isinstance(fact, Release)}
    told = {version: (fact.days_behind, fact.releases_behind, fact.latest) for version, fact in facts.items()}
    assert told == {
        "1.0": (1096, 2, "1.3"),
        "1.0.0+cu113": (1096, 2, "1.3"),
        "1.1": (730, 1, "1.3"),
        "1.3": (0, 0, "1.3"),
    }


def test_a_file_has_one_finding_of_what_is_far_behind_and_a_count_of_all(index: PackageIndex) -> None:
    history(index)
    findings, checks = judged(index, pinned("demo==1.0", "demo==1.1", "demo==1.3"), days_behind=800)
    (found,) = [one for one in findings if one.rule == "package-outdated"]
    assert found.severity == "low" and "demo 1.0 by 1,096 days and 2 releases (latest 1.3)" in found.message
    assert [(one.checked, one.total, one.gap) for one in checks] == [(3, 3, False)]
    assert checks[0].data.startswith("2 behind, 1,826 days in all")


def test_pre_releases_in_use_are_compared_with_releases(index: PackageIndex) -> None:
    history(index)
    _, checks = judged(index, pinned("demo==2.0b1"))
    assert checks[0].data.startswith("0 behind, 0 days")


def test_yanked_and_removed_releases(index: PackageIndex) -> None:
    history(index)
    findings, _ = judged(index, pinned("demo==1.2", "demo==9.9"))
    told = {one.rule: (one.severity, one.place) for one in findings}
    assert told["package-yanked"] == ("medium", "line 1")
    assert told["release-unknown"] == ("medium", "line 2")


def test_projects_that_were_given_up(index: PackageIndex) -> None:
    history(index)
    index.add("gone", "1.0", uploaded="2026-01-01T00:00:00Z")
    index.pages["gone"]["project-status"] = {"status": "archived", "reason": "use demo"}
    index.add("bad", "1.0")
    index.pages["bad"]["project-status"] = {"status": "quarantined"}
    findings, _ = judged(index, pinned("demo", "gone", "bad==1.0"), abandoned_days=365)
    told = {one.rule: one for one in findings}
    assert "demo (latest 1.3 of 2023-01-01)" in told["package-abandoned"].message
    assert "gone is archived: use demo" in told["package-abandoned"].message
    assert told["package-quarantined"].severity == "high"


def test_names_that_nobody_has_registered(index: PackageIndex) -> None:
    findings, checks = judged(index, pinned("made-up==1.0", "made-up-too"))
    assert [(one.rule, one.severity, one.place) for one in findings] == [
        ("package-unknown", "medium", "line 1"),
        ("package-unknown", "medium", "line 2"),
    ]
    assert (checks[0].checked, checks[0].total) == (0, 1) and "no such package" in checks[0].reason


def unknown(*, public: bool, option: str = "", fact: Package | Requirement | None = None) -> str:
    """The severity for a name that the index does not know."""
    fact = fact or Requirement(ecosystem="pypi", name="secret-lib")
    options = [Reference(target="https://team.example/", role="package-index", detail=option)] if option else []
    version = fact.version if isinstance(fact, Package) else ""
    asked = Release(
        ecosystem="pypi",
        name="secret-lib",
        version=version,
        problem="no such package",
        public=public,
        asked="2026-01-01",
    )
    examinations = [Examination(subject="x", facts=[fact, *options]), Examination(subject="index", facts=[asked])]
    return "".join(one.severity for one in detect(examinations, Policy()) if isinstance(one, Finding))


def test_how_bad_an_unknown_name_is() -> None:
    installed = Package(purl="", ecosystem="pypi", name="secret-lib", version="1", state="installed")
    assert unknown(public=True) == "high"
    assert unknown(public=True, option="--extra-index-url") == "high"
    assert unknown(public=True, option="--index-url") == "medium"
    assert unknown(public=False) == "medium"
    assert unknown(public=True, fact=installed) == "low"


def test_what_has_a_source_or_is_the_project_itself_is_not_asked_for(index: PackageIndex) -> None:
    facts = [
        Artifact(format="pyproject", details={"name": "Our.Own"}),
        Requirement(ecosystem="pypi", name="our-own"),
        Requirement(ecosystem="pypi", name="from-git", source="git+https://github.com/x/y"),
        Requirement(ecosystem="conda", name="python"),
        Requirement(ecosystem="pypi", name="../../evil"),
    ]
    findings, checks = judged(index, Examination(subject="pyproject.toml", facts=[*facts]))
    assert findings == checks == [] and index.asked == []


def test_an_installed_environment_is_one_place(index: PackageIndex) -> None:
    history(index)
    folder = "venv/lib/python3.11/site-packages"
    examinations = [
        Examination(
            subject=f"{folder}/demo-{version}.dist-info/METADATA",
            facts=[Package(purl="", ecosystem="pypi", name="demo", version=version, state="installed")],
        )
        for version in ("1.0", "1.1")
    ]
    findings, _ = judged(index, *examinations)
    assert {(one.rule, one.subject) for one in findings} == {("package-outdated", folder)} | {
        ("package-abandoned", folder) for one in findings if one.rule == "package-abandoned"
    }


def test_a_scan_says_what_it_was_not_asked_to_look_at(index: PackageIndex, tmp_path: Path) -> None:
    history(index)
    (tmp_path / "requirements.txt").write_text("demo==1.0\n")
    policy = Policy(packages=PackagePolicy(index=index.url))
    before = garrison.scan(tmp_path / "requirements.txt", policy)
    (check,) = [one for one in before.checks if one.name == "how far behind"]
    assert (check.checked, check.total, check.gap) == (0, 1, False) and "--online" in check.reason
    assert index.asked == []
    garrison.scan(tmp_path / "requirements.txt", policy, online=True)
    assert index.asked == ["/simple/demo/"]
    after = garrison.scan(tmp_path / "requirements.txt", policy)
    (check,) = [one for one in after.checks if one.name == "how far behind"]
    assert (check.checked, check.total) == (1, 1) and " as of 20" in check.data
    assert index.asked == ["/simple/demo/"]


def test_an_index_that_does_not_answer_leaves_the_scan_incomplete(index: PackageIndex, tmp_path: Path) -> None:
    index.failures = [500] * 100
    (tmp_path / "requirements.txt").write_text("demo==1.0\n")
    report = garrison.scan(tmp_path / "requirements.txt", Policy(packages=PackagePolicy(index=index.url)), online=True)
    assert report.decision.verdict == "incomplete"
    assert any("500" in entry.reason for entry in report.coverage.entries)
