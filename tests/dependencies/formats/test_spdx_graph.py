"""SPDX 3: packages, models and data sets of a graph."""

import json

import pytest
from hypothesis import given, settings

from garrison.core.facts import Artifact, Description, Package
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of


def related(number: int, kind: str, start: str, end: str) -> dict[str, object]:
    name = f"urn:r{number}"
    return {"type": "Relationship", "spdxId": name, "relationshipType": kind, "from": start, "to": [end]}


PURL = {"type": "ExternalIdentifier", "externalIdentifierType": "packageUrl", "identifier": "pkg:pypi/numpy@1.26.4"}
LICENCE = {
    "type": "simplelicensing_LicenseExpression",
    "spdxId": "urn:l",
    "simplelicensing_licenseExpression": "BSD-3-Clause",
}
DOCUMENT = {
    "@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
    "@graph": [
        {"type": "CreationInfo", "@id": "_:c", "specVersion": "3.0.1"},
        {"type": "SpdxDocument", "spdxId": "urn:doc", "rootElement": ["urn:app"]},
        {"type": "software_Package", "spdxId": "urn:app", "name": "app"},
        {
            "type": "software_Package",
            "spdxId": "urn:numpy",
            "name": "numpy",
            "software_packageVersion": "1.26.4",
            "externalIdentifier": [PURL],
            "verifiedUsing": [{"type": "Hash", "algorithm": "sha256", "hashValue": "a" * 64}],
        },
        {
            "type": "ai_AIPackage",
            "spdxId": "urn:model",
            "name": "net",
            "software_packageUrl": "pkg:huggingface/o/net@abc",
            "ai_typeOfModel": ["transformer", "decoder"],
            "ai_useSensitivePersonalInformation": "no",
        },
        {"type": "dataset_DatasetPackage", "spdxId": "urn:data", "name": "texts", "dataset_datasetType": ["text"]},
        LICENCE,
        related(1, "dependsOn", "urn:app", "urn:numpy"),
        related(2, "hasDeclaredLicense", "urn:numpy", "urn:l"),
        related(3, "hasConcludedLicense", "urn:model", "https://spdx.org/licenses/MIT"),
    ],
}
TEXT = json.dumps(DOCUMENT).encode()


def test_packages_licences_and_who_asks() -> None:
    numpy, net = (fact for fact in facts_of(TEXT, "x") if isinstance(fact, Package))
    assert numpy.purl == "pkg:pypi/numpy@1.26.4" and numpy.direct is True and numpy.licences == ("BSD-3-Clause",)
    assert numpy.hashes == ("sha256:" + "a" * 64,) and numpy.place == "@graph[3]"
    assert net.purl == "pkg:huggingface/o/net@abc" and net.licences == ("MIT",)
    assert findings_of(TEXT, "x") == []


def test_models_and_data_sets_go_to_the_inventory() -> None:
    found = {fact.format: fact.details for fact in facts_of(TEXT, "x") if isinstance(fact, Artifact)}
    assert found["machine-learning-model"]["type of model"] == "transformer, decoder"
    assert found["machine-learning-model"]["use sensitive personal information"] == "no"
    assert found["data-set"] == {"name": "texts", "dataset type": "text"}
    assert found["spdx-document"] == {"packages": 2, "specification": "SPDX-3.0.1"}


@settings(deadline=None)
@given(damaged(TEXT))
def test_damage_ends_in_a_state(data: bytes) -> None:
    assert_no_failure(data, "x")


def test_models_and_data_sets_are_described() -> None:
    net, texts = (fact for fact in facts_of(TEXT, "x") if isinstance(fact, Description))
    assert (net.name, net.family, net.architecture, net.licences) == ("net", "transformer", "decoder", ("MIT",))
    assert texts.about == "data-set" and texts.content == ("text",)


def test_a_licence_that_nobody_asserts_hides_none_that_is_declared() -> None:
    elements = [
        {"type": "ai_AIPackage", "spdxId": "urn:m", "name": "net"},
        {
            "type": "simplelicensing_SimpleLicensingText",
            "spdxId": "urn:t",
            "name": "our own",
            "simplelicensing_licenseText": "words",
        },
        related(1, "hasConcludedLicense", "urn:m", "expandedlicensing_NoAssertionLicense"),
        related(2, "hasDeclaredLicense", "urn:m", "urn:t"),
    ]
    data = json.dumps({"@context": DOCUMENT["@context"], "@graph": elements}).encode()
    (net,) = (fact for fact in facts_of(data, "x") if isinstance(fact, Description))
    assert net.licences == ("our own",)


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        ({"type": "software_Package", "name": "a", "software_packageUrl": 5}, "software_packageUrl is no text"),
        ({"type": "software_Package", "name": "a", "software_packageVersion": 5}, "packageVersion is no text"),
        ({"type": "software_Package", "spdxId": "urn:a"}, "has no name"),
        ({"type": "software_Package", "name": "a", "software_packageUrl": "a@1"}, "begins with 'pkg:'"),
        (5, "@graph[0] is no object"),
    ],
)
def test_entries_that_cannot_be_right_leave_the_bill_examined_in_part(element: object, reason: str) -> None:
    data = json.dumps({"@context": DOCUMENT["@context"], "@graph": [element, {"type": "Agent"}]}).encode()
    last = examine_bytes(data, "x")[-1]
    assert last.state == "partial" and reason in last.reason
