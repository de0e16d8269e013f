"""Walks a Keras configuration, wherever it was found, and states what loading it resolves, runs and reads.

Follows Keras' own loaders: `keras/src/saving/serialization_lib.py` (`deserialize_keras_object`, version 3),
`keras/src/legacy/saving/serialization.py` (class names looked up among built-in and custom objects) and
`keras/src/utils/python_utils.py` (`func_load`, marshalled code in base64).
"""

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any

from garrison.artifacts.pickle.source_code import bytecode_names, source_names
from garrison.core.errors import LimitExceeded, Malformed
from garrison.core.facts import AnyFact, EmbeddedCode, Import, Reference

_NODES = 500_000
_KERAS = ("keras", "tf_keras", "tensorflow.keras", "tensorflow.python.keras", "keras_core")
_VOCABULARY_LAYERS = frozenset({"StringLookup", "IntegerLookup", "TextVectorization", "IndexLookup"})
_FILE_KEYS = {
    "filepath": "file-read",
    "vocabulary": "vocabulary",
    "file_path": "file-read",
    "idf_weights": "vocabulary",
}
_MODEL_LAYERS = {"TFSMLayer": "filepath", "TorchModuleWrapper": "module", "JaxLayer": "call_fn", "FlaxLayer": "module"}
_DOWNLOADS = frozenset({"get_file", "keras.utils.get_file", "tf.keras.utils.get_file"})


def looks_like_keras(document: object) -> bool:
    """Whether a JSON document is a Keras model or layer: a class name with a configuration."""
    return (
        isinstance(document, dict)
        and isinstance(document.get("class_name"), str)
        and isinstance(document.get("config"), dict | list)
    )


def parse(text: str | bytes) -> Any:
    """The document of a configuration; raises `Malformed`."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"a Keras configuration that is no JSON: {str(error)[:100]}") from None


def walk(document: object) -> Iterator[AnyFact]:
    """Facts about a parsed configuration. Nesting is followed without recursion."""
    pending: list[tuple[str, object]] = [("", document)]
    for _ in range(_NODES):
        if not pending:
            return
        place, node = pending.pop()
        if isinstance(node, dict):
            yield from _object(place, node)
            name = node.get("name") or (node.get("config") or {}).get("name") if _is_object(node) else None
            inner = f"layer {name!r}" if isinstance(name, str) else place
            pending += [(inner, value) for value in reversed(node.values()) if isinstance(value, dict | list | str)]
        elif isinstance(node, list):
            pending += [(place, value) for value in reversed(node) if isinstance(value, dict | list | str)]
        elif isinstance(node, str) and node[:1] in "[{" and '"class_name"' in node[:100_000]:
            try:
                pending.append((place, parse(node)))
            except Malformed:
                continue
    raise LimitExceeded("facts", f"a Keras configuration of more than {_NODES} values")


def _is_object(node: dict[str, Any]) -> bool:
    return isinstance(node.get("class_name"), str) and isinstance(node.get("config"), dict)


def _object(place: str, node: dict[str, Any]) -> Iterator[AnyFact]:
    class_name = node.get("class_name")
    config = node.get("config")
    if isinstance(class_name, str):
        settings = config if isinstance(config, dict) else {}
        name = settings.get("name")
        place = f"layer {name!r}" if isinstance(name, str) else place
        yield from _class(place, class_name, node, config)
        if class_name == "Lambda":
            yield from _lambda(place, settings)
        elif class_name == "__lambda__":
            yield from _code(place, settings.get("value"))
        if class_name in _VOCABULARY_LAYERS or class_name in _MODEL_LAYERS:
            yield from _files(place, class_name, settings)
    function = node.get("function") or node.get("fn")
    if isinstance(function, str) and function.rpartition(".")[2] in {d.rpartition(".")[2] for d in _DOWNLOADS}:
        yield from _download(place, node)


def _class(place: str, class_name: str, node: dict[str, Any], config: object) -> Iterator[AnyFact]:
    module = node.get("module")
    registered = node.get("registered_name")
    arguments = _arguments(config)
    if class_name in ("function", "builtin_function_or_method") and isinstance(config, str):
        # Version 3 resolves `module` and the configuration as the function's name.
        owner = module if isinstance(module, str) and module else "builtins"
        if not _keras_own(owner) or "." in config:
            yield Import(module=owner, name=config, origin="keras", usage="reference", place=place)
        return
    if class_name.startswith("__"):
        return
    if class_name.rpartition(".")[2] == "get_file":
        yield from _download(place, {"config": config})
    if isinstance(config, dict) and isinstance(module, str) and isinstance(config.get("fn"), str):
        yield Import(module=module, name=config["fn"], origin="keras", usage="call", arguments=arguments, place=place)
    if isinstance(module, str) and module:
        yield Import(module=module, name=class_name, origin="keras", usage="call", arguments=arguments, place=place)
    elif module is None and isinstance(registered, str) and ">" in registered:
        package, _, name = registered.partition(">")
        if package == "Custom" and name in _built_in():  # as Keras 2 registers its own optimizers
            return
        yield Import(module=package, name=name, origin="keras", usage="call", arguments=arguments, place=place)
    elif isinstance(module, str) or module is None:
        known = class_name in _built_in()
        if "." in class_name or ">" in class_name:
            owner, _, name = class_name.replace(">", ".").rpartition(".")
            yield Import(module=owner, name=name, origin="keras", usage="call", arguments=arguments, place=place)
        elif not known:
            yield Import(
                module="custom", name=class_name, origin="keras", usage="call", arguments=arguments, place=place
            )


def _keras_own(module: str) -> bool:
    return any(module == own or module.startswith(f"{own}.") for own in _KERAS)


def _arguments(config: object) -> tuple[str, ...]:
    if isinstance(config, dict):
        inner = config.get("args") or config.get("arguments")
        values = (
            inner
            if isinstance(inner, list)
            else [v for k, v in config.items() if k not in ("name", "trainable", "dtype")]
        )
        return tuple(repr(value)[:200] for value in values[:8] if isinstance(value, str))
    return (repr(config)[:200],) if isinstance(config, str) else ()


def _lambda(place: str, config: dict[str, Any]) -> Iterator[AnyFact]:
    """A Lambda layer: marshalled code, source, or the name of a function in a module."""
    for key in ("function", "output_shape", "mask"):
        value = config.get(key)
        module = config.get("module" if key == "function" else f"{key}_module")
        if isinstance(value, dict) and value.get("class_name") == "__lambda__":
            continue  # walked as an object of its own
        if isinstance(value, dict) and isinstance(value.get("config"), str):
            owner = value.get("module") or module
            owner = owner if isinstance(owner, str) and owner else "builtins"
            yield Import(module=owner, name=value["config"], origin="keras", usage="method", place=place)
        elif isinstance(value, list):
            yield from _code(place, value[0] if value else None)
        elif isinstance(value, str) and value:
            yield from _function_text(place, value, module)


def _function_text(place: str, value: str, module: object) -> Iterator[AnyFact]:
    if value.isidentifier() and isinstance(module, str) and module:
        yield Import(module=module, name=value, origin="keras", usage="method", place=place)
    elif value.isidentifier() and len(value) < 40:
        if value not in _built_in():
            yield Import(module="custom", name=value, origin="keras", usage="method", place=place)
    else:
        yield from _code(place, value)


def _code(place: str, value: object) -> Iterator[AnyFact]:
    if isinstance(value, dict):
        value = value.get("code") or value.get("value")
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, str):
        return
    try:
        data = base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if data and _marshalled(data):
        yield EmbeddedCode(
            language="python-bytecode",
            form="marshal in a Lambda layer",
            trigger="use",
            names=bytecode_names(data),
            excerpt=value[:80],
            place=place,
        )
        return
    text = value
    if data and all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in data[:512]):
        text = data.decode("ascii", "replace")
    yield EmbeddedCode(
        language="python",
        form="source in a Lambda layer",
        trigger="use",
        names=source_names(text) or (),
        excerpt=text[:200],
        place=place,
    )


def _marshalled(data: bytes) -> bool:
    """A code object: type `c`, with or without the flag that makes it referable (`Python/marshal.c`)."""
    return data[:1] in (b"c", b"\xe3") and len(data) > 16


def _files(place: str, class_name: str, config: dict[str, Any]) -> Iterator[AnyFact]:
    for key, value in config.items():
        if key in _FILE_KEYS and isinstance(value, str) and value:
            role = "sub-model" if class_name == "TFSMLayer" else _FILE_KEYS[key]
            yield Reference(target=value, role=role, trigger="load", detail=f"{class_name} reads it", place=place)
    if class_name == "TorchModuleWrapper" and isinstance(config.get("module"), str):
        yield EmbeddedCode(
            language="pickle", form="pickled PyTorch module", trigger="load", excerpt=config["module"][:80], place=place
        )
    elif class_name in ("JaxLayer", "FlaxLayer"):
        yield EmbeddedCode(language="python", form=f"code of a {class_name}", trigger="use", place=place)


def _download(place: str, node: dict[str, Any]) -> Iterator[AnyFact]:
    """A function reference that fetches a file: every address in its arguments."""
    pending: list[object] = [node]
    for _ in range(1000):
        if not pending:
            return
        value = pending.pop()
        if isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, str) and "://" in value:
            yield Reference(target=value, role="download", trigger="load", detail="get_file fetches it", place=place)


def _built_in() -> frozenset[str]:
    from garrison.artifacts.knowledge.keras import built_in

    return built_in()
