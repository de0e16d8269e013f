"""JSON documents: what loaders of configurations act on, however the document is dressed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.facts import Artifact, Import
from tests.support import examine_bytes, facts_of, findings_of, worst

ESCAPE = "{{ cycler.__init__.__globals__.os.popen('id').read() }}"
CHAT = "{% for message in messages %}{{ message.role }}: {{ message['content'] }}\n{% endfor %}"

KEYS = [
    "auto_map",
    "_target_",
    "implementation",
    "parameters",
    "weight_map",
    "flavors",
    "type",
    "path",
    "idx",
    "dependencies",
    "channels",
    "pip",
    "model",
    "archiverVersion",
    "custom_pipelines",
    "impl",
    "target",
    "_class_name",
    "_diffusers_version",
    "auto_mapping",
    "parent_library",
    "params",
]


def document(value: object) -> bytes:
    return json.dumps(value).encode()


def test_an_ordinary_configuration_has_no_finding() -> None:
    config = {"model_type": "bert", "architectures": ["BertModel"], "_name_or_path": "bert-base-uncased"}
    assert findings_of(document(config), "config.json") == []
    assert findings_of(document({"tokenizer_class": "X", "chat_template": CHAT}), "tokenizer_config.json") == []


def test_the_inventory_holds_what_the_configuration_says() -> None:
    config = {"model_type": "bert", "architectures": ["BertModel"], "num_hidden_layers": 12, "model_max_length": 10**30}
    found = [fact for fact in facts_of(document(config), "config.json") if type(fact) is Artifact]
    assert found[1].format == "transformers-config"
    assert found[1].details == {"model_type": "bert", "architecture": "BertModel", "layers": 12}


@pytest.mark.parametrize(
    "value",
    [
        {"chat_template": ESCAPE},
        {"chat_template": [{"name": "default", "template": CHAT}, {"name": "tool_use", "template": ESCAPE}]},
        {"a": [[{"b": {"c": ESCAPE}}]]},
        [ESCAPE],
        {"templates": [CHAT] * 500 + [ESCAPE]},
    ],
)
def test_a_template_is_found_wherever_it_hides(value: object) -> None:
    assert worst(findings_of(document(value), "tokenizer_config.json")) == "critical"


@pytest.mark.parametrize(
    "dress",
    [
        lambda data: b" " * 100_000 + data,
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b"{", b"{\n" + b"\t" * 5000, 1),
        lambda data: data.replace(b'"x"', b'"x": NaN, "y"', 1),
        lambda data: b'{"first": 1}\n' + data,
    ],
)
def test_dressing_hides_nothing(dress: object) -> None:
    data = dress(document({"x": 1, "chat_template": ESCAPE}))  # type: ignore[operator]
    assert worst(findings_of(data, "tokenizer_config.json")) == "critical"


def test_too_many_templates_are_said_and_not_passed_over() -> None:
    data = document({"templates": [CHAT] * 5000 + [ESCAPE]})
    assert "resource-limit" in {item.rule for item in findings_of(data, "x.json")}


def test_braces_of_a_vocabulary_are_no_template() -> None:
    assert examine_bytes(document({"merges": ["{{ }}", "{ {"], "other": "}} {{"}), "tokenizer.json")[-1].subject
    assert len(examine_bytes(document({"merges": ["{{ }}", "}} {{"]}), "tokenizer.json")) == 1


@pytest.mark.parametrize(
    ("target", "severity"),
    [
        ("os.system", "critical"),
        ("subprocess.Popen", "critical"),
        ("builtins.eval", "critical"),
        ("torch.nn.Linear", "none"),
        ("nemo.collections.asr.models.EncDecCTCModelBPE", "none"),
        ("lightning.pytorch.Trainer", "none"),
        ("my_package.Model", "medium"),
        ("${model.cls}", "medium"),
    ],
)
def test_hydra_targets_are_judged_as_imports(target: str, severity: str) -> None:
    assert worst(findings_of(document({"model": {"_target_": target, "_args_": ["id"]}}), "c.json")) == severity


def test_a_target_is_put_together_as_omegaconf_does() -> None:
    value = {"module": "os", "call": {"_target_": "${module}.system", "_args_": ["id"]}}
    assert worst(findings_of(document(value), "c.json")) == "critical"


@pytest.mark.parametrize(("path", "severity"), [("torch.nn.ReLU", "none"), ("os.system", "critical")])
def test_hydras_own_look_up_is_judged_by_what_it_looks_up(path: str, severity: str) -> None:
    assert worst(findings_of(document({"_target_": "hydra.utils.get_method", "path": path}), "c.json")) == severity


def test_a_model_of_the_hub_in_a_configuration_is_ordinary_unless_its_code_is_trusted() -> None:
    target = {
        "_target_": "transformers.AutoModel.from_pretrained",
        "pretrained_model_name_or_path": "bert-base-uncased",
    }
    assert worst(findings_of(document(target), "c.json")) == "low"
    assert worst(findings_of(document({**target, "trust_remote_code": True}), "c.json")) == "high"


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ('${eval:\'__import__("os").system("id")\'}', "high"),
        ("${oc.env:HOME}/data", "none"),
        ("${eval:'${a} * 2'}", "none"),
        ("${oc.decode:${oc.env:PORT}}", "none"),
    ],
)
def test_resolvers_that_are_given_programs(text: str, severity: str) -> None:
    assert worst(findings_of(document({"value": text}), "c.json")) == severity


def test_program_text_is_said_but_is_no_attack_by_itself() -> None:
    found = findings_of(document({"exec_on_load": "import os; os.system('whoami')"}), "config.json")
    assert [(item.rule, str(item.severity)) for item in found] == [("program-text", "low")]
    assert findings_of(document({"prompt": "Explain what os.system(cmd) does to beginners."}), "c.json") == []


def test_shards_that_leave_the_folder() -> None:
    honest = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    assert findings_of(document(honest), "model.safetensors.index.json") == []
    hostile = {"weight_map": {"a": "../../../etc/passwd"}}
    assert worst(findings_of(document(hostile), "model.safetensors.index.json")) == "high"


def test_a_yaml_file_that_begins_as_json_is_read_as_its_loader_reads_it() -> None:
    data = b'{"_target_": os.system, "_args_": [id]} # YAML\n'
    assert worst(findings_of(data, "config.yaml")) == "critical"


def test_sections_of_other_formats_are_no_json() -> None:
    assert "json" not in examine_bytes(b"[test]\npytest>=3.0\n", "requires.txt")[-1].formats
    assert "json" in examine_bytes(b"[ true, NaN]", "x")[-1].formats


def test_broken_and_deep_documents_end_in_a_state() -> None:
    assert examine_bytes(b'{"a": ', "x.json")[-1].state == "partial"
    assert examine_bytes(b"[" * 200_000, "x.json")[-1].state == "partial"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(KEYS) | st.text(),
                inner,
            )
        ),
        max_leaves=30,
    )
)
def test_any_document_is_examined_without_an_error(value: object) -> None:
    for examination in examine_bytes(document(value), "config.json"):
        assert examination.state != "failed", examination.reason
    assert all(type(fact) is not Import or isinstance(fact.module, str) for fact in facts_of(document(value), "x.json"))
    findings_of(document(value), "config.json")


@pytest.mark.parametrize("name", ["poetry.lock", "one-package.lock"])
def test_a_lock_file_of_tables_is_no_json(name: str) -> None:
    data = b'[[package]]\nname = "numpy"\nversion = "1.26.4"\n'
    assert "json" not in examine_bytes(data, name)[-1].formats
    assert findings_of(data, name) == []


def test_a_server_may_import_a_file_whose_name_has_a_hyphen() -> None:
    settings = {"name": "m", "implementation": "serve-model.CassavaModel"}
    assert worst(findings_of(json.dumps(settings).encode(), "model-settings.json")) == "medium"
