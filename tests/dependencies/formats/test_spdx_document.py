"""SPDX 2: three forms that tell the same."""

import json

import pytest
import yaml
from hypothesis import given, settings

from garrison.core.facts import OperatingSystem, Package
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of


def purl(address: str, category: str = "PACKAGE-MANAGER") -> dict[str, str]:
    return {"referenceCategory": category, "referenceType": "purl", "referenceLocator": address}


def related(left: str, kind: str, right: str) -> dict[str, str]:
    return {"spdxElementId": left, "relationshipType": kind, "relatedSpdxElement": right}


DOCUMENT = {
    "spdxVersion": "SPDX-2.3",
    "SPDXID": "SPDXRef-DOCUMENT",
    "name": "app",
    "packages": [
        {"name": "app", "SPDXID": "SPDXRef-app", "downloadLocation": "NOASSERTION"},
        {
            "name": "numpy",
            "SPDXID": "SPDXRef-numpy",
            "versionInfo": "1.26.4",
            "licenseConcluded": "NOASSERTION",
            "licenseDeclared": "BSD-3-Clause",
            "checksums": [{"algorithm": "SHA256", "checksumValue": "a" * 64}],
            "externalRefs": [
                {"referenceCategory": "SECURITY", "referenceType": "cpe23Type", "referenceLocator": "cpe:2.3:a:numpy"},
                purl("pkg:pypi/numpy@1.26.4"),
            ],
        },
        {
            "name": "pytest",
            "SPDXID": "SPDXRef-pytest",
            "versionInfo": "8.0",
            "externalRefs": [purl("pkg:pypi/pytest@8.0", "PACKAGE_MANAGER")],
        },
        {"name": "debian", "SPDXID": "SPDXRef-os", "versionInfo": "12", "primaryPackagePurpose": "OPERATING-SYSTEM"},
    ],
    "relationships": [
        related("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-app"),
        related("SPDXRef-app", "DEPENDS_ON", "SPDXRef-numpy"),
        related("SPDXRef-pytest", "DEV_DEPENDENCY_OF", "SPDXRef-numpy"),
    ],
}
TAGS = f"""SPDXVersion: SPDX-2.3
DataLicense: CC0-1.0
SPDXID: SPDXRef-DOCUMENT
DocumentName: app
Relationship: SPDXRef-DOCUMENT DESCRIBES SPDXRef-app

##### Package: app
PackageName: app
SPDXID: SPDXRef-app

PackageName: numpy
SPDXID: SPDXRef-numpy
PackageVersion: 1.26.4
PackageChecksum: SHA256: {"a" * 64}
PackageLicenseConcluded: NOASSERTION
PackageLicenseDeclared: BSD-3-Clause
PackageComment: <text>a comment
PackageName: nobody
ends</text>
ExternalRef: SECURITY cpe23Type cpe:2.3:a:numpy
ExternalRef: PACKAGE-MANAGER purl pkg:pypi/numpy@1.26.4

PackageName: pytest
SPDXID: SPDXRef-pytest
PackageVersion: 8.0
ExternalRef: PACKAGE-MANAGER purl pkg:pypi/pytest@8.0

PackageName: debian
SPDXID: SPDXRef-os
PackageVersion: 12
PrimaryPackagePurpose: OPERATING-SYSTEM

FileName: ./a
SPDXID: SPDXRef-file

Relationship: SPDXRef-app DEPENDS_ON SPDXRef-numpy
Relationship: SPDXRef-pytest DEV_DEPENDENCY_OF SPDXRef-numpy
"""
FORMS = {
    "json": json.dumps(DOCUMENT),
    "yaml": yaml.safe_dump(DOCUMENT, sort_keys=False),
    "tags": TAGS,
    "forge": json.dumps({"sbom": DOCUMENT}),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_lists_the_same(form: str) -> None:
    data = FORMS[form].encode()
    found = facts_of(data, "bill")
    numpy, pytest_ = (fact for fact in found if isinstance(fact, Package))
    assert (numpy.name, numpy.version, numpy.ecosystem, numpy.state) == ("numpy", "1.26.4", "pypi", "listed")
    assert numpy.hashes == ("sha256:" + "a" * 64,) and numpy.licences == ("BSD-3-Clause",) and numpy.direct is True
    assert numpy.dependencies == ("pytest",) and pytest_.group == "dev" and pytest_.direct is False
    assert [(f.id, f.version) for f in found if isinstance(f, OperatingSystem)] == [("debian", "12")]
    assert "spdx-document" in examine_bytes(data, "bill")[-1].formats
    assert findings_of(data, "bill") == []


@settings(deadline=None)
@given(damaged(*(form.encode() for form in FORMS.values())))
def test_damage_ends_in_a_state(data: bytes) -> None:
    assert_no_failure(data, "bill")


def test_all_addresses_of_a_package_count() -> None:
    package = {"name": "a", "versionInfo": "1", "externalRefs": [purl("pkg:pypi/b@2"), purl("pkg:pypi/jinja2@2.10")]}
    data = json.dumps({"spdxVersion": "SPDX-2.3", "packages": [package]}).encode()
    assert [f.purl for f in facts_of(data, "a.spdx.json") if type(f) is Package] == [
        "pkg:pypi/b@2",
        "pkg:pypi/jinja2@2.10",
    ]


@pytest.mark.parametrize("text", [json.dumps(DOCUMENT), yaml.safe_dump(DOCUMENT)])
def test_a_document_that_was_redirected_to_a_file_on_windows_is_read(text: str) -> None:
    assert "numpy" in [f.name for f in facts_of(text.encode("utf-16"), "bill") if type(f) is Package]


WRONG = {
    "a package that is a text": ("numpy", "packages[0] is no object"),
    "a version that is a number": ({"name": "a", "versionInfo": 2}, "packages[0].versionInfo is no text"),
    "a package URL that is a number": (
        {"name": "a", "externalRefs": [{"referenceType": "purl", "referenceLocator": 1}]},
        "externalRefs[0].referenceLocator is no text",
    ),
    "a package URL that is none": ({"name": "a", "versionInfo": "1", "externalRefs": [purl("a@1")]}, "begins with"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_entries_that_cannot_be_right_leave_the_bill_examined_in_part(wrong: str) -> None:
    entry, reason = WRONG[wrong]
    data = json.dumps({"spdxVersion": "SPDX-2.3", "packages": [entry]}).encode()
    last = examine_bytes(data, "a.spdx.json")[-1]
    assert last.state == "partial" and reason in last.reason
