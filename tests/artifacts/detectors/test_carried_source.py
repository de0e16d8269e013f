"""Repositories as a unit: the configuration, the Python that it names, and what that imports."""

import io
import json
import zipfile

import pytest

from tests.support import findings_of, worst

CONFIG = {"model_type": "x", "auto_map": {"AutoModel": "modeling_x.XModel", "AutoConfig": "modeling_x.XConfig"}}
MODEL = b"import torch\nclass XModel(torch.nn.Module):\n    def forward(self, x):\n        return x\n"
HOSTILE = b"import os\nos.system('id')\n"


def files(**contents: object) -> dict[str, bytes]:
    """A repository in the folder `repo`; `__` in a name stands for a dot, and `_in_` for a slash."""
    return {
        "repo/" + name.replace("__", "."): value if isinstance(value, bytes) else json.dumps(value).encode()
        for name, value in contents.items()
    }


def test_honest_remote_code_is_named_once_and_no_more() -> None:
    found = findings_of(files(config__json=CONFIG, modeling_x__py=MODEL))
    assert [(item.rule, str(item.severity)) for item in found] == [("remote-code", "medium")]


def test_hostile_remote_code_is_high() -> None:
    found = findings_of(files(config__json=CONFIG, modeling_x__py=HOSTILE))
    item = next(one for one in found if one.rule == "dangerous-carried-source")
    assert (item.subject, item.place, str(item.severity)) == ("repo/modeling_x.py", "line 2", "high")


def test_remote_code_that_looks_like_another_format_is_still_read() -> None:
    assert worst(findings_of(files(config__json=CONFIG, modeling_x__py=b'{"a": 1}\n' + HOSTILE))) == "high"
    assert worst(findings_of(files(config__json=CONFIG, modeling_x__py=b"{}\n# {% if x %}\n" + HOSTILE))) == "high"


def test_imports_from_beside_it_are_followed() -> None:
    chain = files(
        config__json=CONFIG,
        modeling_x__py=b"from .helper import f\n" + MODEL,
        helper__py=b"from . import deeper\n",
        deeper__py=HOSTILE,
        unrelated__py=HOSTILE,
    )
    found = [item.subject for item in findings_of(chain) if item.rule == "dangerous-carried-source"]
    assert found == ["repo/deeper.py"]


def test_python_that_is_not_there_is_said() -> None:
    found = findings_of(files(config__json=CONFIG, other__json={}))
    assert {(item.rule, str(item.severity)) for item in found} == {
        ("remote-code", "medium"),
        ("missing-remote-code", "low"),
    }


@pytest.mark.parametrize(
    ("given", "severity"),
    [
        ({"AutoModel": "other/repo--modeling.X"}, "medium"),
        ({"AutoTokenizer": ["tok.Slow", None]}, "medium"),
        (["tok.Slow", None], "medium"),
        ({"AutoModel": "/tmp/evil.X"}, "high"),
        ({"AutoModel": "../../evil.X"}, "high"),
        ({}, "none"),
        ({"AutoModel": None}, "none"),
    ],
)
def test_what_auto_map_may_name(given: object, severity: str) -> None:
    assert worst(findings_of(files(config__json={"auto_map": given}))) == severity


def test_network_is_high_at_load_and_medium_in_a_method() -> None:
    load = b"import requests\nrequests.get('https://example.org/x')\n"
    method = b"import requests\nclass T:\n    def image(self, url):\n        return requests.get(url)\n"
    assert worst(findings_of(files(config__json=CONFIG, modeling_x__py=load))) == "high"
    assert worst(findings_of(files(config__json=CONFIG, modeling_x__py=method))) == "medium"


def test_other_places_where_configurations_name_python() -> None:
    pipelines = {"custom_pipelines": {"pair": {"impl": "pair.Pair", "pt": ["AutoModel"]}}}
    assert worst(findings_of(files(config__json=pipelines, pair__py=HOSTILE))) == "high"
    layers = [{"idx": 0, "name": "0", "path": "", "type": "custom_st.Layer"}]
    assert worst(findings_of(files(modules__json=layers, custom_st__py=HOSTILE))) == "high"
    index = {"_class_name": ["pipe", "Pipe"], "_diffusers_version": "0.30", "unet": ["unet_x", "Unet"]}
    assert worst(findings_of(files(model_index__json=index, pipe__py=HOSTILE))) == "high"
    assert worst(findings_of({**files(model_index__json=index), "repo/unet/unet_x.py": HOSTILE})) == "high"
    assert worst(findings_of(files(config__json={"model_type": "x"}, handler__py=HOSTILE))) == "high"
    generate = {"repo/config.json": b"{}", "repo/custom_generate/generate.py": HOSTILE}
    assert worst(findings_of(generate)) == "high"


def test_ordinary_repositories_have_no_finding() -> None:
    layers = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.30",
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "feature_extractor": [None, None],
    }
    adapter = {
        "peft_type": "LORA",
        "base_model_name_or_path": "meta-llama/Llama-3.1-8B",
        "auto_mapping": {"base_model_class": "BertModel", "parent_library": "transformers.models.bert.modeling_bert"},
    }
    assert findings_of(files(modules__json=layers)) == []
    assert findings_of(files(model_index__json=index)) == []
    assert findings_of(files(adapter_config__json=adapter)) == []


@pytest.mark.parametrize(
    ("value", "severity"),
    [
        ([{"idx": 0, "name": "0", "path": "", "type": "os.system"}], "critical"),
        ({"_class_name": "P", "_diffusers_version": "1", "x": ["subprocess", "Popen"]}, "critical"),
        ({"peft_type": "LORA", "auto_mapping": {"parent_library": "os", "base_model_class": "system"}}, "critical"),
        ({"model_kwargs": {"trust_remote_code": True}}, "medium"),
        ({"model_kwargs": {"trust_remote_code": False}}, "none"),
    ],
)
def test_names_that_loaders_import(value: object, severity: str) -> None:
    assert worst(findings_of(files(x__json=value))) == severity


MLMODEL = b"""artifact_path: model
flavors:
  python_function:
    env: {conda: conda.yaml, virtualenv: python_env.yaml}
    loader_module: mlflow.sklearn
    model_path: model.pkl
    predict_fn: predict
    python_version: 3.11.6
  sklearn:
    code: null
    pickled_model: model.pkl
    sklearn_version: 1.4.1
mlflow_version: 2.14.1
run_id: 0123
"""


def test_an_ordinary_mlflow_model_has_no_finding() -> None:
    environment = b"python: 3.11.6\nbuild_dependencies:\n- pip==24.0\ndependencies:\n- -r requirements.txt\n"
    conda = b"channels:\n- conda-forge\ndependencies:\n- python=3.11\n- pip<=24.0\n- pip:\n  - mlflow==2.14.1\n"
    model = {"m/MLmodel": MLMODEL, "m/python_env.yaml": environment, "m/conda.yaml": conda}
    pinned = {**model, "m/requirements.txt": b"mlflow==2.14.1\nscikit-learn==1.4.1\n"}
    assert worst(findings_of(pinned)) in ("none", "info")


def test_mlflow_loaders_and_code_are_one_unit() -> None:
    code = MLMODEL.replace(b"loader_module: mlflow.sklearn", b"loader_module: my_loader\n    code: code")
    found = findings_of({"m/MLmodel": code, "m/code/my_loader.py": HOSTILE, "m/other.py": HOSTILE})
    assert {(item.rule, str(item.severity), item.subject) for item in found} == {
        ("unknown-import", "medium", "m/MLmodel"),
        ("dangerous-carried-source", "high", "m/code/my_loader.py"),
    }
    os_loader = MLMODEL.replace(b"mlflow.sklearn", b"subprocess")
    assert worst(findings_of({"m/MLmodel": os_loader})) in ("high", "critical")


def test_mlflow_models_from_code() -> None:
    script = MLMODEL.replace(b"model_path: model.pkl", b"model_code_path: /home/author/agent.py", 1)
    assert worst(findings_of({"m/MLmodel": script, "m/agent.py": HOSTILE})) == "high"
    assert findings_of({"m/MLmodel": script, "m/agent.py": b"import mlflow\n"}) == []


@pytest.mark.parametrize("path", ["../../secrets.pkl", "/etc/shadow", "C:\\\\secrets.pkl"])
def test_mlflow_paths_that_leave_the_model(path: str) -> None:
    data = MLMODEL.replace(b"pickled_model: model.pkl", f'pickled_model: "{path}"'.encode())
    assert worst(findings_of({"m/MLmodel": data})) == "high"


def test_mlserver_runtimes() -> None:
    settings = {"name": "x", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./model.joblib"}}
    assert findings_of(files(model_settings__json=settings)) == []
    own = {**settings, "implementation": "runtime.Runtime"}
    assert worst(findings_of(files(model_settings__json=own))) == "medium"
    assert worst(findings_of(files(model_settings__json=own, runtime__py=HOSTILE))) == "high"
    assert worst(findings_of(files(model_settings__json={**settings, "implementation": "os.system"}))) == "critical"
    remote = {**settings, "parameters": {"environment_tarball": "https://example.org/e.tar.gz"}}
    assert worst(findings_of(files(model_settings__json=remote))) == "high"


def test_handlers_of_torchserve_archives() -> None:
    def archive(handler: bytes, named: str = "handler.py") -> bytes:
        manifest = {"model": {"modelName": "x", "handler": named}, "archiverVersion": "0.9"}
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as out:
            out.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
            out.writestr("handler.py", handler)
        return packed.getvalue()

    assert worst(findings_of(archive(HOSTILE), "x.mar")) == "high"
    assert findings_of(archive(MODEL), "x.mar") == []
    assert worst(findings_of(archive(MODEL, "../../../x.py"), "x.mar")) == "high"
