"""What is not pinned is resolved from metadata alone, and what cannot be is said, with who asks for what."""

from pathlib import Path

import pytest

import garrison
from garrison.core.facts import Package
from garrison.core.policy import PackagePolicy, Policy
from garrison.core.report import Report
from garrison.dependencies.index import Index
from garrison.dependencies.resolution.resolver import NotResolved, resolve
from tests.dependencies.fixing.advisories import build
from tests.dependencies.index.server import PackageIndex

pytest.importorskip("resolvelib")


def test_the_newest_that_fit_together(index: PackageIndex) -> None:
    index.add("app", "1.0", requires=["lib>=1", 'win ; sys_platform == "win32"', 'more ; extra == "fast"'])
    index.add("lib", "1.0")
    index.add("lib", "2.0", requires=["low<2"])
    index.add("lib", "3.0", yanked=True)
    index.add("lib", "4.0rc1")
    index.add("lib", "5.0", python="<3")
    index.add("low", "1.0")
    index.add("low", "2.0")
    index.add("more", "1.0")
    found = resolve(Index(index.url), ["App[fast]"])
    assert found.versions == {"app": "1.0", "lib": "2.0", "low": "1.0", "more": "1.0"}
    assert found.unknown == () and found.requires["lib"] == ("low",)
    assert resolve(Index(index.url), ["app"], ["lib<2"]).versions == {"app": "1.0", "lib": "1.0"}
    assert resolve(Index(index.url), ["lib==3.0"]).versions == {"lib": "3.0"}


def test_an_older_version_is_taken_where_the_newest_does_not_fit(index: PackageIndex) -> None:
    index.add("one", "1.0", requires=["shared<2"])
    index.add("two", "1.0", requires=["shared"])
    index.add("two", "2.0", requires=["shared>=2"])
    index.add("shared", "1.5")
    index.add("shared", "2.0")
    assert resolve(Index(index.url), ["two", "one"]).versions == {"one": "1.0", "two": "1.0", "shared": "1.5"}


def test_wheels_are_read_where_they_lie_if_the_index_has_no_metadata(index: PackageIndex) -> None:
    index.metadata = False
    index.add("app", "1.0", requires=["lib"])
    index.add("lib", "1.0")
    assert resolve(Index(index.url), ["app"]).versions == {"app": "1.0", "lib": "1.0"}
    ranges = [headers["Range"] for headers in index.headers if "Range" in headers]
    assert 0 < len(ranges) <= 6


def test_sdists_are_not_built_and_that_is_said(index: PackageIndex) -> None:
    index.add("app", "1.0", requires=["old"])
    index.add("old", "2.0", sdist=True)
    found = resolve(Index(index.url), ["app"])
    assert found.versions == {"app": "1.0", "old": "2.0"} and found.unknown == ("old",)
    index.add("old", "1.0")
    assert resolve(Index(index.url), ["app"]).versions["old"] == "1.0"
    assert not any(path.endswith(".tar.gz") for path in index.asked)


def test_conflicts_name_who_asks_for_what(index: PackageIndex) -> None:
    index.add("one", "1.0", requires=["shared<2"])
    index.add("two", "1.0", requires=["shared>=2"])
    index.add("shared", "1.5")
    index.add("shared", "2.0")
    with pytest.raises(NotResolved) as error:
        resolve(Index(index.url), ["one", "two"])
    assert "one 1.0 asks for shared<2" in str(error.value) and "two 1.0 asks for shared>=2" in str(error.value)
    with pytest.raises(NotResolved, match="the project asks for made-up"):
        resolve(Index(index.url), ["made-up"])


def test_circles_end(index: PackageIndex) -> None:
    index.add("one", "1.0", requires=["two"])
    index.add("two", "1.0", requires=["one[x]"], extras=["x"])
    assert resolve(Index(index.url), ["one"]).versions == {"one": "1.0", "two": "1.0"}


def scanned(index: PackageIndex, folder: Path, text: str, **packages: object) -> Report:
    (folder / "project").mkdir(exist_ok=True)
    (folder / "project" / "requirements.txt").write_text(text)
    policy = Policy(packages=PackagePolicy(index=index.url, **packages))  # type: ignore[arg-type]
    return garrison.scan(folder / "project", policy, online=True)


def test_a_scan_holds_what_was_resolved_against_the_advisories(index: PackageIndex, tmp_path: Path) -> None:
    index.add("app", "1.0", requires=["demo"])
    index.add("demo", "1.0")
    database = build(tmp_path, {"demo": ["2.0"]})
    report = scanned(index, tmp_path, "app\n", database=database)
    packages = [fact for item in report.inventory for fact in item.facts if isinstance(fact, Package)]
    assert [(one.name, one.version, one.state, one.direct) for one in packages] == [
        ("app", "1.0", "resolved", True),
        ("demo", "1.0", "resolved", False),
    ]
    assert any("demo" in one.message and "PYSEC-2024-demo-1" in one.message for one in report.findings)
    (check,) = [one for one in report.checks if one.name == "open requirements, resolved"]
    assert (check.checked, check.total, check.gap) == (1, 1, False)
    assert "2 packages for CPython" in check.data and " as of 20" in check.data


def test_a_scan_says_what_does_not_go_together(index: PackageIndex, tmp_path: Path) -> None:
    index.add("one", "1.0", requires=["shared<2"])
    index.add("shared", "1.5")
    index.add("shared", "2.0")
    report = scanned(index, tmp_path, "one\nshared>=2\n")
    (found,) = [one for one in report.findings if one.rule == "requirements-unresolvable"]
    assert "the project asks for shared>=2" in found.message and found.severity == "low"
    (check,) = [one for one in report.checks if one.name == "open requirements, resolved"]
    assert (check.checked, check.total, check.gap) == (0, 1, True)


def test_pinned_manifests_and_private_names_are_not_resolved(index: PackageIndex, tmp_path: Path) -> None:
    index.add("one", "1.0")
    assert not [one for one in scanned(index, tmp_path, "one==1.0\n").checks if "resolved" in one.name]
