"""pixi's manifests, in a file of their own or in `pyproject.toml`."""

from hypothesis import given

from garrison.core.facts import Reference, Requirement
from tests.support import assert_no_failure, damaged, facts_of

MANIFEST = """
[workspace]
name = "mine"
channels = ["conda-forge", {channel = "https://conda.example.org/c"}]
[dependencies]
python = ">=3.11"
pytorch = {version = "2.1.0", build = "py311_cuda", channel = "pytorch"}
scipy = "*"
[pypi-dependencies]
requests = "==2.32.0"
local = {path = "./local"}
[pypi-options]
extra-index-urls = ["https://packages.example.org/simple"]
[feature.gpu.dependencies]
cuda = "12.*"
[target.linux-64.pypi-dependencies]
triton = "*"
"""


def test_packages_of_both_kinds() -> None:
    found = {f.name: f for f in facts_of(MANIFEST.encode(), "pixi.toml") if type(f) is Requirement}
    assert found["pytorch"].specifier == "==2.1.0=py311_cuda" and found["pytorch"].source == "pytorch"
    assert found["scipy"].specifier == "" and found["python"].specifier == ">=3.11"
    assert (found["requests"].ecosystem, found["requests"].specifier) == ("pypi", "==2.32.0")
    assert found["local"].source == "./local"
    assert (found["cuda"].group, found["cuda"].place) == ("gpu", "feature.gpu.dependencies.cuda")
    assert found["triton"].ecosystem == "pypi"


def test_channels_and_indexes() -> None:
    found = [(f.target, f.detail) for f in facts_of(MANIFEST.encode(), "pixi.toml") if type(f) is Reference]
    assert found == [
        ("conda-forge", "channel"),
        ("https://conda.example.org/c", "channel"),
        ("https://packages.example.org/simple", "--extra-index-url"),
    ]


def test_the_same_in_a_project() -> None:
    text = b'[tool.pixi.dependencies]\nnumpy = "1.26.*"\n'
    found = [f for f in facts_of(text, "pyproject.toml") if type(f) is Requirement]
    assert [(f.ecosystem, f.name, f.place) for f in found] == [("conda", "numpy", "tool.pixi.dependencies.numpy")]


@given(damaged(MANIFEST.encode()))
def test_damage_ends_in_a_state(data: bytes) -> None:
    assert_no_failure(data, "pixi.toml")
