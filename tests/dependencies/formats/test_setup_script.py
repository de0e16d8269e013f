"""`setup.py` is read, never run; what it computes is said to be computed."""

from pathlib import Path

import pytest
from hypothesis import given

from garrison.core.facts import Anomaly, Artifact, Reference, Requirement
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of

SCRIPT = """
import os
from setuptools import find_packages, setup
NAME = "mine"
BASE = ["numpy>=1", f"{NAME}-core==1", "%s-more" % NAME, "{}-also".format(NAME), "a" + "b<2"]
EXTRAS = {"dev": ["pytest"], "all": BASE[:0] if False else []}
EXTRAS_TWO = {"gpu": ["torch"], "everything": BASE + ["x"]}
OPTIONS = dict(tests_require="mock\\nhypothesis>=6")
setup(
    name=NAME,
    version="1.0",
    python_requires=">=3.8",
    install_requires=[*BASE, "pandas ; python_version < '3.9'"],
    extras_require=EXTRAS_TWO,
    **OPTIONS,
)
"""


def asked(script: str) -> list[tuple[str, str, str]]:
    return [(f.name, f.specifier, f.group) for f in facts_of(script.encode(), "setup.py") if type(f) is Requirement]


def computed(script: str) -> list[str]:
    found = facts_of(script.encode(), "setup.py")
    return [fact.detail for fact in found if type(fact) is Anomaly and fact.what == "requirement-computed"]


def test_constants_are_followed() -> None:
    base = [("numpy", ">=1"), ("mine-core", "==1"), ("mine-more", ""), ("mine-also", ""), ("ab", "<2")]
    assert asked(SCRIPT) == [
        *((name, specifier, "") for name, specifier in base),
        ("pandas", "", ""),
        ("torch", "", "gpu"),
        *((name, specifier, "everything") for name, specifier in base),
        ("x", "", "everything"),
        ("mock", "", "test"),
        ("hypothesis", ">=6", "test"),
    ]
    assert computed(SCRIPT) == []
    details = next(
        fact.details for fact in facts_of(SCRIPT.encode(), "setup.py") if type(fact) is Artifact and fact.details
    )
    assert details == {"name": "mine", "version": "1.0", "python": ">=3.8"}


@pytest.mark.parametrize(
    "expression",
    [
        'open("requirements.txt").read().splitlines()',
        'open(os.path.join(here, "requirements.txt")).readlines()',
        'Path("requirements.txt").read_text().split()',
        '[line.strip() for line in open("requirements.txt") if line]',
        'parse_requirements("requirements.txt")',
        'read("requirements.txt").splitlines()',
        "lines()",
        "opened.read().splitlines()",
    ],
)
def test_files_of_requirements_are_referred_to(expression: str) -> None:
    script = (
        'def lines():\n    with open("requirements.txt") as file:\n        return list(file)\n'
        f'with open("requirements.txt") as opened:\n    setup(install_requires={expression})\n'
    )
    found = [(f.target, f.role) for f in facts_of(script.encode(), "setup.py") if type(f) is Reference]
    assert ("requirements.txt", "requirement-file") in found
    assert computed(script) == []


@pytest.mark.parametrize(
    "script",
    [
        "setup(install_requires=get())",
        "setup(install_requires=['a', get()])",
        "x = ['a']\nx.append(get())\nsetup(install_requires=x)",
        "x = ['a']\nx += get()\nsetup(install_requires=x)",
        "e = {}\ne[get()] = ['b']\nsetup(extras_require=e)",
        "k = {}\nk.update(get())\nsetup(**k)",
        "setup(**read())",
        "x = x\nsetup(install_requires=x)",
        "x = y\ny = x\nsetup(install_requires=x)",
    ],
)
def test_what_only_running_would_tell_is_said(script: str) -> None:
    assert len(computed(script)) == 1


@pytest.mark.parametrize(
    "script",
    [
        "x = ['a']\nx.append('b')\nsetup(install_requires=x)",
        "x = ['a']\nif y:\n    x = ['b']\nsetup(install_requires=x)",
        "x = ['a']\nx += ['b']\nsetup(install_requires=x)",
        "x = ['a']\nx = x + ['b']\nsetup(install_requires=x)",
        "x = ['a']\nx.extend(['b'])\nsetup(install_requires=list(x))",
        "setup(install_requires=['a'] if y else ['b'])",
        "e = {'k': ['a', 'b']}\nsetup(install_requires=e['k'])",
        "k = dict()\nk['install_requires'] = ['a', 'b']\nsetup(**k)",
        "k = {}\nk.update(dict(install_requires=['a', 'b']))\nsetup(**k)",
        "k = {}\nk.update(install_requires=['a', 'b'])\nsetup(name='x', **k)",
        "k = {}\nif y:\n    k = {'install_requires': ['a', 'b']}\nsetup(**k)",
    ],
)
def test_all_that_is_ever_added_counts(script: str) -> None:
    assert asked(script) == [("a", "", ""), ("b", "", "")]
    assert computed(script) == []


def test_extras_by_item() -> None:
    script = "e = {}\ne['a'] = ['b']\ne.setdefault('c', ['d'])\nsetup(extras_require=e)"
    assert asked(script) == [("b", "", "a"), ("d", "", "c")]


def test_nothing_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    script = f"open({str(mark)!r}, 'w').write('x')\nsetup(install_requires=['a'])\n"
    assert asked(script) == [("a", "", "")]
    assert not mark.exists()


def test_lists_that_double_end_at_a_limit() -> None:
    lists = "a0 = ['x']\n" + "".join(f"a{n} = [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
    texts = "b0 = 'x'\n" + "".join(f"b{n} = b{n - 1} + b{n - 1}\n" for n in range(1, 60))
    entry = examine_bytes(f"{lists}{texts}setup(install_requires=a59, requires=[b59])\n".encode(), "setup.py")[-1]
    assert entry.state != "failed" and len(entry.facts) <= 20_010
    calls = "x = [" + "'a'," * 5000 + "]\n" + "setup(install_requires=x)\n" * 5000
    assert examine_bytes(calls.encode(), "setup.py")[-1].state == "partial"
    tangled = "".join(f"c{n} = c{n + 1} + c{n + 2} + c{n}\nc{n} += c{n // 2}\n" for n in range(60))
    assert examine_bytes(f"{tangled}setup(install_requires=c0, **c1)".encode(), "setup.py")[-1].state != "failed"
    deep = "setup(install_requires=" + "(" * 150 + "'a'" + "+'b')" * 150 + ")"
    assert examine_bytes(deep.encode(), "setup.py")[-1].state != "failed"


@given(damaged(SCRIPT.encode()))
def test_damage_ends_in_a_state(data: bytes) -> None:
    assert_no_failure(data, "setup.py")
