"""CycloneDX ML-BOMs: valid whatever was found, and as rich as the files are."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import HealthCheck, given, settings

from garrison.core.report import Report
from garrison.describing import written

from .inventories import any_report
from .trees import REPOSITORY, bill_of, bundle, safetensors

VALIDATORS = {
    "cyclonedx": JsonStrictValidator(SchemaVersion.V1_6),
    "cyclonedx-1.7": JsonStrictValidator(SchemaVersion.V1_7),
}


def checked(text: str, format: str = "cyclonedx") -> Any:
    """The document, which must be valid and whose references must be there, once each."""
    assert VALIDATORS[format].validate_str(text) is None
    document = json.loads(text)
    references = [one["bom-ref"] for one in components(document)]
    assert len(references) == len(set(references))
    used = [one["ref"] for one in document.get("dependencies", ())]
    used += [end for one in document.get("dependencies", ()) for end in one["dependsOn"]]
    used += [part for one in document.get("compositions", ()) for part in one.get("assemblies", ())]
    for component in components(document):
        parameters = component.get("modelCard", {}).get("modelParameters", {})
        used += [one["ref"] for one in parameters.get("datasets", ())]
    assert set(used) <= set(references)
    return document


def components(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    pending = [document["metadata"].get("component", {}), *document["components"]]
    while pending:
        component = pending.pop()
        if component:
            yield component
            pending += component.get("components", [])


def of_type(document: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in components(document) if one["type"] == kind}


def properties(component: dict[str, Any]) -> dict[str, str]:
    return {one["name"].removeprefix("garrison:"): one["value"] for one in component.get("properties", ())}


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(any_report())
@pytest.mark.parametrize("format", VALIDATORS)
def test_any_inventory_gives_a_valid_document(format: str, report: Report) -> None:
    checked(written(report, format), format)


def test_a_repository_is_one_model_with_its_files() -> None:
    document = checked(bill_of(REPOSITORY))
    model = document["metadata"]["component"]
    assert model["type"] == "machine-learning-model" and model["name"] == "tiny"
    assert model["licenses"] == [{"license": {"id": "Apache-2.0", "acknowledgement": "declared"}}]
    assert {one["name"] for one in model["components"]} == set(REPOSITORY)
    assert all(one["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}] for one in model["components"])
    assert model["pedigree"] == {
        "ancestors": [{"type": "machine-learning-model", "name": "org/base-7b"}],
        "notes": "quantized",
    }
    assert {(one["type"], one["url"]) for one in model["externalReferences"]} == {
        ("documentation", "https://arxiv.org/abs/2307.09288"),
        ("digital-signature", "repo/model.sig"),
        ("model-card", "repo/README.md"),
    }


def test_signatures_and_attestations_are_named_and_not_believed() -> None:
    said = bundle("https://slsa.dev/provenance/v1", "cd" * 32)
    document = checked(bill_of({**REPOSITORY, "repo.attestations/training-1.sigstore.json": said}))
    model = document["metadata"]["component"]
    evidence = {one["type"]: one for one in model["externalReferences"] if "not verified" in one.get("comment", "")}
    assert evidence["digital-signature"]["url"] == "repo/model.sig"
    assert evidence["attestation"]["comment"] == "https://slsa.dev/provenance/v1, not verified here"
    assert evidence["attestation"]["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert properties(model)["signed-root:sha256"] == "ef" * 32
    single = checked(bill_of({"n.safetensors": safetensors({"a": ("F32", [1])}), "n.safetensors.sig": bundle()}))
    assert properties(single["metadata"]["component"])["signed-root:sha256"] == "ef" * 32


def test_the_model_card_holds_what_card_configuration_and_weights_say() -> None:
    card = checked(bill_of(REPOSITORY))["metadata"]["component"]["modelCard"]
    assert card["modelParameters"] == {
        "approach": {"type": "self-supervised"},
        "task": "text-generation",
        "architectureFamily": "llama",
        "modelArchitecture": "LlamaForCausalLM",
        "datasets": [{"ref": "data:named org/corpus"}],
    }
    assert card["quantitativeAnalysis"]["performanceMetrics"] == [
        {"type": "accuracy", "value": "0.71", "slice": "org/eval"}
    ]
    emissions = card["considerations"]["environmentalConsiderations"]
    assert properties(emissions)["emissions:emissions"] == "12.5"
    told = properties(card)
    assert told["parameters"] == "6144" and told["element-type:F16"] == "6144"
    assert told["quantisation"] == "gptq 4-bit" and told["framework:transformers"] == "4.44.0"
    assert told["setting:layers"] == "2"


def test_models_depend_on_their_base_their_data_and_what_the_project_asks_for() -> None:
    document = checked(bill_of(REPOSITORY))
    (edges,) = document["dependencies"]
    assert edges["ref"] == "model:repo/"
    names = {one["bom-ref"]: one["name"] for one in components(document)}
    assert {names[end] for end in edges["dependsOn"]} == {
        "org/base-7b",
        "org/corpus",
        "org/eval",
        "torch",
        "transformers",
    }
    torch = of_type(document, "library")["torch"]
    assert torch["purl"] == "pkg:pypi/torch" and properties(torch)["requirement"] == ">=2.2"
    assert of_type(document, "library")["transformers"]["version"] == "4.44.0"
    assert properties(of_type(document, "data")["org/corpus"]) == {"named-only": "true"}


def test_a_base_that_lies_there_as_a_file_is_that_file() -> None:
    name = "a" * 90
    files = {f"{name}.safetensors": safetensors({"a": ("F32", [1])})}
    for number, base in enumerate((name, f"named {name}", "there")):
        files[f"m{number}/README.md"] = f"---\npipeline_tag: x\nbase_model: {base}\n---\n".encode()
    files["named there"] = safetensors({"b": ("F32", [1])})
    document = checked(bill_of(files))
    ends = {one["ref"]: one["dependsOn"] for one in document["dependencies"]}
    assert ends["model:m0/"] == [f"subject:{name}.safetensors"]
    assert ends["model:m1/"] == [f"model:named named {name}"]
    assert ends["model:m2/"] == ["model:named there'"]
    descended = [
        one for one in json.loads(bill_of(files, "spdx"))["@graph"] if one.get("relationshipType") == "descendantOf"
    ]
    assert len({tuple(one["to"]) for one in descended}) == 3


def test_a_missing_shard_leaves_the_model_incomplete_and_uncounted() -> None:
    files = dict(REPOSITORY)
    del files["repo/model-00002-of-00002.safetensors"]
    document = checked(bill_of(files))
    assert document["compositions"] == [{"aggregate": "incomplete", "assemblies": ["model:repo/"]}]
    assert "parameters" not in properties(document["metadata"]["component"]["modelCard"])


def test_what_could_not_be_read_is_said() -> None:
    document = checked(bill_of({"net.safetensors": safetensors({"a": ("F32", [4])})[:-8], "noise": b"\0\1\2\3" * 9}))
    aggregates = {one["aggregate"]: one["assemblies"] for one in document["compositions"]}
    assert aggregates == {"incomplete": ["subject:net.safetensors"], "unknown": ["subject:noise"]}
    assert len(document["metadata"]["properties"]) == 2


def test_a_file_is_a_model_with_its_digest() -> None:
    document = checked(bill_of({"zoo/net.safetensors": safetensors({"a": ("BF16", [3, 4])})}))
    model = document["metadata"]["component"]
    assert model["name"] == "net" and model["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert model["evidence"] == {"occurrences": [{"location": "zoo/net.safetensors"}]}
    assert properties(model["modelCard"]) == {"parameters": "12", "element-type:BF16": "12"}


def test_a_place_without_models_has_files_and_packages() -> None:
    document = checked(bill_of({"app/main.py": b"import os\n", "app/requirements.txt": b"requests==2.0\n"}))
    assert "component" not in document["metadata"]
    assert set(of_type(document, "file")) == {"app/main.py", "app/requirements.txt"}
    assert of_type(document, "library")["requests"]["purl"] == "pkg:pypi/requests@2.0"


def test_licences_that_are_no_identifiers() -> None:
    def licences(said: bytes, format: str = "cyclonedx") -> Any:
        card = b"---\nlicense: " + said + b"\npipeline_tag: x\n---\n"
        return checked(bill_of({"m/README.md": card}, format), format)["metadata"]["component"]["licenses"]

    declared = {"acknowledgement": "declared"}
    assert licences(b"MIT OR Apache-2.0") == [{"expression": "MIT OR Apache-2.0", **declared}]
    assert licences(b"our own words") == [{"license": {"name": "our own words", **declared}}]
    both = b"[mit, 'MIT OR Apache-2.0']"
    assert licences(both)[1] == {"license": {"name": "MIT OR Apache-2.0", **declared}}
    assert licences(both, "cyclonedx-1.7")[1] == {"expression": "MIT OR Apache-2.0", **declared}


def test_the_same_files_give_the_same_bytes() -> None:
    backwards = dict(reversed(REPOSITORY.items()))
    first, second = json.loads(bill_of(REPOSITORY)), json.loads(bill_of(backwards))
    assert first == second and first["serialNumber"].startswith("urn:uuid:")


WRONG = {
    "an approach that there is not": lambda card: card["modelParameters"].update(approach={"type": "guessing"}),
    "a task that is no text": lambda card: card["modelParameters"].update(task=["x"]),
    "a data set without a type": lambda card: card["modelParameters"].update(datasets=[{"name": "x"}]),
    "an input of no form": lambda card: card["modelParameters"].update(inputs=[{"shape": "x"}]),
    "a metric that is a number": lambda card: card["quantitativeAnalysis"]["performanceMetrics"][0].update(value=1),
    "a parameter of no name": lambda card: card["modelParameters"].update(parameters=7),
    "a property without a name": lambda card: card.update(properties=[{"value": 1}]),
    "considerations that are a list": lambda card: card.update(considerations=[]),
    "energy without a provider": lambda card: card["considerations"]["environmentalConsiderations"].update(
        energyConsumptions=[{"activity": "training"}]
    ),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("format", VALIDATORS)
def test_the_validator_refuses_what_is_no_model_card(format: str, wrong: Any) -> None:
    document = json.loads(bill_of(REPOSITORY, format))
    wrong(document["metadata"]["component"]["modelCard"])
    assert VALIDATORS[format].validate_str(json.dumps(document)) is not None
