"""Ranges of versions: how open they are, what lies in them, and whether two can agree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from garrison.dependencies.specifiers import allows, alternatives_of, disjoint, kind, pinned, python_marker


@pytest.mark.parametrize(
    ("ecosystem", "specifier", "expected"),
    [
        ("pypi", "==1!2.0", "exact"),
        ("pypi", "1!=2", "exact"),
        ("pypi", "==1.0", "exact"),
        ("pypi", "===1.0-weird", "exact"),
        ("pypi", "==1.0,>=0.5", "exact"),
        ("pypi", "==1.0.*", "bounded"),
        ("pypi", "~=1.4.2", "bounded"),
        ("pypi", ">=1,<2", "bounded"),
        ("pypi", "<2", "bounded"),
        ("pypi", ">=1.0", "lower"),
        ("pypi", ">1.0, !=1.5", "lower"),
        ("pypi", "!=1.5", "any"),
        ("pypi", "", "any"),
        ("pypi", "^1.2", "bounded"),
        ("pypi", "~1.2", "bounded"),
        ("pypi", "1.13.1", "exact"),
        ("pypi", "1.*", "bounded"),
        ("pypi", "*", "any"),
        ("pypi", "^1.2 || ^2.0", "bounded"),
        ("pypi", "^1.2 || >=3", "lower"),
        ("pypi", ">=2.0.0 <3", "bounded"),
        ("pypi", "==", "unknown"),
        ("pypi", "==${VERSION}", "exact"),
        ("conda", "=1.2.3=py38_0", "exact"),
        ("conda", "==1.2.3", "exact"),
        ("conda", "1.2.3 py38_0", "exact"),
        ("conda", "=1.2", "bounded"),
        ("conda", "=1.2.3", "exact"),
        ("conda", "1.2.*", "bounded"),
        ("conda", ">=1.2,<2", "bounded"),
        ("conda", ">=1.2", "lower"),
        ("conda", "1.2|1.4", "bounded"),
        ("conda", "", "any"),
        ("npm", "1.2.3", "exact"),
        ("npm", "^1.2.3", "bounded"),
        ("npm", "1.x", "bounded"),
        ("npm", "1.2.3 - 2.0", "bounded"),
        ("npm", ">=1", "lower"),
        ("npm", "latest", "any"),
        ("cargo", "1.2", "bounded"),
        ("cargo", "=1.2.3", "exact"),
        ("golang", "v1.2.3", "exact"),
    ],
)
def test_how_open_a_range_is(ecosystem: str, specifier: str, expected: str) -> None:
    assert kind(ecosystem, specifier) == expected


@pytest.mark.parametrize(
    ("ecosystem", "specifier", "version"),
    [("pypi", "== 1.0", "1.0"), ("pypi", "1.13.1", "1.13.1"), ("conda", "=1.2=b_0", "1.2"), ("pypi", ">=1", "")],
)
def test_the_version_that_a_pin_names(ecosystem: str, specifier: str, version: str) -> None:
    assert pinned(ecosystem, specifier) == version


@pytest.mark.parametrize(
    ("specifier", "expected"),
    [
        ("^1.2.3", ">=1.2.3,<2"),
        ("^0.2.3", ">=0.2.3,<0.3"),
        ("^0.0.3", ">=0.0.3,<0.0.4"),
        ("^0.0", ">=0.0,<0.1"),
        ("^0", ">=0,<1"),
        ("~1.2.3", ">=1.2.3,<1.3"),
        ("~1.2", ">=1.2,<1.3"),
        ("~1", ">=1,<2"),
        ("1.2.*", "==1.2.*"),
        ("!=1.5.*", "!=1.5.*"),
    ],
)
def test_poetrys_ranges(specifier: str, expected: str) -> None:
    assert alternatives_of("pypi", specifier) == (expected,)


@pytest.mark.parametrize(
    ("first", "second", "apart"),
    [
        ("==1.0", "==1.1", True),
        ("==1.0", "==1.0.0", False),
        ("==1.11.0+cu113", "==1.11.0", False),
        ("==1.11.0+cu113", "==1.11.0+cpu", True),
        (">=2", "<2", True),
        (">=2", "<=2", False),
        (">1.2", "<1.2.1", False),
        (">1.2a1", "<1.2", True),
        (">1.2a1", "<1.2a3", False),
        (">1.2.post1", "<1.2.post3", False),
        ("==1.*", ">=2", True),
        ("~=1.4", "==2.0", True),
        ("^1.2", "^2.0", True),
        ("^1.2 || ^2.0", "==2.1", False),
        ("!=1.0", "==1.0", True),
        (">=1,!=1.*", "<3,!=2.*", True),
        (">=1,!=1.*", "<3.1,!=2.*", False),
        ("", "==1", False),
        ("==what", "==1", False),
        ("===1.0", "===1.1", True),
        ("===1.0", ">=2", True),
    ],
)
def test_ranges_that_cannot_agree(first: str, second: str, apart: bool) -> None:
    assert disjoint("pypi", first, second) is apart
    assert disjoint("pypi", second, first) is apart


RELEASES = st.builds(
    "{}.{}{}".format, st.integers(0, 3), st.integers(0, 3), st.sampled_from(["", ".1", "a1", ".post1", ".dev1", "+x"])
)
CLAUSES = st.builds("{}{}".format, st.sampled_from(["==", ">=", "<=", "<", ">", "!="]), RELEASES) | st.builds(
    "{}{}.{}.*".format, st.sampled_from(["==", "!="]), st.integers(0, 3), st.integers(0, 3)
)


def valid(clauses: list[str]) -> str:
    return ",".join(one for one in clauses if "+" not in one or one.startswith(("==", "!=")))


SETS = st.lists(CLAUSES, max_size=4).map(valid)


@given(SETS, SETS, RELEASES | st.builds("{}.{}.{}".format, st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)))
def test_ranges_that_share_a_version_are_never_apart(first: str, second: str, version: str) -> None:
    if allows("pypi", first, version) and allows("pypi", second, version):
        assert not disjoint("pypi", first, second)
    assert allows("pypi", first, version) == SpecifierSet(first).contains(version, prereleases=True)


def test_poetrys_conditions_on_python_become_markers() -> None:
    assert python_marker("^3.8") == 'python_version >= "3.8" and python_version < "4"'
    assert python_marker("~3.8.1") == 'python_full_version >= "3.8.1" and python_version < "3.9"'
    assert python_marker("<3.8 || >=3.10") == '(python_version < "3.8") or (python_version >= "3.10")'
    assert python_marker("nonsense!") == ""


@pytest.mark.parametrize(
    "text", ["1" * 100_000, "^" * 1900, ",".join(["==1"] * 600), "|" * 1000, "1." * 900, "^" + "9" * 1900]
)
def test_long_ranges_exclude_nothing(text: str) -> None:
    for ecosystem in ("pypi", "conda", "npm", "cargo"):
        assert kind(ecosystem, text) in ("unknown", "exact", "bounded")
        assert not disjoint(ecosystem, text, text)
