"""conda environments: what they ask for, and what is none."""

import pytest
import yaml
from hypothesis import given

from garrison.core.facts import Anomaly, Reference, Requirement
from garrison.dependencies.formats.conda_environment import conda_package
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of

ENVIRONMENT = """name: ldm
channels: [pytorch, conda-forge]
dependencies:
  - python=3.8.5
  - pytorch::torchvision=0.12.0
  - pip:
    - transformers==4.19.2
    - -e .
    - -r requirements.txt
    - --extra-index-url https://download.pytorch.org/whl/cu113
"""


def test_conda_and_pip_packages_are_told_apart() -> None:
    facts = facts_of(ENVIRONMENT.encode(), "environment.yml")
    asked = [(f.ecosystem, f.name, f.specifier, f.place) for f in facts if type(f) is Requirement]
    assert ("conda", "torchvision", "=0.12.0", "line 5") in asked
    assert ("pypi", "transformers", "==4.19.2", "line 7") in asked
    assert [f.target for f in facts if type(f) is Reference and f.detail == "channel"] == ["pytorch", "conda-forge"]


def test_files_and_indexes_for_pip_are_referred_to() -> None:
    found = [f for f in facts_of(ENVIRONMENT.encode(), "environment.yml") if type(f) is Reference]
    assert ("requirement-file", "requirements.txt", "line 9") in [(f.role, f.target, f.place) for f in found]
    assert ("package-index", "https://download.pytorch.org/whl/cu113") in [(f.role, f.target) for f in found]


@pytest.mark.parametrize(
    ("text", "name", "specifier", "source"),
    [
        ("numpy", "numpy", "", ""),
        ("numpy=1.19.2=py38h54aff64_0", "numpy", "=1.19.2=py38h54aff64_0", ""),
        ("numpy 1.19.*", "numpy", "1.19.*", ""),
        ("numpy>=1.19,<2", "numpy", ">=1.19,<2", ""),
        ("conda-forge::numpy=1.19", "numpy", "=1.19", "conda-forge"),
        ("https://conda.example.org/c::numpy", "numpy", "", "https://conda.example.org/c"),
        ("numpy[version='>=1.19', channel=intel]", "numpy", ">=1.19", "intel"),
        ("numpy[version=1.19,build=py38_0]", "numpy", "==1.19=py38_0", ""),
        (
            "https://repo.anaconda.com/pkgs/main/linux-64/xz-5.2.5-h7b6447c_0.conda#md5",
            "xz",
            "==5.2.5=h7b6447c_0",
            "https://repo.anaconda.com/pkgs/main/linux-64/xz-5.2.5-h7b6447c_0.conda#md5",
        ),
        ("_libgcc_mutex=0.1=main", "_libgcc_mutex", "=0.1=main", ""),
    ],
)
def test_match_specifications(text: str, name: str, specifier: str, source: str) -> None:
    found = next(fact for fact in conda_package(text, "") if type(fact) is Requirement)
    assert (found.name, found.specifier, found.source) == (name, specifier, source)


@pytest.mark.parametrize("text", ["dependencies: 1\nchannels: 2\n", "dependencies:\n- a: [\nchannels: 3\n", ""])
def test_what_conda_would_not_read_is_no_crash(text: str) -> None:
    assert all(e.state != "failed" for e in examine_bytes(text.encode(), "environment.yml"))


def test_what_stands_twice_or_names_nothing_is_said() -> None:
    text = "channels: [a]\ndependencies: [numpy]\ndependencies: ['?']\n"
    found = [fact.what for fact in facts_of(text.encode(), "environment.yml") if type(fact) is Anomaly]
    assert found == ["malformed", "requirement-refused"]


def test_other_yaml_is_left_to_its_own_readers() -> None:
    text = yaml.safe_dump({"dependencies": ["a"], "services": {}})
    assert "conda-environment" not in examine_bytes(text.encode(), "compose.yml")[-1].formats


def test_aliases_are_not_multiplied() -> None:
    layers = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
    text = f"channels: [x]\na0: &a0 [y]\n{layers}dependencies: *a29\n"
    assert examine_bytes(text.encode(), "environment.yml")[-1].state != "failed"


@given(damaged(ENVIRONMENT.encode()))
def test_damage_ends_in_a_state(data: bytes) -> None:
    assert_no_failure(data, "environment.yml")


@pytest.mark.parametrize(
    "text",
    [
        "dependencies:\n- jinja2=2.10\n",
        '{"channels": ["defaults"], "dependencies": ["jinja2=2.10"]}',
        "{channels: [defaults], dependencies: [jinja2=2.10]}\n",
        f"# {'x' * 30000}\nchannels: [defaults]\ndependencies: [jinja2=2.10]\n",
        "x: &d\n  dependencies: [jinja2=2.10]\n<<: *d\nchannels: [defaults]\n",
        "x: &d {dependencies: [jinja2=2.10]}\ny: &e {<<: [*d]}\n<<: [*e, *d]\n",
        'channels: [defaults]\n"depend\\x65ncies":\n- jinja2=2.10\n',
        "channels: [defaults]\n? dependencies\n: - jinja2=2.10\n",
        "  channels: [defaults]\n  dependencies:\n  - jinja2=2.10\n",
        "dependencies: ['*[name=jinja2,version=2.10]']\n",
    ],
)
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_of_a_usual_name_is_read_however_it_is_written(text: str, coding: str) -> None:
    facts = facts_of(text.encode(coding), "p/environment-dev.yml")
    assert [(f.name, f.specifier.lstrip("=")) for f in facts if type(f) is Requirement] == [("jinja2", "2.10")]


@pytest.mark.parametrize("text", ["stages: [test]\n", "{{ template }}\n- x: [\n", "- a\n", "dependencies: {a: 1}\n"])
def test_files_of_a_usual_name_that_are_no_environments_tell_nothing_of_packages(text: str) -> None:
    assert [one for one in facts_of(text.encode(), "environment.yml") if type(one) is Requirement] == []
    assert [f for f in facts_of(text.encode(), "environment.yml") if type(f) is Anomaly and "conda" in f.detail] == []
