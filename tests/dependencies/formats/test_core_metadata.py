"""Metadata of Python packages: installed, in wheels and in sdists."""

import io
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.facts import Anomaly, Package
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of

METADATA = b"""Metadata-Version: 2.1
Name: Scikit_Learn
Version: 1.4.2
License: BSD 3-Clause License
        .
        Copyright (c) 2007-2023 The scikit-learn developers.
Classifier: Programming Language :: Python
Classifier: License :: OSI Approved :: BSD License
Requires-Dist: numpy>=1.19.5
Requires-Dist: SciPy (>=1.6) ; python_version >= "3.9"
Requires-Dist: pytest>=7; extra == "tests"

Name: another, in the text below
{{ ''.__class__.__mro__ }} and {% raw %}
"""
MODERN = METADATA.replace(b"Classifier: P", b"License-Expression: BSD-3-Clause AND MIT\nClassifier: P")
SITE = "venv/lib/python3.11/site-packages/scikit_learn-1.4.2.dist-info/METADATA"


def package(data: bytes, name: str = SITE) -> Package:
    found = [fact for fact in facts_of(data, name) if type(fact) is Package]
    assert len(found) == 1
    return found[0]


def wheel(members: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return data.getvalue()


def sdist(members: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return data.getvalue()


def test_an_installed_package_is_stated_with_its_licences_and_needs() -> None:
    fact = package(METADATA)
    assert fact.purl == "pkg:pypi/scikit-learn@1.4.2"
    assert (fact.name, fact.version, fact.state) == ("scikit-learn", "1.4.2", "installed")
    assert fact.licences == ("BSD 3-Clause License", "License :: OSI Approved :: BSD License")
    assert fact.dependencies == ("numpy", "scipy")


def test_a_licence_expression_replaces_the_older_fields() -> None:
    assert package(MODERN).licences == ("BSD-3-Clause AND MIT",)


def test_line_ends_of_windows_and_missing_text_change_nothing() -> None:
    crlf = METADATA.replace(b"\n", b"\r\n")
    assert package(crlf) == package(METADATA)
    assert package(METADATA.partition(b"\n\nName")[0]) == package(METADATA)


def test_wheels_and_sdists_are_archives() -> None:
    packed = wheel({"sklearn/__init__.py": b"", "scikit_learn-1.4.2.dist-info/METADATA": METADATA})
    assert package(packed, "scikit_learn-1.4.2-cp311-cp311-linux_x86_64.whl").state == "archive"
    sources = sdist({"scikit_learn-1.4.2/PKG-INFO": METADATA, "scikit_learn-1.4.2/README": b"text"})
    assert package(sources, "scikit_learn-1.4.2.tar.gz").state == "archive"


def test_what_another_package_carries_is_told_apart() -> None:
    fact = package(METADATA, "site-packages/setuptools/_vendor/scikit_learn-1.4.2.dist-info/METADATA")
    assert fact.group == "carried by setuptools"


def test_text_that_looks_like_a_template_is_only_text() -> None:
    assert findings_of(METADATA, SITE) == []


def test_a_file_without_a_version_is_no_package_and_a_gap() -> None:
    examination = examine_bytes(b"Metadata-Version: 2.1\nName: x\n\n", SITE)[-1]
    assert not [fact for fact in examination.facts if type(fact) is Package]
    assert (examination.state, examination.reason) == ("not-understood", "names no version of the package")


def test_the_same_bytes_elsewhere_are_no_metadata() -> None:
    assert "python-metadata" not in examine_bytes(METADATA, "notes/METADATA.txt")[-1].formats


def test_endless_headers_stop_at_the_limit() -> None:
    data = b"Metadata-Version: 2.1\nName: x\nVersion: 1\n" + b"Keywords: y\n" * 400_000
    assert any(type(fact) is Anomaly and fact.what == "resource-limit" for fact in facts_of(data, SITE))


@settings(max_examples=60, deadline=None)
@given(data=damaged(METADATA, MODERN), name=st.sampled_from([SITE, "x-1/PKG-INFO", "a/x.egg-info"]))
def test_damage_never_breaks_the_reader(data: bytes, name: str) -> None:
    assert_no_failure(data, name)


@pytest.mark.parametrize(
    "data",
    [
        b"Name: Jinja2\nVersion: 2.10\nMetadata-Version: 2.1\n",
        b"metadata-version: 2.1\nname: Jinja2\nversion: 2.10\n",
        b"\xef\xbb\xbfMetadata-Version: 2.1\nName: Jinja2\nVersion: 2.10\n",
        b"X-Comment: first\nMetadata-Version: 2.1\nName: Jinja2\nVersion: 2.10\n",
        b"Metadata-Version: 2.1\rName: Jinja2\rVersion: 2.10\r\rName: other\r",
        b"Metadata-Version: 2.1\nName:\n Jinja2\nVersion:\n\t2.10\n",
        b"Author: \xe9\x01\nMetadata-Version: 2.1\nName: Jinja2\nVersion: 2.10\n",
    ],
)
def test_installed_packages_are_read_however_their_headers_are_written(data: bytes) -> None:
    found = package(data, "venv/lib/python3.11/site-packages/Jinja2-2.10.dist-info/METADATA")
    assert (found.name, found.version, found.state) == ("jinja2", "2.10", "installed")
