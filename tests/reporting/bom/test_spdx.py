"""SPDX 3 with the AI and Dataset profiles, held against its JSON schema and the classes that its model generates."""

import functools
import io
import json
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator, ValidationError
from spdx_python_model import v3_0_1

from garrison.core.report import Report
from garrison.describing import written

from .inventories import any_report
from .trees import REPOSITORY, bill_of, safetensors

NO_ASSERTION = "expandedlicensing_NoAssertionLicense"


@functools.cache
def schema() -> Draft202012Validator:
    """The JSON schema of SPDX 3.0.1, as https://spdx.org/schema/3.0.1/spdx-json-schema.json has it."""
    return Draft202012Validator(json.loads(files("lib4sbom").joinpath("schemas/spdx/3.0-schema.json").read_text()))


class Graph:
    """A document that was read by SPDX's classes, without a loss, and whose references are there."""

    def __init__(self, text: str) -> None:
        schema().validate(json.loads(text))
        read = v3_0_1.SHACLObjectSet()
        v3_0_1.JSONLDDeserializer().read(io.BytesIO(text.encode()), read)
        assert read.link() == set()
        again = io.BytesIO()
        v3_0_1.JSONLDSerializer().write(read, again)  # refuses what lacks a property that its class must have
        self.elements: list[dict[str, Any]] = json.loads(text)["@graph"]
        assert len(json.loads(again.getvalue())["@graph"]) == len(self.elements)
        identifiers = [one["spdxId"] for one in self.elements if "spdxId" in one]
        assert len(identifiers) == len(set(identifiers))
        self.named = {one["spdxId"]: one for one in self.elements if "spdxId" in one}

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        return {one["name"]: one for one in self.elements if one["type"] == kind}

    def ends(self, start: str, kind: str) -> list[Any]:
        found = [one for one in self.elements if one.get("from") == start and one["relationshipType"] == kind]
        assert len(found) <= 1
        return [self.named.get(end, {}).get("name", end) for one in found for end in one["to"]]


def conforms(graph: Graph) -> None:
    """The conditions of the AI and the Dataset profile."""
    for element in graph.elements:
        if element["type"] in ("ai_AIPackage", "dataset_DatasetPackage"):
            assert len(graph.ends(element["spdxId"], "hasConcludedLicense")) == 1
            assert graph.ends(element["spdxId"], "hasDeclaredLicense")
            assert element["software_primaryPurpose"] in ("model", "data")
        if element["type"] == "dataset_DatasetPackage":
            assert element["dataset_datasetType"]


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(any_report())
def test_any_inventory_gives_a_valid_document(report: Report) -> None:
    conforms(Graph(written(report, "spdx")))


@pytest.mark.parametrize(
    "wrong",
    [{"ai_typeOfModel": "llama"}, {"ai_unknown": 1}, {"releaseTime": "May"}, {"software_primaryPurpose": "weights"}],
)
def test_the_schema_refuses_what_is_wrong(wrong: dict[str, Any]) -> None:
    document = json.loads(bill_of(REPOSITORY, "spdx"))
    model = next(one for one in document["@graph"] if one["type"] == "ai_AIPackage")
    model.update(wrong)
    with pytest.raises(ValidationError):
        schema().validate(document)


def test_a_repository_is_an_ai_package() -> None:
    graph = Graph(bill_of(REPOSITORY, "spdx"))
    conforms(graph)
    model = graph.of("ai_AIPackage")["tiny"]
    start = model["spdxId"]
    assert model["ai_typeOfModel"] == ["llama", "LlamaForCausalLM"] and model["ai_domain"] == ["text-generation"]
    assert graph.ends(start, "trainedOn") == ["org/corpus"] and graph.ends(start, "testedOn") == ["org/eval"]
    assert graph.ends(start, "descendantOf") == ["org/base-7b"]
    assert graph.ends(start, "dependsOn") == ["torch", "transformers"]
    assert set(graph.ends(start, "contains")) == set(REPOSITORY)
    assert graph.ends(start, "hasDocumentation") == ["repo/README.md"]
    assert graph.ends(start, "hasEvidence") == ["repo/model.sig"]
    assert graph.ends(start, "hasConcludedLicense") == [NO_ASSERTION]
    (declared,) = graph.ends(start, "hasDeclaredLicense")
    assert graph.named[declared]["simplelicensing_licenseExpression"] == "Apache-2.0"
    told = {one["key"]: one["value"] for one in model["ai_hyperparameter"]}
    assert told["parameters"] == "6144" and told["element type F16"] == "6144" and told["quantisation"] == "gptq 4-bit"
    assert model["ai_metric"] == [{"type": "DictionaryEntry", "key": "accuracy [org/eval]", "value": "0.71"}]
    assert "grams of CO2 equivalents: 12.5" in model["ai_informationAboutTraining"]


def test_the_sbom_is_about_the_model() -> None:
    graph = Graph(bill_of(REPOSITORY, "spdx"))
    (sbom,) = (one for one in graph.elements if one["type"] == "software_Sbom")
    assert [graph.named[one]["name"] for one in sbom["rootElement"]] == ["tiny"]
    assert sbom["profileConformance"] == ["core", "software", "simpleLicensing", "ai", "dataset"]
    (document,) = (one for one in graph.elements if one["type"] == "SpdxDocument")
    assert document["rootElement"] == [sbom["spdxId"]]


def test_files_and_packages_have_their_digests() -> None:
    lock = b"numpy==1.26.4 --hash=sha256:" + b"c" * 64 + b"\n"
    graph = Graph(bill_of({"m/net.safetensors": safetensors({"a": ("F32", [2])}), "m/requirements.txt": lock}, "spdx"))
    hashed = {"type": "Hash", "algorithm": "sha256", "hashValue": "ab" * 32}
    assert graph.of("ai_AIPackage")["net"]["verifiedUsing"] == [hashed]
    assert graph.of("software_File")["m/net.safetensors"]["verifiedUsing"] == [hashed]
    numpy = graph.of("software_Package")["numpy"]
    assert numpy["software_packageUrl"] == "pkg:pypi/numpy@1.26.4"
    assert numpy["verifiedUsing"] == [{"type": "Hash", "algorithm": "sha256", "hashValue": "c" * 64}]


def test_suppliers_and_times_where_a_file_tells_them() -> None:
    said = {"modelspec.title": "Net", "modelspec.author": "Ada", "modelspec.date": "2024-05-01T12:00:00+02:00"}
    told = Graph(bill_of({"net.safetensors": safetensors({"a": ("F32", [2])}, said)}, "spdx"))
    model = told.of("ai_AIPackage")["Net"]
    assert model["releaseTime"] == "2024-05-01T10:00:00Z"
    assert told.named[model["suppliedBy"]]["name"] == "Ada" and model["originatedBy"] == [model["suppliedBy"]]
    untold = Graph(bill_of({"net.safetensors": safetensors({"a": ("F32", [2])}, {"modelspec.date": "May"})}, "spdx"))
    assert not {"releaseTime", "suppliedBy"} & untold.of("ai_AIPackage")["net"].keys()


def test_a_missing_shard_leaves_the_list_of_files_incomplete() -> None:
    files = dict(REPOSITORY)
    del files["repo/model-00002-of-00002.safetensors"]
    graph = Graph(bill_of(files, "spdx"))
    contains = [one for one in graph.elements if one.get("relationshipType") == "contains"]
    assert [one["completeness"] for one in contains] == ["incomplete"]


def test_licences_of_their_own_are_told_by_name() -> None:
    card = b"---\nlicense: other\nlicense_name: our own words\npipeline_tag: x\n---\n"
    graph = Graph(bill_of({"m/README.md": card}, "spdx"))
    assert graph.ends(graph.of("ai_AIPackage")["m"]["spdxId"], "hasDeclaredLicense") == ["our own words"]


def test_the_same_files_give_the_same_bytes() -> None:
    assert bill_of(REPOSITORY, "spdx") == bill_of(REPOSITORY, "spdx")
