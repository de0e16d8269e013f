"""Names that look like a popular one, and those that do not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.dependencies.lookalikes import data, known, likeness


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("reqeusts", "requests"),
        ("requestss", "requests"),
        ("requets", "requests"),
        ("requezts", "requests"),
        ("requfsts", "requests"),
        ("r3quests", "requests"),
        ("tensrflow", "tensorflow"),
        ("transfromers", "transformers"),
        ("huggingface-hubs", "huggingface-hub"),
        ("pytorch-lighting", "pytorch-lightning"),
        ("scikitlearn", "scikit-learn"),
        ("learn-scikit", "scikit-learn"),
        ("python3-flask", "flask"),
        ("flask-python", "flask"),
        ("nunpy", "numpy"),
        ("numppy", "numpy"),
        ("torhc", "torch"),
        ("urllib-3", "urllib3"),
        ("beautifulsuop4", "beautifulsoup4"),
        ("s4transfer", "s3transfer"),
        ("detecron2", "detectron2"),
        ("equests", "requests"),
        ("requestz", "requests"),
        ("erquests", "requests"),
        ("requesst", "requests"),
    ],
)
def test_slips_are_found(name: str, other: str) -> None:
    found = likeness("pypi", name)
    assert found is not None and found.other == other and not found.confusable


@pytest.mark.parametrize("name", ["rеquests", "numрy", "ｎumpy", "tοrch", "reqúests"])
def test_letters_of_other_alphabets_are_told_as_such(name: str) -> None:
    found = likeness("pypi", name)
    assert found is not None and found.confusable and found.other in ("requests", "numpy", "torch")


@pytest.mark.parametrize(
    "name",
    [
        "requests",
        "Requests",
        "ruamel.yaml",
        "torch",
        "torchvision",
        "pandas",
        "tqdm",
        "thop",
        "clip",
        "our-own-pipeline",
        "fastchat-serving",
        "mlserver-runtime-x",
        "naïveté",
        "Py_Yamll",
        "ab",
        "x",
    ],
)
def test_other_names_are_left_alone(name: str) -> None:
    assert likeness("pypi", name) is None


def test_npm_has_its_own_popular_names() -> None:
    found = likeness("npm", "lodahs")
    assert found is not None and found.other == "lodash"
    assert likeness("npm", "lodash") is None and likeness("npm", "@types/nodee") is None
    assert likeness("npm", "python-chalk") is None and likeness("npm", "graphiql") is None


def test_names_on_record() -> None:
    torchtriton, sklearn = known("pypi", "torchtriton"), known("pypi", "SkLearn")
    assert torchtriton is not None and torchtriton.severity == "high"
    assert sklearn is not None and sklearn.severity == "low" and sklearn.meant == "scikit-learn"
    assert known("npm", "torchtriton") is None and known("pypi", "scikit-learn") is None


def test_what_names_are_held_against_has_a_date() -> None:
    assert data("pypi") == "15000 popular names of PyPI, 2026-06-16"


def test_names_without_end_are_no_names() -> None:
    assert likeness("pypi", "requests" * 100_000) is None


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_looked_at(name: str) -> None:
    found = likeness("pypi", name)
    assert found is None or found.other
