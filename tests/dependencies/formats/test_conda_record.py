"""conda's records of what is installed."""

import json

import pytest
from hypothesis import given, settings

from garrison.core.facts import Package
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of

NAME = "env/conda-meta/numpy-1.26.4-py311h64a7726_0.json"
RECORD = {
    "name": "numpy",
    "version": "1.26.4",
    "build": "py311h64a7726_0",
    "channel": "https://user:secret@conda.example.org/t/tk-1234/conda-forge/linux-64",
    "subdir": "linux-64",
    "license": "BSD-3-Clause",
    "md5": "a502d7aad449a1206efb366d6a12c52d",
    "depends": ["__glibc >=2.17", "libblas >=3.9.0,<4.0a0", "python >=3.11,<3.12.0a0", "python_abi 3.11.* *_cp311"],
    "files": ["bin/f2py"],
}


def test_a_record_is_a_package_with_build_and_channel() -> None:
    (fact,) = (fact for fact in facts_of(json.dumps(RECORD).encode(), NAME) if type(fact) is Package)
    assert fact.purl == "pkg:conda/numpy@1.26.4?build=py311h64a7726_0&channel=conda-forge&subdir=linux-64"
    assert fact.source == "https://conda.example.org/conda-forge"
    assert fact.licences == ("BSD-3-Clause",) and fact.hashes == ("md5:a502d7aad449a1206efb366d6a12c52d",)
    assert fact.dependencies == ("libblas", "python", "python_abi")
    assert fact.state == "installed"


def test_it_is_a_json_document_as_well_and_no_finding() -> None:
    assert examine_bytes(json.dumps(RECORD).encode(), NAME)[-1].formats == ["conda-record", "json"]
    usual = {**RECORD, "channel": "https://conda.anaconda.org/conda-forge/linux-64"}
    assert findings_of(json.dumps(usual).encode(), NAME) == []


def test_other_folders_hold_no_records() -> None:
    assert "conda-record" not in examine_bytes(json.dumps(RECORD).encode(), "env/meta/numpy.json")[-1].formats


@pytest.mark.parametrize("text", [b"{", b"{}", b'{"name": 1, "version": []}'])
def test_what_names_no_package_is_malformed(text: bytes) -> None:
    assert "malformed" in [item.rule for item in findings_of(text, NAME)]


@settings(max_examples=40, deadline=None)
@given(data=damaged(json.dumps(RECORD).encode()))
def test_damage_never_breaks_the_reader(data: bytes) -> None:
    assert_no_failure(data, NAME)
