"""conda environments: what they ask for, and what is none."""

import pytest
import yaml

from garrison.core.facts import Reference, Requirement
from tests.support import examine_bytes, facts_of

ENVIRONMENT = """name: ldm
channels: [pytorch, conda-forge]
dependencies:
  - python=3.8.5
  - pytorch::torchvision=0.12.0
  - pip:
    - transformers==4.19.2
    - -e .
"""


def test_conda_and_pip_packages_are_told_apart() -> None:
    facts = facts_of(ENVIRONMENT.encode(), "environment.yml")
    asked = [(f.ecosystem, f.name, f.specifier) for f in facts if type(f) is Requirement]
    assert ("conda", "torchvision", "=0.12.0") in asked and ("pypi", "transformers", "==4.19.2") in asked
    assert [f.target for f in facts if type(f) is Reference and f.detail == "channel"] == ["pytorch", "conda-forge"]


@pytest.mark.parametrize("text", ["dependencies: 1\nchannels: 2\n", "dependencies:\n- a: [\nchannels: 3\n", ""])
def test_what_conda_would_not_read_is_no_crash(text: str) -> None:
    assert all(e.state != "failed" for e in examine_bytes(text.encode(), "environment.yml"))


def test_other_yaml_is_left_to_its_own_readers() -> None:
    text = yaml.safe_dump({"dependencies": ["a"], "services": {}})
    assert "conda-environment" not in examine_bytes(text.encode(), "compose.yml")[-1].formats
