"""Documents of the Hugging Face family: what their loaders import, run and fetch, and what they say of the model.

Source: transformers `dynamic_module_utils.py` (`auto_map`, `custom_pipelines`), PEFT `auto.py` (`auto_mapping`),
sentence-transformers `SentenceTransformer.py` (`modules.json`), diffusers `pipeline_loading_utils.py`
(`model_index.json`).
"""

import sys
from typing import Any

from garrison.artifacts import hub_descriptions
from garrison.core.facts import Anomaly, Artifact, Description, Import, Reference
from garrison.sources.source import Extracted

_DETAILS = {
    "model_type": "model_type",
    "architectures": "architecture",
    "_name_or_path": "name",
    "transformers_version": "transformers_version",
    "torch_dtype": "dtype",
    "dtype": "dtype",
    "vocab_size": "vocabulary",
    "num_hidden_layers": "layers",
    "hidden_size": "hidden_size",
    "tokenizer_class": "tokenizer",
    "processor_class": "processor",
    "model_max_length": "context",
    "peft_type": "adapter",
    "base_model_name_or_path": "base_model",
    "task_type": "task",
    "_class_name": "pipeline",
    "_diffusers_version": "diffusers_version",
    "spacy_version": "spacy_version",
}
_LARGEST = 1 << 53
_KINDS = (
    ("peft_type", "peft-adapter"),
    ("_diffusers_version", "diffusers-config"),
    ("spacy_version", "spacy-meta"),
    ("model_type", "transformers-config"),
    ("architectures", "transformers-config"),
    ("tokenizer_class", "tokenizer-config"),
)


def whole(document: object) -> Extracted:
    """What the top of a document says, and does."""
    if isinstance(document, list):
        yield from _sentence_transformers(document)
    if not isinstance(document, dict):
        return
    kind = next((kind for key, kind in _KINDS if key in document), None)
    if kind is not None:
        yield Artifact(format=kind, details=_details(document))
    description = _description(kind, document)
    if description is not None:
        yield description
    if "_diffusers_version" in document or "_class_name" in document:
        yield from _diffusers(document)
    base = document.get("base_model_name_or_path")
    if isinstance(base, str) and base:
        yield Reference(target=base, role="base-model", place="base_model_name_or_path")


def _description(kind: str | None, document: dict[Any, Any]) -> Description | None:
    if kind == "spacy-meta":
        return hub_descriptions.of_spacy(document)
    if kind is None or kind == "tokenizer-config":
        written = "__version__" in document and "similarity_fn_name" in document
        return hub_descriptions.of_sentence_transformers(document) if written else None
    return hub_descriptions.of_hub(document)


def mapping(place: str, value: dict[Any, Any]) -> Extracted:
    """What one object in a document makes loaders do, wherever it stands."""
    if "auto_map" in value:
        yield from _auto_map(value["auto_map"])
    pipelines = value.get("custom_pipelines")
    if isinstance(pipelines, dict):
        for task, entry in pipelines.items():
            if isinstance(entry, dict) and isinstance(entry.get("impl"), str):
                yield Reference(
                    target=entry["impl"], role="remote-code", detail=f"pipeline {task}", place="custom_pipelines"
                )
    if isinstance(value.get("custom_pipeline"), str) and value["custom_pipeline"]:
        yield Reference(target=value["custom_pipeline"], role="remote-code", detail="custom_pipeline", place=place)
    if value.get("trust_remote_code") in (True, "true", "True"):
        detail = "trust_remote_code is set here, so that what loads the model with this runs its Python unasked"
        yield Anomaly(what="trusts-remote-code", detail=detail, place=f"{place}.trust_remote_code".lstrip("."))
    mapped = value.get("auto_mapping")
    if isinstance(mapped, dict) and isinstance(mapped.get("parent_library"), str):
        name = mapped.get("base_model_class")
        yield Import(
            module=mapped["parent_library"],
            name=name if isinstance(name, str) else "",
            origin="peft",
            usage="call",
            place="auto_mapping",
        )


def _auto_map(given: object) -> Extracted:
    """One reference for each class, with the names under which it is loaded."""
    pairs: list[tuple[str, object]] = []
    if isinstance(given, dict):
        pairs = [(str(key), item) for key, item in given.items()]
    elif isinstance(given, list | str):
        pairs = [("AutoTokenizer", given)]
    modules: dict[str, tuple[str, list[str]]] = {}
    for name, item in pairs:
        for one in item if isinstance(item, list) else [item]:
            if isinstance(one, str) and one:
                module = one.rpartition(".")[0] or one
                modules.setdefault(module, (one, []))[1].append(name)
    for target, names in modules.values():
        yield Reference(target=target, role="remote-code", detail=", ".join(names)[:200], place="auto_map")


def _sentence_transformers(document: list[Any]) -> Extracted:
    """`modules.json`: the class of each layer is imported by its dotted name, and made."""
    layers = [item for item in document if isinstance(item, dict) and isinstance(item.get("type"), str)]
    if not layers or not all("path" in item and "idx" in item for item in layers):
        return
    yield Artifact(format="sentence-transformers", details={"layers": len(layers)})
    for item in layers:
        target, place = item["type"], f"[{item['idx']}].type"
        if "--" in target:
            yield Reference(target=target, role="remote-code", detail="a layer", place=place)
            continue
        module, _, name = target.rpartition(".")
        yield Import(module=module, name=name, origin="sentence-transformers", usage="call", place=place)
        yield Reference(target=module.replace(".", "/") + ".py", role="code-file", detail="a layer", place=place)
        if isinstance(item["path"], str):
            yield Reference(target=item["path"] or ".", role="file-read", detail="a layer", place=place)


def _diffusers(document: dict[Any, Any]) -> Extracted:
    """`model_index.json`: each part is a pair of library and class; a library may be a file beside it."""
    name = document.get("_class_name")
    if isinstance(name, list) and len(name) == 2 and all(isinstance(one, str) for one in name):
        yield Reference(target=".".join(name), role="remote-code", detail="the pipeline", place="_class_name")
    for key, value in document.items():
        pair = value if isinstance(value, list) and len(value) == 2 else None
        if pair is None or str(key).startswith("_") or not all(isinstance(one, str) for one in pair):
            continue
        library, part = pair
        if "." in library or library in sys.stdlib_module_names:
            yield Import(module=library, name=part, origin="diffusers", usage="call", place=str(key))
        for path in (f"{key}/{library}.py", f"{library}.py"):
            yield Reference(target=path, role="code-file", detail=f"{key} of the pipeline", place=str(key))


def _details(document: dict[Any, Any]) -> dict[str, str | int | float | bool]:
    found: dict[str, str | int | float | bool] = {}
    for key, name in _DETAILS.items():
        value = document.get(key)
        if isinstance(value, list):
            value = ", ".join(str(one) for one in value[:4] if isinstance(one, str))
        if isinstance(value, int | float) and not isinstance(value, bool) and not abs(value) < _LARGEST:
            # transformers writes 10**30 where nothing bounds the context; a report has no such numbers.
            continue
        if isinstance(value, str | int | float | bool) and value != "":
            found.setdefault(name, value[:200] if isinstance(value, str) else value)
    return found
