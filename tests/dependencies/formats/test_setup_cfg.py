"""`setup.cfg`, as setuptools reads it."""

import pytest
from hypothesis import given

from garrison.core.facts import Anomaly, Artifact, Reference, Requirement
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of

CONFIGURATION = """
[metadata]
name = mine
version = 1.0
[options]
python_requires = >=3.8
setup_requires =
    setuptools_scm
install_requires =
    numpy >= 1.19, <2  # why
    # torch
    requests[security] ; python_version < "3.9"
tests_require = pytest
[options.extras_require]
dev =
    black==23.3.0
docs = file: docs.txt, more.txt
[easy_install]
index_url = https://packages.example.org/simple
"""


def test_what_it_asks_for() -> None:
    found = facts_of(CONFIGURATION.encode(), "setup.cfg")
    assert [(fact.name, fact.specifier, fact.group) for fact in found if type(fact) is Requirement] == [
        ("numpy", ">= 1.19, <2", ""),
        ("requests", "", ""),
        ("setuptools_scm", "", "build-system"),
        ("pytest", "", "test"),
        ("black", "==23.3.0", "dev"),
    ]
    assert [(fact.target, fact.role) for fact in found if type(fact) is Reference] == [
        ("docs.txt", "requirement-file"),
        ("more.txt", "requirement-file"),
        ("https://packages.example.org/simple", "package-index"),
    ]
    details = next(fact.details for fact in found if type(fact) is Artifact)
    assert details == {"name": "mine", "version": "1.0", "python": ">=3.8"}


def test_values_that_name_others() -> None:
    text = b"[options.extras_require]\nbase =\n    a>=1\n    b\nmore =\n    %(base)s\n    c\n"
    found = [(fact.name, fact.group) for fact in facts_of(text, "setup.cfg") if type(fact) is Requirement]
    assert found == [("a", "base"), ("b", "base"), ("a", "more"), ("b", "more"), ("c", "more")]
    doubling = "".join(f"v{n} = %(v{n + 1})s%(v{n + 1})s\n" for n in range(50))
    assert examine_bytes(f"[options]\n{doubling}v50 = xx\n".encode(), "setup.cfg")[-1].state == "examined"


def test_other_configurations_ask_for_nothing() -> None:
    found = facts_of(b"[flake8]\nmax-line-length = 120\n[tool:pytest]\naddopts = -q\n", "setup.cfg")
    assert [fact for fact in found if type(fact) in (Requirement, Anomaly)] == []


@pytest.mark.parametrize("text", ["[a]\nx = 1\nx = 2\n", "no section\n", "[options]\ninstall_requires = ==\n"])
def test_what_setuptools_refuses_is_said(text: str) -> None:
    entry = examine_bytes(text.encode(), "setup.cfg")[-1]
    assert any(type(fact) is Anomaly for fact in entry.facts)


@given(damaged(CONFIGURATION.encode()))
def test_damage_ends_in_a_state(data: bytes) -> None:
    assert_no_failure(data, "setup.cfg")
