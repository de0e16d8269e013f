"""Each scheme orders versions as its ecosystem's own tool does.

The tables beside this file hold what the tools answered, and `record.py` made them.
"""

import itertools
import pathlib
import shutil
import subprocess
from collections.abc import Iterator

import packaging.version
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.dependencies.versions import InvalidVersion, UnknownEcosystem, scheme

ECOSYSTEMS = ("PyPI", "npm", "Go", "crates.io", "Debian:12", "Alpine:v3.19", "Rocky Linux:9")


def compare(ecosystem: str, left: str, right: str) -> str:
    """`<`, `=` or `>`, and `!` where one of them is no version."""
    order = scheme(ecosystem)
    try:
        first, second = order.key(left), order.key(right)
    except InvalidVersion:
        return "!"
    return "<" if first < second else ">" if first > second else "="


def recorded(tool: str) -> Iterator[list[str]]:
    for line in pathlib.Path(__file__).with_name(f"{tool}.txt").read_text("ascii").splitlines():
        yield line.split(" ")


@pytest.mark.parametrize(
    ("tool", "ecosystem"),
    [
        ("dpkg", "Debian:12"),
        ("dpkg", "Ubuntu:22.04:LTS"),
        ("rpm", "Red Hat:enterprise_linux:9::baseos"),
        ("apk", "Alpine:v3.19"),
    ],
)
def test_it_answers_as_the_real_tool_did(tool: str, ecosystem: str) -> None:
    wrong = [
        (left, right, answer, ours)
        for left, right, answer in recorded(tool)
        if (ours := compare(ecosystem, left, right)) != answer
    ]
    assert not wrong, wrong[:10]


def test_npm_versions_are_as_node_semver_has_them_where_it_takes_them() -> None:
    wrong = [line for line in recorded("npm") if line[2] != "!" and compare("npm", line[0], line[1]) != line[2]]
    assert not wrong, wrong[:10]
    assert sum(line[2] == "!" for line in recorded("npm")) < 1000


pep440 = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(("", "", "1!", "v", " ")),
        st.lists(st.integers(0, 12).map(str), min_size=1, max_size=4).map(".".join),
        st.sampled_from(("", "", "a1", "b", ".rc2", "-alpha3", "c1", "_pre")),
        st.sampled_from(("", "", ".post1", "-2", "rev3", ".post")),
        st.sampled_from(("", "", ".dev1", "dev", ".dev0")),
        st.sampled_from(("", "", "+cu113", "+1.2", "+a.1", "+a-1", "+01")),
    ),
)


@given(pep440, pep440)
@settings(max_examples=1500)
def test_python_versions_are_ordered_as_packaging_does(left: str, right: str) -> None:
    first, second = packaging.version.Version(left), packaging.version.Version(right)
    expected = "<" if first < second else ">" if first > second else "="
    assert compare("PyPI", left, right) == expected
    assert scheme("PyPI").is_prerelease(left) == first.is_prerelease


@given(st.text(alphabet="0123456789.abrcpostdev!+-_ v٣é", max_size=12))
def test_python_versions_are_refused_where_packaging_does(text: str) -> None:
    try:
        packaging.version.Version(text)
    except packaging.version.InvalidVersion:
        with pytest.raises(InvalidVersion):
            scheme("PyPI").key(text)
    else:
        scheme("PyPI").key(text)


@pytest.mark.parametrize("bound", ["2.6.0-NA", "2.9.0-NA", "2024-09-25", "", "1.0.x", "1" * 5000])
def test_bounds_that_are_no_versions_are_refused(bound: str) -> None:
    with pytest.raises(InvalidVersion):
        scheme("PyPI").key(bound)


def test_a_local_label_is_set_aside_for_bounds_without_one() -> None:
    assert scheme("PyPI").comparable("1.11.0+cu113") == "1.11.0"
    assert scheme("Debian:12").comparable("1.0+deb12u1") == "1.0+deb12u1"


debian = st.text(alphabet="019.~+-:ab", min_size=1, max_size=8).map(lambda text: f"1{text}")


@pytest.mark.skipif(not shutil.which("dpkg"), reason="asks dpkg itself")
@given(debian, debian)
@settings(max_examples=60, deadline=None)
def test_debian_versions_are_ordered_as_dpkg_does(left: str, right: str) -> None:
    ours = compare("Debian:12", left, right)
    if ours == "!":
        done = subprocess.run(["dpkg", "--compare-versions", left, "eq", right], capture_output=True, check=False)
        assert b"error" in done.stderr
    else:
        operator = {"<": "lt", "=": "eq", ">": "gt"}[ours]
        assert subprocess.run(["dpkg", "--compare-versions", left, operator, right], check=False).returncode == 0


@pytest.mark.parametrize(
    "rising",
    [
        # Semantic Versioning 2.0.0, paragraph 11.
        "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0 2.0.0 2.1.0",
        "0.0.0-0 0.0.1-0 0.0.1 0.1 1.0.0",
    ],
)
@pytest.mark.parametrize("ecosystem", ["npm", "crates.io", "Go"])
def test_semantic_versions_rise(ecosystem: str, rising: str) -> None:
    for left, right in itertools.pairwise(rising.split()):
        assert compare(ecosystem, left, right) == "<", (left, right)


@pytest.mark.parametrize(
    "rising",
    [
        "v0.0.0-20191109021931-daa7c04131f5 v0.0.0-20200101000000-abcdefabcdef v0.0.1",
        "v0.0.1 v1.2.3-pre.0.20200101000000-abcdefabcdef v1.2.3-pre.1 v1.2.3",
        "v1.9.9+incompatible v2.0.0+incompatible v2.0.1",
        "1.20.0-0 go1.20beta1 go1.20rc1 1.20rc2 go1.20 1.20.1 v1.21.0-0",
    ],
)
def test_versions_of_go_modules_rise(rising: str) -> None:
    for left, right in itertools.pairwise(rising.split()):
        assert compare("Go", left, right) == "<", (left, right)
    assert compare("Go", "v2.0.0+incompatible", "2.0.0") == "="


@pytest.mark.parametrize(
    "rising",
    [
        "1.0.0_pre20191002222144-r0 1.0.0_pre20210530193627-r0 1.0.0_p9-r0 1.0.0_p10-r0",
        "0.1.0_alpha_pre2 0.1.0_alpha 0.1.0_alpha0 0.1.0_beta 0.1.0_rc1 0.1.0 0.1.0-r1 0.1.0_git1 0.1.0a 0.1.0.1",
        # A leading zero makes a fraction.
        "1.02.07 1.02.10-r1 1.06d-r6 1.1 2",
    ],
)
def test_alpine_versions_rise(rising: str) -> None:
    for left, right in itertools.pairwise(rising.split()):
        assert compare("Alpine:v3.19", left, right) == "<", (left, right)


@pytest.mark.parametrize(
    ("ecosystem", "version", "expected"),
    [
        ("PyPI", "2.0rc1", True),
        ("PyPI", "2.0.dev3", True),
        ("PyPI", "2.0.post1", False),
        ("PyPI", "2.0", False),
        ("npm", "1.0.0-beta.1", True),
        ("npm", "v1.0.0", False),
        ("Go", "v0.0.0-20191109021931-daa7c04131f5", True),
        ("Go", "go1.21rc2", True),
        ("Alpine:v3.19", "1.0_rc1-r0", True),
        ("Alpine:v3.19", "1.0_p1-r0", False),
        ("Debian:12", "1.0~rc1-1", False),
    ],
)
def test_prereleases(ecosystem: str, version: str, expected: bool) -> None:
    assert scheme(ecosystem).is_prerelease(version) is expected


def test_an_unknown_ecosystem_is_said_to_be_one() -> None:
    with pytest.raises(UnknownEcosystem, match="Hex"):
        scheme("Hex")


@pytest.mark.parametrize("ecosystem", ECOSYSTEMS)
@given(st.data())
@settings(max_examples=150)
def test_any_text_is_a_version_or_refused_and_keys_are_orderable(ecosystem: str, data: st.DataObject) -> None:
    order = scheme(ecosystem)
    text = st.text(max_size=10) | st.text(alphabet="0123456789.-~^_+:arcvp", max_size=10)
    keys = []
    for version in data.draw(st.lists(text, max_size=6)):
        try:
            keys.append(order.key(version))
        except InvalidVersion:
            continue
    ordered = sorted(keys)
    assert all(a <= b for a, b in itertools.combinations(ordered, 2))
