"""JSON documents of inference engines, told by what they hold: graphs of MXNet and PaddlePaddle, TensorFlow.js models,
the manifests of CoreML packages, and the networks of compiled CoreML models.

Source: `src/nnvm/legacy_json_util.cc` and `3rdparty/tvm/nnvm/src/pass/saveload_json.cc` of MXNet,
`paddle/fluid/pir/serialize_deserialize/include/schema.h` of PaddlePaddle, `tfjs-core/src/io/types.ts` of
TensorFlow.js, and `modelpackage/src/ModelPackage.cpp` of coremltools.
"""

from typing import Any

from garrison.artifacts.knowledge.engine_operators import engines
from garrison.core.facts import Artifact, Operator, Reference
from garrison.sources.source import Context, Extracted

_NODES = 2_000_000
_LIBRARY_ENDINGS = (".so", ".dll", ".dylib")


def inspect(document: object, context: Context) -> Extracted:
    """Facts about a document of one of these kinds; none about any other."""
    if not isinstance(document, dict):
        return
    if _is_symbol(document):
        yield from _symbol(document, context)
    base = document.get("base_code")
    if isinstance(base, dict) and base.get("magic") == "pir":
        yield from _pir(document, base, context)
    if "weightsManifest" in document or document.get("format") in ("layers-model", "graph-model"):
        yield from _tensorflow_js(document)
    if isinstance(document.get("itemInfoEntries"), dict):
        yield from _package(document)
    if "format_version" in document and isinstance(document.get("storage"), str) and "layers" in document:
        layers = document["layers"]
        yield Artifact(format="coreml-espresso", details={"layers": len(layers) if isinstance(layers, list) else 0})
        yield Reference(target=document["storage"][:2000], role="external-data", detail="weights", place="storage")


def _is_symbol(document: dict[str, Any]) -> bool:
    nodes = document.get("nodes")
    return (
        isinstance(nodes, list)
        and ("arg_nodes" in document or "heads" in document)
        and any(isinstance(node, dict) and isinstance(node.get("op"), str) for node in nodes[:100])
        and not any(isinstance(node, dict) and node.get("op") == "tvm_op" for node in nodes[:100])
    )


def _symbol(document: dict[str, Any], context: Context) -> Extracted:
    """Nodes of the graph and of the graphs inside it that act outside, and libraries that any of them names."""
    dangerous = engines()["mxnet"].dangerous
    pending: list[Any] = [document]
    count = 0
    details: dict[str, str | int | float | bool] = {}
    yield Artifact(format="mxnet", details=details)
    attributes = document.get("attrs")
    version = attributes.get("mxnet_version") if isinstance(attributes, dict) else None
    if isinstance(version, list) and len(version) == 2 and isinstance(version[1], int):
        details["mxnet_version"] = f"{version[1] // 10000}.{version[1] // 100 % 100}.{version[1] % 100}"
    while pending and count < _NODES:
        context.check_time()
        graph = pending.pop()
        nodes = graph.get("nodes") if isinstance(graph, dict) else None
        for node in nodes if isinstance(nodes, list) else ():
            if not isinstance(node, dict):
                continue
            count += 1
            name, place = str(node.get("op"))[:200], f"node {str(node.get('name'))[:100]!r}"
            arguments = _attributes(node)
            if name in dangerous:
                yield Operator(framework="mxnet", name=name, arguments=arguments, place=place)
            for key, value in arguments.items():
                if value.lower().endswith(_LIBRARY_ENDINGS):
                    yield Reference(target=value, role="library", detail=f"attribute {key}", place=place)
            inner = node.get("subgraphs")
            pending += inner if isinstance(inner, list) else []
    details["operators"] = count


def _attributes(node: dict[str, Any]) -> dict[str, str]:
    """A node's attributes under the names that the versions of the format have given them."""
    found: dict[str, str] = {}
    for key in ("param", "attr", "attrs"):
        given = node.get(key)
        if isinstance(given, dict):
            for name, value in list(given.items())[:100]:
                found[str(name)[:100]] = str(value)[:1000]
    return found


def _pir(document: dict[str, Any], base: dict[str, Any], context: Context) -> Extracted:
    """Operations of all regions, by their names without the dialect."""
    dangerous = engines()["paddle"].dangerous
    details: dict[str, str | int | float | bool] = {"program": "PIR"}
    if isinstance(base.get("version"), int):
        details["program_version"] = base["version"]
    yield Artifact(format="paddle", details=details)
    pending: list[object] = [document.get("program")]
    operations = 0
    for count in range(_NODES):
        if not pending:
            break
        if count % 4096 == 0:
            context.check_time()
        value = pending.pop()
        if isinstance(value, list):
            pending += [item for item in value if isinstance(item, dict | list)]
        elif isinstance(value, dict):
            pending += [item for item in value.values() if isinstance(item, dict | list)]
            kind = value.get("#")
            if isinstance(kind, str) and ("I" in value or "O" in value):
                operations += 1
                name = kind.rpartition(".")[2].rstrip("_")
                if name in dangerous:
                    arguments = _pir_attributes(value.get("A"))
                    yield Operator(framework="paddle", name=name, arguments=arguments, place=f"operation {operations}")
    details["operators"] = operations


def _pir_attributes(given: object) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in given[:100] if isinstance(given, list) else ():
        if isinstance(item, dict) and isinstance(item.get("AT"), dict):
            found[str(item.get("N"))[:100]] = str(item["AT"].get("D", ""))[:1000]
    return found


def _tensorflow_js(document: dict[str, Any]) -> Extracted:
    """Where the weights are fetched from, and the Keras configuration, which the Python converter loads too."""
    from garrison.artifacts import keras_config

    details: dict[str, str | int | float | bool] = {}
    for key in ("format", "generatedBy", "convertedBy"):
        if isinstance(document.get(key), str):
            details[key] = document[key][:200]
    yield Artifact(format="tensorflow-js", details=details)
    manifest = document.get("weightsManifest")
    for group in manifest if isinstance(manifest, list) else ():
        paths = group.get("paths") if isinstance(group, dict) else None
        for path in paths if isinstance(paths, list) else ():
            if isinstance(path, str):
                yield Reference(target=path, role="external-data", detail="weights", place="weightsManifest")
    topology = document.get("modelTopology")
    if isinstance(topology, dict):
        inner = topology.get("model_config", topology)
        if keras_config.looks_like_keras(inner):
            yield from keras_config.walk(inner)


def _package(document: dict[str, Any]) -> Extracted:
    """Items of a CoreML package lie in its folder `Data`."""
    entries = document["itemInfoEntries"]
    version = document.get("fileFormatVersion")
    details: dict[str, str | int | float | bool] = {"items": len(entries)}
    if isinstance(version, str):
        details["package_version"] = version[:50]
    yield Artifact(format="coreml-package", details=details)
    for entry in list(entries.values())[:10_000]:
        path = entry.get("path") if isinstance(entry, dict) else None
        if isinstance(path, str):
            target = path if path.startswith(("/", "~")) or "://" in path else f"Data/{path}"
            yield Reference(target=target, role="package-item", place="itemInfoEntries")
