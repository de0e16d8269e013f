"""Requirements are read as Python's installers read them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packaging.markers import Marker
from packaging.requirements import InvalidRequirement as Refused
from packaging.requirements import Requirement as Reference
from packaging.specifiers import SpecifierSet

from garrison.dependencies.python_requirement import (
    InvalidRequirement,
    Parsed,
    fact,
    is_location,
    located,
    parse,
    salvaged,
)

VERSIONS = st.sampled_from(["1", "1.2", "2.0.0rc1", "1.0.*", "3!4.5", "1.0+cu113", "1.2-alpha", "2022.7.1.post2", "x"])
CLAUSES = st.builds(
    "{}{}{}".format, st.sampled_from(["==", ">=", "<", "!=", "~=", "===", "=", ""]), st.just(" "), VERSIONS
)
NAMES = st.sampled_from(["numpy", "Pillow", "a", "zope.interface", "under_score", "-bad", "é", "name name", "x-", "0"])
MARKERS = st.sampled_from(
    ["", "; python_version < '3.9'", ";extra == 'x' and (os_name == \"nt\" or 1)", "; (", '; "a" in sys_platform', " #"]
)
EXTRAS = st.sampled_from(["", "[a]", "[a, b-c]", " [ x ] ", "[]", "[", "[a,]"])


@given(NAMES, EXTRAS, st.lists(CLAUSES, max_size=3), MARKERS, st.booleans())
def test_it_agrees_with_packaging(name: str, extras: str, clauses: list[str], marker: str, brackets: bool) -> None:
    specifier = ",".join(clauses)
    text = f"{name}{extras}{f'({specifier})' if brackets else specifier}{marker}"
    try:
        expected = Reference(text)
    except Refused:
        with pytest.raises(InvalidRequirement):
            parse(text)
        return
    found = parse(text)
    assert found.name == expected.name and set(found.extras) == expected.extras and found.source == (expected.url or "")
    assert SpecifierSet(found.specifier) == expected.specifier
    assert (Marker(found.marker) if found.marker else None) == expected.marker


@example("1_<1")
@given(st.text(alphabet="ab1.=<>~![]();@ -_:/'\"${}", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        expected = Reference(text)
    except Refused:
        expected = None
    try:
        found = parse(text)
    except InvalidRequirement:
        assert expected is None
        return
    if expected is not None:
        assert found.name == expected.name and found.source == (expected.url or "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "urllib3 @ https://example.org/urllib3/1.26.8.zip",
            Parsed("urllib3", (), "", "https://example.org/urllib3/1.26.8.zip"),
        ),
        (
            "grpcio @ file:///cache/grpcio-1.45.0-cp37-cp37m-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            Parsed(
                "grpcio",
                (),
                "==1.45.0",
                "file:///cache/grpcio-1.45.0-cp37-cp37m-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            ),
        ),
        (
            "a @ git+https://example.org/a@main ; os_name == 'nt'",
            Parsed("a", (), "", "git+https://example.org/a@main", "os_name == 'nt'"),
        ),
        (
            "more_itertools @ https://example.org/more-itertools-8.12.0.tar.gz",
            Parsed("more_itertools", (), "==8.12.0", "https://example.org/more-itertools-8.12.0.tar.gz"),
        ),
        ("qwert==${MY_VARIABLE_1}", Parsed("qwert", (), "==${MY_VARIABLE_1}")),
        (
            "requests [security] >= 2.8.1, == 2.8.* ; python_version < '2.7'",
            Parsed("requests", ("security",), ">= 2.8.1, == 2.8.*", "", "python_version < '2.7'"),
        ),
    ],
)
def test_parts_are_kept_as_written(text: str, expected: Parsed) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("./d/numpy-1.9.2-cp34-none-win32.whl", Parsed("numpy", (), "==1.9.2", "./d/numpy-1.9.2-cp34-none-win32.whl")),
        (
            "torch-2.1.0%2Bcu121-cp310-cp310-linux_x86_64.whl",
            Parsed("torch", (), "==2.1.0+cu121", "torch-2.1.0%2Bcu121-cp310-cp310-linux_x86_64.whl"),
        ),
        (".[dev,test]", Parsed(".", ("dev", "test"), "", ".")),
        (
            "git+https://example.org/CLIP.git@main#egg=clip",
            Parsed("clip", (), "", "git+https://example.org/CLIP.git@main#egg=clip"),
        ),
        (
            "https://example.org/a.zip ; os_name == 'nt'",
            Parsed("https://example.org/a.zip", (), "", "https://example.org/a.zip", "os_name == 'nt'"),
        ),
    ],
)
def test_packages_by_address(text: str, expected: Parsed) -> None:
    assert is_location(text)
    assert located(text) == expected


@pytest.mark.parametrize("text", ["git+https://example.org/a#egg=a==1", "./a.whl ; nonsense", "~=1.4", "a" * 20_000])
def test_addresses_that_pip_refuses(text: str) -> None:
    with pytest.raises(InvalidRequirement):
        fact(text, "")


def test_what_is_refused_is_still_named() -> None:
    meant = salvaged("asdf==", "line 1")
    assert meant is not None and (meant.name, meant.specifier) == ("asdf", "==")
    assert salvaged("prose that goes on", "line 1") is None


def test_long_lines_are_refused_at_once() -> None:
    with pytest.raises(InvalidRequirement):
        fact("a" * 1_000_000, "")
    with pytest.raises(InvalidRequirement):
        fact("a; " + "(" * 10_000 + "os_name == 'nt'" + ")" * 10_000, "")


@pytest.mark.parametrize("text", ["./Zope_Interface-2.10.tar.gz", "https://example.org/zope.interface-2.10.tar.xz#x=1"])
def test_an_sdist_alone_is_the_package_that_its_name_tells(text: str) -> None:
    assert (located(text).name.lower().replace("_", "."), located(text).specifier) == ("zope.interface", "==2.10")
    assert located("./checkout.tar.gz").name == "./checkout.tar.gz"
