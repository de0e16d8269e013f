"""Lines of requirements files, as pip splits, joins and reads them."""

import pytest

from garrison.core.errors import LimitExceeded, Malformed
from garrison.core.facts import Anomaly, Fact, Reference, Requirement, Setting
from garrison.dependencies.requirement_lines import decode, facts, logical_lines, without_comment


def read(text: str) -> list[Fact]:
    return [fact for fact in facts(logical_lines(text)) if isinstance(fact, Fact)]


def requirements(text: str) -> list[tuple[str, str]]:
    return [(fact.name, fact.specifier) for fact in read(text) if type(fact) is Requirement]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a\nb # c\n#d\n", [(1, "a"), (2, "b")]),
        ("a \\\n  ==1\nb", [(1, "a   ==1"), (3, "b")]),
        ("a==1 \\\n  --hash=x\n# via\nb", [(1, "a==1   --hash=x"), (4, "b")]),
        ("a \\\n# comment\nb", [(1, "a"), (3, "b")]),
        ("pkg1==1.0 \\", [(1, "pkg1==1.0")]),
        ("a@b#egg=c #d", [(1, "a@b#egg=c")]),
        ("a\r\nb\x0cc\u2028d", [(1, "a"), (2, "b"), (3, "c"), (4, "d")]),
        ("\\\n\\\n", []),
    ],
)
def test_logical_lines(text: str, lines: list[tuple[int, str]]) -> None:
    assert list(logical_lines(text)) == lines


def test_options_of_a_requirement() -> None:
    text = 'foo==1.0; python_version < "2.7" --hash=sha256:aa \\\n  --hash sha384:bb --config-settings a=b junk\n'
    found = read(text)
    assert len(found) == 1 and isinstance(found[0], Requirement)
    assert found[0].hashes == ("sha256:aa", "sha384:bb")
    assert found[0].marker == 'python_version < "2.7"' and found[0].place == "line 1"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-i https://a.example/", [("https://a.example/", "--index-url")]),
        (
            "--index-url=https://a.example/ --extra-index-url https://b.example/",
            [("https://a.example/", "--index-url"), ("https://b.example/", "--extra-index-url")],
        ),
        ("--extra-i https://b.example/", [("https://b.example/", "--extra-index-url")]),
        ("--pypi-url 'https://a.example/'", [("https://a.example/", "--index-url")]),
        ("-fhttps://c.example/", [("https://c.example/", "--find-links")]),
        ("-r other.txt", [("other.txt", "-r")]),
        ("--constraint=c.txt", [("c.txt", "-c")]),
        ("--trusted-host h", [("h", "--trusted-host")]),
        ("--pre --prefer-binary", []),
        ("x==1 --extra-index-url https://ignored.example/", []),
    ],
)
def test_options_are_read_as_optparse_does(line: str, expected: list[tuple[str, str]]) -> None:
    found = [(fact.target, fact.detail) for fact in read(line) if type(fact) is Reference]
    assert found == expected
    assert not any(type(fact) is Anomaly for fact in read(line))


@pytest.mark.parametrize(
    "line",
    [
        "-foo==1.0 --nothing",
        "x==1 --hash=md5:aa",
        "x==1 --hash",
        "--require-hashes=1",
        "--no 1",
        "-x y",
        "a b c",
        "asdf==",
        "x --'",
    ],
)
def test_what_pip_refuses_is_said(line: str) -> None:
    found = [fact for fact in read(f"numpy==1\n{line}\n") if type(fact) is Anomaly]
    assert len(found) == 1 and found[0].what == "requirement-refused" and found[0].place == "line 2"


def test_reading_ends_where_nearly_all_is_refused() -> None:
    with pytest.raises(LimitExceeded):
        read("? ?\n" * 3000)


def test_many_refused_lines_are_one_anomaly() -> None:
    found = [fact for fact in read("? ?\n" * 1000) if type(fact) is Anomaly]
    assert len(found) == 1 and "1000 lines" in found[0].detail and len(found[0].detail) < 1000


def test_settings_that_matter_are_stated() -> None:
    found = [fact for fact in read("--require-hashes\n--no-index\n") if type(fact) is Setting]
    assert [(fact.topic, fact.name, fact.place) for fact in found] == [
        ("pip", "require-hashes", "line 1"),
        ("pip", "no-index", "line 2"),
    ]


def test_editable_packages() -> None:
    text = "-e .\n-e ../x[extra]\n-e git+https://example.org/y.git@main#egg=y\n-e sub\n"
    found = [(fact.name, fact.source) for fact in read(text) if type(fact) is Requirement]
    assert found == [
        (".", "."),
        ("../x", "../x"),
        ("y", "git+https://example.org/y.git@main#egg=y"),
        ("./sub", "./sub"),
    ]


def test_conda_exports_are_no_garbage() -> None:
    found = [fact for fact in read("numpy=1.19.2=py38h54aff64_0\nx=1.0=pypi_0\n") if type(fact) is Requirement]
    assert [(fact.ecosystem, fact.name, fact.specifier) for fact in found] == [
        ("conda", "numpy", "=1.19.2=py38h54aff64_0"),
        ("pypi", "x", "==1.0"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        "numpy==1".encode("utf-8-sig"),
        "numpy==1".encode("utf-16"),
        b"\xfe\xff" + "numpy==1".encode("utf-16-be"),
        "numpy==1".encode("utf-32"),
        "# -*- coding: latin-1 -*-\n# é\nnumpy==1".encode("latin-1"),
    ],
)
def test_encodings_that_pip_reads(data: bytes) -> None:
    assert requirements(decode(data)) == [("numpy", "==1")]


@pytest.mark.parametrize(
    "data", [b"\xff\xff\xfe", b"# coding: punycode\nx", b"# coding: rot13\nx", b"# coding: nope\n", b"\xff\xfea"]
)
def test_bytes_that_pip_cannot_read_are_said(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data)


@pytest.mark.parametrize(
    "line", ["a" * 200_000, "a[" + "b," * 100_000, "-" * 200_000, "a" + "#" * 200_000, " " * 200_000 + "x" * 70_000]
)
def test_long_lines_are_refused_and_not_cut(line: str) -> None:
    assert without_comment(line) == line.strip()
    (found,) = [fact for fact in read(line + "\n") if type(fact) is Anomaly]
    assert found.what == "requirement-refused" and "characters" in found.detail
