"""Walks a Keras configuration, wherever it was found, and states what loading it resolves, runs and reads.

Follows Keras' own loaders: `keras/src/saving/serialization_lib.py` (`deserialize_keras_object`, version 3),
`keras/src/legacy/saving/serialization.py` (class names looked up among built-in and custom objects) and
`keras/src/utils/python_utils.py` (`func_load`, marshalled code in base64).
"""

import binascii
import builtins
import json
import re
from collections.abc import Iterator
from typing import Any, Literal

from garrison.artifacts.pickle.source_code import bytecode_names, source_names
from garrison.core.described import described, text
from garrison.core.errors import LimitExceeded, Malformed
from garrison.core.facts import AnyFact, Description, EmbeddedCode, Import, Reference

_NODES = 500_000
_FILE_KEYS = {
    "filepath": "file-read",
    "file_path": "file-read",
    "vocabulary": "vocabulary",
    "idf_weights": "vocabulary",
    "merges": "vocabulary",
    "proto": "vocabulary",
}
"""Settings that layers open as files where they are texts (`IndexLookup`, `TFSMLayer`, Keras Hub's tokenizers)."""
_LONGEST_PATH = 1024
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]{8,}={0,2}\s*").fullmatch
_TENSORFLOW_CALLS = frozenset({"TFOpLambda", "SlicingOpLambda"})
_FUNCTIONS = frozenset({"function", "builtin_function_or_method", "method", "ufunc"})
_SIMPLE_FUNCTIONS = ("function", "output_shape", "mask")


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


def description(document: object, version: str) -> Description | None:
    """What the configuration of a whole model says of it; `None` for one of a layer or of something else."""
    if not looks_like_keras(document):
        return None
    assert isinstance(document, dict)
    config = document["config"]
    layers = config.get("layers") if isinstance(config, dict) else config
    if not isinstance(layers, list):
        return None
    return described(
        architecture=document["class_name"],
        frameworks={"keras": version},
        inputs=list(_inputs(layers)),
        settings={"name": config.get("name") if isinstance(config, dict) else "", "layers": len(layers)},
    )


def _inputs(layers: list[object]) -> Iterator[str]:
    for layer in layers:
        config = layer.get("config") if isinstance(layer, dict) and layer.get("class_name") == "InputLayer" else None
        if not isinstance(config, dict):
            continue
        shape = config.get("batch_shape", config.get("batch_input_shape"))
        kind, name = config.get("dtype"), text(config.get("name"))
        if isinstance(kind, dict):
            kind = kind.get("config", {}).get("name") if isinstance(kind.get("config"), dict) else ""
        sizes = ",".join("?" if size is None else text(size) for size in shape) if isinstance(shape, list) else ""
        yield f"{name}: {text(kind)}[{sizes}]" if name else f"{text(kind)}[{sizes}]"


def walk(document: object) -> Iterator[AnyFact]:
    """Facts about a parsed configuration. Nesting is followed without recursion."""
    pending: list[tuple[str, object, bool]] = [("", document, False)]
    for _ in range(_NODES):
        if not pending:
            return
        place, node, in_lambda = pending.pop()
        if isinstance(node, dict):
            yield from _object(place, node, in_lambda)
            name = node.get("name") or (node.get("config") or {}).get("name") if _is_object(node) else None
            inner = f"layer {name!r}" if isinstance(name, str) else place
            in_lambda = node.get("class_name") == "Lambda" or (in_lambda and "class_name" not in node)
            pending += [
                (inner, value, in_lambda) for value in reversed(node.values()) if isinstance(value, dict | list | str)
            ]
        elif isinstance(node, list):
            pending += [(place, value, in_lambda) for value in reversed(node) if isinstance(value, dict | list | str)]
        elif isinstance(node, str) and node[:1] in "[{" and '"class_name"' in node[:100_000]:
            try:
                pending.append((place, parse(node), in_lambda))
            except Malformed:
                continue
    raise LimitExceeded("facts", f"a Keras configuration of more than {_NODES} values")


def _is_object(node: dict[str, Any]) -> bool:
    return isinstance(node.get("class_name"), str) and isinstance(node.get("config"), dict)


def _object(place: str, node: dict[str, Any], in_lambda: bool) -> Iterator[AnyFact]:
    class_name = node.get("class_name")
    config = node.get("config")
    settings = config if isinstance(config, dict) else {}
    if isinstance(class_name, str):
        name = settings.get("name")
        place = f"layer {name!r}" if isinstance(name, str) else place
        if class_name in _FUNCTIONS:
            if in_lambda and isinstance(config, str):
                yield from _called(place, config, node.get("module"))
            else:
                yield from _function(place, node)
        elif class_name == "__typespec__":
            yield from _resolved(place, node.get("module"), node.get("spec_name"), "call", ())
        elif class_name == "__lambda__":
            yield from _code(place, config)
        elif not class_name.startswith("__"):
            yield from _class(place, class_name, node, config)
            yield from _settings(place, class_name.rpartition(">")[2], settings)
    function = node.get("function") or node.get("fn")
    if (isinstance(function, str) and _fetches(function)) or (
        isinstance(class_name, str) and (_fetches(class_name) or (isinstance(config, str) and _fetches(config)))
    ):
        yield from _download(place, node)


def _fetches(name: str) -> bool:
    return name.rpartition(".")[2] == "get_file"


def _settings(place: str, class_name: str, settings: dict[str, Any]) -> Iterator[AnyFact]:
    """What the configuration of a layer makes it run or read."""
    if class_name == "Lambda":
        yield from _lambda(place, settings)
    elif class_name in _TENSORFLOW_CALLS and isinstance(settings.get("function"), str):
        # Looked up among all that TensorFlow exports (`get_symbol_from_name`).
        module, _, name = settings["function"].rpartition(".")
        yield Import(module=f"tensorflow.{module}".rstrip("."), name=name, origin="keras", usage="method", place=place)
    elif class_name == "TorchModuleWrapper" and settings.get("module"):
        yield EmbeddedCode(language="pickle", form="pickled PyTorch module", trigger="load", place=place)
    elif class_name == "KerasLayer" and isinstance(settings.get("handle"), str):
        yield Reference(
            target=settings["handle"], role="sub-model", trigger="use", detail="TensorFlow Hub loads it", place=place
        )
    yield from _files(place, class_name, settings)
    for key, value in settings.items():
        if key.endswith("_module") and isinstance(value, str) and value not in ("", "__main__", "builtins"):
            yield Import(module="", name=value, origin="keras", usage="reference", place=place)


def _function(place: str, node: dict[str, Any]) -> Iterator[AnyFact]:
    """A function by its name: of Keras, of a module, or one that the loading program registered."""
    module, name = node.get("module"), node.get("config")
    registered = node.get("registered_name")
    if not isinstance(name, str):
        return
    if module == "builtins" or not isinstance(module, str) or not module:
        # Keras looks among its own functions first, then among what is registered, and last in the module.
        if name in _built_in():
            return
        if name not in dir(builtins):
            yield Import(module="", name=name, origin="keras-name", usage="reference", place=place)
            return
        module = "builtins"
    yield from _resolved(place, module, name, "reference", _inbound(node))
    if registered != name:
        yield from _resolved(place, module, registered, "reference", ())


def _resolved(
    place: str, module: object, name: object, usage: Literal["reference", "call"], arguments: tuple[str, ...]
) -> Iterator[AnyFact]:
    """`module` is imported and has `name` taken out of it, unless the program has registered the name itself."""
    if not isinstance(module, str) or not module or not isinstance(name, str) or not name or ">" in name:
        return
    # What belongs to the loading program itself does not come with the model.
    origin = "keras-name" if module == "__main__" else "keras"
    yield Import(module=module, name=name, origin=origin, usage=usage, arguments=arguments, place=place)


def _class(place: str, class_name: str, node: dict[str, Any], config: object) -> Iterator[AnyFact]:
    module = node.get("module")
    registered = node.get("registered_name")
    arguments = _arguments(config) or _inbound(node)
    if isinstance(module, str) and module:
        yield from _resolved(place, module, class_name, "call", arguments)
        if registered != class_name:  # where the class is not found under its own name
            yield from _resolved(place, module, registered, "call", arguments)
        if isinstance(config, dict):
            yield from _resolved(place, module, config.get("fn"), "call", arguments)
        return
    name = registered if isinstance(registered, str) and ">" in registered else class_name
    owner, _, last = name.replace(">", ".").rpartition(".")
    if last in _built_in() and owner in ("", "Custom", "keras", "Keras"):  # as Keras 2 registers its own optimisers
        return
    yield Import(module=owner, name=last, origin="keras-name", usage="call", arguments=arguments, place=place)


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


def _inbound(node: dict[str, Any]) -> tuple[str, ...]:
    """Literal texts that a functional model calls the layer or function with."""
    found: list[str] = []
    pending: list[object] = [node.get("inbound_nodes")]
    for _ in range(200):
        if not pending or len(found) == 8:
            break
        value = pending.pop()
        if isinstance(value, dict):
            if value.get("class_name") != "__keras_tensor__":
                pending += reversed(value.values())
        elif isinstance(value, list):
            # `["dense", 0, 0, {}]` is how Keras 2 writes which layer's output this is.
            named = len(value) > 2 and isinstance(value[0], str) and isinstance(value[1], int)
            pending += reversed(value[1:] if named else value)
        elif isinstance(value, str):
            found.append(repr(value)[:200])
    return tuple(found)


def _lambda(place: str, config: dict[str, Any]) -> Iterator[AnyFact]:
    """A Lambda layer: marshalled code, source, or the name of a function in a module."""
    for key in _SIMPLE_FUNCTIONS:
        value = config.get(key)
        module = config.get("module" if key == "function" else f"{key}_module")
        if isinstance(value, list):
            yield from _code(place, value[0] if value else None)
        elif isinstance(value, str) and value and config.get(f"{key}_type") != "raw":
            if value.isidentifier() and len(value) < 80:
                yield from _called(place, value, module)
            else:
                yield from _code(place, value)


def _called(place: str, name: str, module: object) -> Iterator[AnyFact]:
    """A function that a Lambda layer calls by its name."""
    if name in _built_in() and module in (None, "", "builtins"):
        return
    owner = module if isinstance(module, str) and (module != "builtins" or name in dir(builtins)) else ""
    yield Import(module=owner, name=name, origin="keras-lambda", usage="method", place=place)


def _code(place: str, value: object) -> Iterator[AnyFact]:
    """Code as Keras 2 (a list) and Keras 3 (`code` or `value`) keep it."""
    for _ in range(4):
        if isinstance(value, dict):
            value = value.get("code") or value.get("value")
        elif isinstance(value, list) and value:
            value = value[0]
    if not isinstance(value, str) or not value:
        return
    data = _decoded(value)
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
    if data and _BASE64(value) and all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in data[:512]):
        text = data.decode("ascii", "replace")
    yield EmbeddedCode(
        language="python",
        form="source in a Lambda layer",
        trigger="use",
        names=source_names(text) or (),
        excerpt=text[:200],
        place=place,
    )


def _decoded(text: str) -> bytes:
    """The bytes that `func_load` unmarshals: it skips what is no base64, and takes other texts for the bytes."""
    try:
        data = binascii.a2b_base64(text.encode("ascii"))
    except (UnicodeEncodeError, binascii.Error):
        data = b""
    if not _marshalled(data):
        raw = text.encode("raw_unicode_escape")
        if _marshalled(raw) and not text.isascii():
            return raw
    return data


def _marshalled(data: bytes) -> bool:
    """A code object: type `c`, with or without the flag that makes it referable (`Python/marshal.c`)."""
    return data[:1] in (b"c", b"\xe3") and len(data) > 16


def _files(place: str, class_name: str, config: dict[str, Any]) -> Iterator[AnyFact]:
    for key, role in _FILE_KEYS.items():
        value = config.get(key)
        if isinstance(value, str) and 0 < len(value) <= _LONGEST_PATH:
            if class_name == "TFSMLayer":
                role = "sub-model"
            yield Reference(target=value, role=role, trigger="load", detail=f"{class_name} reads it", place=place)


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
