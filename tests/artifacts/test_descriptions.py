"""What formats say of their models, as one kind of fact."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.facts import Description, Link, Metric
from tests.artifacts.formats import test_keras_archive, test_onnx, test_skops, weights
from tests.artifacts.protobuf_encoding import message
from tests.support import examine_bytes, facts_of


def said(data: bytes, name: str = "subject") -> Description:
    """The one description in some bytes."""
    (found,) = (fact for fact in facts_of(data, name) if isinstance(fact, Description))
    return found


def card(head: str) -> bytes:
    return f"---\n{head}\n---\n# A card\n".encode()


def config(**values: Any) -> bytes:
    return json.dumps(values).encode()


def test_a_model_card() -> None:
    head = """
license: other
license_name: our-own
license_link: https://example.org/LICENSE
language: [en, "no", de]
library_name: transformers
pipeline_tag: text-generation
base_model: [org/a, org/b]
base_model_relation: merge
datasets: org/data
tags: ["arxiv:2307.09288", "doi:10.5/x", "arxiv:../../x", reinforcement-learning]
co2_eq_emissions: 7.5
model-index:
- name: Net
  results:
  - task: {type: qa}
    dataset: {name: Squad, type: squad}
    metrics: [{type: f1, value: 0.9}, {type: odd, value: {a: 1}}]
"""
    assert said(card(head), "README.md") == Description(
        name="Net",
        licences=("our-own",),
        task="text-generation",
        approach="reinforcement-learning",
        frameworks={"transformers": ""},
        languages=("en", "no", "de"),
        tags=("arxiv:2307.09288", "doi:10.5/x", "arxiv:../../x", "reinforcement-learning"),
        datasets=("org/data",),
        base_models=("org/a", "org/b"),
        base_relation="merge",
        metrics=(Metric(name="f1", value="0.9", dataset="squad", task="qa"),),
        emissions={"emissions": "7.5"},
        links=(
            Link(role="licence", target="https://example.org/LICENSE"),
            Link(role="paper", target="https://arxiv.org/abs/2307.09288"),
            Link(role="paper", target="https://doi.org/10.5/x"),
        ),
    )


def test_a_data_set_card() -> None:
    head = "license: cc-by-4.0\npretty_name: Corpus\ntask_categories: [qa]\nsize_categories: [1M<n<10M]\nlanguage: en"
    found = said(card(head), "README.md")
    assert found.about == "data-set" and found.name == "Corpus" and found.licences == ("cc-by-4.0",)
    assert found.content == ("qa", "1M<n<10M") and found.languages == ("en",)


@pytest.mark.parametrize(
    "head", ["title: A post\ntags: [a]\nauthor: Ada", "sdk: gradio\nlicense: mit", "license:", "- x"]
)
def test_heads_that_describe_no_model(head: str) -> None:
    assert [fact for fact in facts_of(card(head), "post.md") if isinstance(fact, Description)] == []


def test_aliases_and_endless_tables_in_a_card_stay_small() -> None:
    lines = "".join(f"- &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 30))
    many = ", ".join(f"d{n}" for n in range(9999))
    found = said(card(f"license: mit\nx:\n- &a0 [b]\n{lines}datasets: [{many}]\ntags: [{'t' * 9999}]"), "README.md")
    assert len(found.datasets) == 64 and len(found.tags[0]) == 300


QUANTISED = {
    "gptq 4-bit": {"quant_method": "gptq", "bits": 4},
    "awq 4-bit": {"quant_method": "awq", "w_bit": 4},
    "bitsandbytes 4-bit nf4": {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
    "bitsandbytes 8-bit": {"quant_method": "bitsandbytes", "load_in_8bit": True, "load_in_4bit": False},
    "fp8 e4m3": {"quant_method": "fp8", "fmt": "e4m3"},
}


@pytest.mark.parametrize("expected", QUANTISED)
def test_a_transformers_configuration(expected: str) -> None:
    data = config(
        model_type="llama",
        architectures=["LlamaForCausalLM"],
        torch_dtype="bfloat16",
        hidden_size=64,
        transformers_version="4.44.0",
        quantization_config=QUANTISED[expected],
    )
    assert said(data, "config.json") == Description(
        family="llama",
        architecture="LlamaForCausalLM",
        quantisation=(expected,),
        frameworks={"transformers": "4.44.0"},
        settings={"element type": "bfloat16", "hidden size": "64"},
    )


def test_an_adapter_and_a_pipeline() -> None:
    adapter = said(config(peft_type="LORA", base_model_name_or_path="org/base", task_type="CAUSAL_LM", r=8))
    assert adapter.base_models == ("org/base",) and adapter.base_relation == "adapter" and adapter.task == "CAUSAL_LM"
    assert adapter.family == "LORA" and adapter.settings == {"rank": "8"}
    pipeline = said(config(_class_name="StableDiffusionPipeline", _diffusers_version="0.30.0"), "model_index.json")
    assert pipeline.architecture == "StableDiffusionPipeline" and pipeline.frameworks == {"diffusers": "0.30.0"}
    sentences = config(__version__={"sentence_transformers": "3.0.1", "pytorch": "2.4"}, similarity_fn_name="cosine")
    assert said(sentences).frameworks == {"sentence_transformers": "3.0.1", "pytorch": "2.4"}


def test_spacy_and_mlflow() -> None:
    spacy = config(
        lang="en", name="core", version="3.8.0", license="MIT", spacy_version=">=3.8", performance={"ents_f": 0.8}
    )
    found = said(spacy, "meta.json")
    assert found.name == "en_core" and found.licences == ("MIT",) and found.languages == ("en",)
    assert found.metrics == (Metric(name="ents_f", value="0.8"),)
    mlflow = (
        "flavors:\n  sklearn: {sklearn_version: 1.5.0}\nmlflow_version: 2.14.0\n"
        "utc_time_created: '2024-06-01 10:00:00.5'\n"
        'signature:\n  inputs: \'[{"name": "age", "type": "double"}]\'\n'
        '  outputs: \'[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]\'\n'
    )
    found = said(mlflow.encode(), "MLmodel")
    assert found.frameworks == {"mlflow": "2.14.0", "sklearn": "1.5.0"} and found.released == "2024-06-01T10:00:00.5Z"
    assert found.inputs == ("age: double",) and found.outputs == ("int64[-1]",)


def test_safetensors_and_gguf() -> None:
    metadata = {"format": "pt", "modelspec.title": "Net", "modelspec.license": "MIT", "modelspec.tags": "a, b"}
    header = {"__metadata__": metadata, "w": weights.tensor(0, 8, [2]), "v": weights.tensor(8, 12, [2], "F16")}
    found = said(weights.safetensors(header, bytes(12)), "net.safetensors")
    assert found.parameters == 4 and found.element_types == {"F32": 2, "F16": 2} and found.tags == ("a", "b")
    assert found.name == "Net" and found.licences == ("MIT",) and found.frameworks == {"torch": ""}
    made = weights.model().entry("general.base_model.0.repo_url", 8, "https://example.org/base")
    made.entry("general.base_model.1.name", 8, "Other").entry("general.base_model.1.organization", 8, "Org")
    found = said(made.entry("general.languages", 9, (8, ["en"])).bytes(), "net.gguf")
    assert found.name == "Tiny" and found.family == "llama" and found.quantisation == ("Q4_0",)
    assert found.base_models == ("https://example.org/base", "Org/Other") and found.languages == ("en",)
    assert found.element_types == {"F32": 15, "Q4_0": 64, "F16": 7} and found.settings == {"context": "4096"}
    assert found.links == (Link(role="website", target="https://example.org/tiny"),)


def value_info(name: str, *dimensions: "tuple[int, int | str]") -> bytes:
    shape = message(*((1, message(one)) for one in dimensions))
    return message((1, name), (2, message((1, message((1, 1), (2, shape))))))


def onnx(version: int) -> bytes:
    tensor = message((1, 3), (1, 4), (2, 10), (8, "w"), (9, bytes(24)))
    inputs = (value_info("x", (2, "batch"), (1, 3)), value_info("w", (1, 3), (1, 4)))
    parts = [(11, one) for one in inputs] + [(12, value_info("y"))]
    inner = message((1, test_onnx.node("Relu")), (2, "g"), (5, tensor), *parts)
    return message((1, version), (2, "skl2onnx"), (3, "1.17"), (7, inner), (8, message((1, ""), (2, 17))))


def test_onnx_takes_and_gives() -> None:
    found = said(onnx(8), "net.onnx")
    assert found.parameters == 12 and found.element_types == {"float16": 12}
    assert found.frameworks == {"skl2onnx": "1.17", "onnx": "ai.onnx 17"}
    assert found.inputs == ("x: float32[batch,3]", "w: float32[3,4]") and found.outputs == ("y: float32[]",)
    assert said(onnx(3), "net.onnx").inputs == ("x: float32[batch,3]",)


@pytest.mark.parametrize("protocol", range(6))
def test_scikit_learn_in_pickles(protocol: int) -> None:
    import pickle

    from sklearn import __version__
    from sklearn.linear_model import LogisticRegression

    found = said(pickle.dumps(LogisticRegression(), protocol=protocol), "net.pkl")
    assert found.architecture == "sklearn.linear_model._logistic.LogisticRegression"
    assert found.frameworks == {"scikit-learn": __version__}


def test_keras_and_skops() -> None:
    layer = {"class_name": "InputLayer", "config": {"name": "in", "dtype": "float32", "batch_shape": [None, 28, 28]}}
    document = {"module": "keras", "class_name": "Sequential", "config": {"name": "mnist", "layers": [layer]}}
    parts = (("metadata.json", test_keras_archive.METADATA), ("config.json", json.dumps(document)))
    found = said(test_keras_archive.archive(*parts), "net.keras")
    assert found.architecture == "Sequential" and found.frameworks == {"keras": "3.3.3"}
    assert found.inputs == ("in: float32[?,28,28]",) and found.settings == {"name": "mnist", "layers": "1"}
    estimator = test_skops.estimator(_sklearn_version=test_skops.text("1.5.0"))
    found = said(test_skops.archive(estimator), "net.skops")
    assert found.architecture == "sklearn.linear_model._logistic.LogisticRegression"
    assert found.frameworks == {"skops": "0.13.0", "scikit-learn": "1.5.0"}


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_KEYS = (
    "model_type architectures quantization_config transformers_version torch_dtype peft_type _class_name __version__"
)
_KEYS += (
    " base_model_name_or_path spacy_version performance sources flavors signature tokenizer_class similarity_fn_name"
)


@given(st.dictionaries(st.sampled_from(_KEYS.split()), _VALUES, min_size=1))
def test_any_values_of_a_configuration_end_in_a_state(document: dict[str, object]) -> None:
    assert examine_bytes(json.dumps(document).encode(), "config.json")[-1].state != "failed"
