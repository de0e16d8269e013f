"""What configurations of the Hugging Face family, of spaCy and of MLflow say of the model that they belong to.

Source: transformers `configuration_utils.py` and `utils/quantization_config.py`, PEFT `config.py`, diffusers
`configuration_utils.py`, spaCy's `meta.json`, mlflow `models/model.py`.
"""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from garrison.core.described import described, text, texts
from garrison.core.facts import Description, Link, Metric

_SETTINGS = {
    "torch_dtype": "element type",
    "dtype": "element type",
    "vocab_size": "vocabulary",
    "num_hidden_layers": "layers",
    "n_layer": "layers",
    "hidden_size": "hidden size",
    "n_embd": "hidden size",
    "intermediate_size": "intermediate size",
    "num_attention_heads": "attention heads",
    "n_head": "attention heads",
    "num_key_value_heads": "key-value heads",
    "max_position_embeddings": "context",
    "n_positions": "context",
    "num_labels": "labels",
    "num_local_experts": "experts",
    "image_size": "image size",
    "problem_type": "problem",
    "r": "rank",
    "lora_alpha": "alpha",
}
_VERSIONS = {"transformers_version": "transformers", "_diffusers_version": "diffusers", "peft_version": "peft"}
_SCORES = 40
_FLAVORS, _SETTINGS_OF_FLAVOR = 32, 64
_SIGNATURE = 1 << 16


def of_hub(document: dict[Any, Any]) -> Description | None:
    """Of a `config.json`, an `adapter_config.json`, a `model_index.json` or a part's `config.json`."""
    adapter = document.get("peft_type")
    return described(
        task=document.get("task_type") if adapter else "",
        family=document.get("model_type") or adapter,
        architecture=", ".join(texts(document.get("architectures"))) or _class_name(document.get("_class_name")),
        quantisation=_quantisation(document.get("quantization_config")),
        frameworks={name: document[key] for key, name in _VERSIONS.items() if text(document.get(key))},
        settings=_settings(document),
        base_models=document.get("base_model_name_or_path"),
        base_relation="adapter" if adapter and document.get("base_model_name_or_path") else "",
    )


def of_sentence_transformers(document: dict[Any, Any]) -> Description | None:
    """Of a `config_sentence_transformers.json`: the versions that wrote it."""
    versions = document.get("__version__")
    return described(frameworks=versions if isinstance(versions, dict) else {})


def of_spacy(document: dict[Any, Any]) -> Description | None:
    """Of a `meta.json`."""
    language, name = text(document.get("lang")), text(document.get("name"))
    return described(
        name=f"{language}_{name}" if language and name else name,
        version=document.get("version"),
        summary=document.get("description"),
        authors=document.get("author"),
        licences=document.get("license"),
        frameworks={"spacy": document.get("spacy_version")},
        languages=language,
        datasets=[one.get("name") for one in _tables(document.get("sources"))],
        metrics=list(_scores(document.get("performance"))),
        links=[Link(role="website", target=text(document.get("url")))],
    )


def of_mlflow(document: dict[Any, Any], flavors: dict[Any, Any]) -> Description | None:
    """Of an `MLmodel`: the versions of its flavours, and the signature."""
    frameworks: dict[str, object] = {"mlflow": document.get("mlflow_version")}
    # Aliases make short tables of long ones.
    for settings in islice(flavors.values(), _FLAVORS):
        for key, value in islice(settings.items(), _SETTINGS_OF_FLAVOR) if isinstance(settings, dict) else ():
            if isinstance(key, str) and key.endswith("_version"):
                frameworks.setdefault(key.removesuffix("_version"), value)
    signature = document.get("signature")
    columns = signature if isinstance(signature, dict) else {}
    return described(
        name=document.get("name"),
        released=_utc(document.get("utc_time_created")),
        frameworks=frameworks,
        inputs=list(_columns(columns.get("inputs"))),
        outputs=list(_columns(columns.get("outputs"))),
    )


def _utc(value: object) -> str:
    """MLflow leaves the zone to the name of the key."""
    moment = text(value)
    return f"{moment.replace(' ', 'T')}Z" if moment else ""


def _class_name(value: object) -> str:
    """diffusers writes a class of its own, or a module beside the document with a class."""
    return ".".join(texts(value))


def _settings(document: dict[Any, Any]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, name in _SETTINGS.items():
        if text(document.get(key)):
            found.setdefault(name, document[key])
    return found


def _quantisation(value: object) -> tuple[str, ...]:
    """`gptq 4-bit`, `bitsandbytes 4-bit nf4`, `fp8`, ..."""
    if not isinstance(value, dict):
        return ()
    bits = text(value.get("bits")) or text(value.get("w_bit"))
    bits = bits or next((size for size in ("4", "8") if value.get(f"load_in_{size}bit") is True), "")
    parts = (
        text(value.get("quant_method")),
        f"{bits}-bit" if bits else "",
        text(value.get("bnb_4bit_quant_type")) if bits == "4" else "",
        text(value.get("fmt")) or text(value.get("format")),
    )
    said = " ".join(part for part in parts if part)
    return (said,) if said else ()


def _scores(value: object) -> Iterator[Metric]:
    """The numbers of spaCy's table of scores; those of parts are tables of their own."""
    scores = value.items() if isinstance(value, dict) else ()
    plain = [(key, text(one)) for key, one in scores if isinstance(one, int | float) and text(one)]
    for key, one in plain[:_SCORES]:
        yield Metric(name=text(key), value=one)


def _columns(value: object) -> Iterator[str]:
    """MLflow writes the columns or tensors of a signature as JSON in a text."""
    try:
        columns = json.loads(value) if isinstance(value, str) and len(value) < _SIGNATURE else None
    except (ValueError, RecursionError):
        return
    for column in _tables(columns):
        tensor = column.get("tensor-spec")
        if isinstance(tensor, dict):
            shape = ",".join(text(size) for size in tensor.get("shape") or () if isinstance(size, int))
            kind = f"{text(tensor.get('dtype'))}[{shape}]"
        else:
            kind = text(column.get("type"))
        name = text(column.get("name"))
        yield f"{name}: {kind}" if name and kind else name or kind


def _tables(value: object) -> list[dict[Any, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
