"""SPDX 3: packages, models and data sets of a graph."""

import json

from hypothesis import given, settings

from garrison.core.facts import Artifact, Package
from tests.support import assert_no_failure, damaged, facts_of, findings_of


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
