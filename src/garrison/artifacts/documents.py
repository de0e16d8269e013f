"""Walks plain documents, as JSON, YAML and TOML give them, for what loaders act on.

`_target_` (Hydra: `hydra/_internal/instantiate/_instantiate2.py`), `auto_map` (transformers:
`dynamic_module_utils.py`), templates in any string, Keras configurations, MLServer's `implementation`, MLflow's
`loader_module`, and locations that are fetched.
"""

from typing import Any

from garrison.core.facts import Import, Reference
from garrison.sources.source import Extracted, Source

_VALUES = 2_000_000
_TEMPLATE = 1 << 20
_TEMPLATES = 200
_FETCHED = {
    "custom_pipeline": "remote-code",
    "custom_pipelines": "remote-code",
    "environment_tarball": "download",
    "artifact_path": "file-read",
}
_TARGETS = ("_target_", "__target__")


def walk(source: Source, document: object) -> Extracted:
    """Facts about a document and the templates inside it; shared parts are visited once."""
    pending: list[tuple[str, object]] = [("", document)]
    seen: set[int] = set()
    templates = 0
    if _is_keras(document):
        from garrison.artifacts import keras_config

        yield from keras_config.walk(document)
    for _ in range(_VALUES):
        if not pending:
            return
        place, value = pending.pop()
        if isinstance(value, dict):
            if id(value) in seen:
                continue
            seen.add(id(value))
            yield from _mapping(place, value)
            for key, item in value.items():
                if isinstance(item, dict | list) or (isinstance(item, str) and _is_template(item)):
                    pending.append((f"{place}.{key}" if place else str(key), item))
        elif isinstance(value, list):
            if id(value) in seen:
                continue
            seen.add(id(value))
            for index, item in enumerate(value):
                if isinstance(item, dict | list) or (isinstance(item, str) and _is_template(item)):
                    pending.append((f"{place}[{index}]", item))
        elif isinstance(value, str) and templates < _TEMPLATES:
            templates += 1
            yield source.member(place or "template", value[:_TEMPLATE].encode("utf-8", "replace"), loaded_as=("jinja",))


def _is_template(text: str) -> bool:
    return "{%" in text or ("{{" in text and "}}" in text)


def _is_keras(document: object) -> bool:
    return (
        isinstance(document, dict)
        and isinstance(document.get("class_name"), str)
        and isinstance(document.get("config"), dict | list)
    )


def _mapping(place: str, value: dict[Any, Any]) -> Extracted:
    for key in _TARGETS:
        target = value.get(key)
        if isinstance(target, str) and target:
            module, _, name = target.rpartition(".")
            yield Import(
                module=module,
                name=name,
                origin="hydra",
                usage="reference" if value.get("_partial_") is True else "call",
                arguments=_arguments(value),
                place=place,
            )
    auto_map = value.get("auto_map")
    if isinstance(auto_map, dict):
        for name, target in auto_map.items():
            for one in target if isinstance(target, list) else [target]:
                if isinstance(one, str):
                    yield Reference(target=one, role="remote-code", trigger="load", detail=str(name), place="auto_map")
    implementation = value.get("implementation")
    if isinstance(implementation, str) and "parameters" in value and "." in implementation:
        module, _, name = implementation.rpartition(".")
        yield Import(module=module, name=name, origin="mlserver", usage="call", place="implementation")
        uri = value["parameters"].get("uri") if isinstance(value["parameters"], dict) else None
        if isinstance(uri, str):
            yield Reference(target=uri, role="model", trigger="load", place="parameters.uri")
    loader = value.get("loader_module")
    if isinstance(loader, str) and loader:
        yield Import(module=loader, name="_load_pyfunc", origin="mlflow", usage="call", place=place)
    for key, role in _FETCHED.items():
        if isinstance(value.get(key), str):
            yield Reference(target=value[key], role=role, trigger="load", place=f"{place}.{key}".lstrip("."))
    weights = value.get("weight_map")
    if isinstance(weights, dict):
        for name in dict.fromkeys(item for item in weights.values() if isinstance(item, str)):
            yield Reference(target=name, role="external-data", trigger="load", detail="a shard", place="weight_map")


def _arguments(value: dict[Any, Any]) -> tuple[str, ...]:
    given = value.get("_args_")
    positional = [repr(item)[:200] for item in given[:8]] if isinstance(given, list) else []
    named = [
        f"{key}={item!r}"[:200] for key, item in value.items() if isinstance(item, str | int) and str(key)[:1] != "_"
    ]
    return tuple((positional + named)[:8])
