"""Documents of model servers and registries: MLflow, MLServer and TorchServe.

Source: mlflow `pyfunc/__init__.py` and `models/model.py`; mlserver `settings.py`;
TorchServe `ts/model_loader.py`.
"""

from typing import Any

from garrison.artifacts import hub_descriptions
from garrison.core.facts import Artifact, Import, Reference
from garrison.sources.source import Extracted

_FLAVOR_FILES = {
    "data": "data",
    "code": "code",
    "python_model": "the pickled model",
    "model_path": "the model",
    "pickled_model": "the pickled model",
    "model_data": "the model",
}


def whole(document: object) -> Extracted:
    """What the top of a document says, and does."""
    if not isinstance(document, dict):
        return
    flavors = document.get("flavors")
    if isinstance(flavors, dict):
        yield from _mlflow(document, flavors)
    model = document.get("model")
    if isinstance(model, dict) and "archiverVersion" in document:
        yield from _torchserve(document, model)


def mapping(place: str, value: dict[Any, Any]) -> Extracted:
    """What one object in a document makes servers do, wherever it stands."""
    implementation = value.get("implementation")
    if isinstance(implementation, str) and "." in implementation and ("parameters" in value or "name" in value):
        yield from _mlserver(place, value, implementation)
    for key in ("model_repository_implementation", "metrics_rest_server_implementation"):
        if isinstance(value.get(key), str) and "." in value[key]:
            yield _imported(value[key], "mlserver", key)
    loader = value.get("loader_module")
    if isinstance(loader, str) and loader:
        where = f"{place}.loader_module".lstrip(".")
        yield Import(module=loader, name="_load_pyfunc", origin="mlflow", usage="call", place=where)
    tarball = value.get("environment_tarball")
    if isinstance(tarball, str) and tarball:
        where = f"{place}.environment_tarball".lstrip(".")
        yield Reference(target=tarball, role="environment", detail="unpacked, and its Python run", place=where)


def _imported(dotted: str, origin: str, place: str) -> Import:
    module, _, name = dotted.rpartition(".")
    return Import(module=module, name=name, origin=origin, usage="call", place=place)


def _mlflow(document: dict[Any, Any], flavors: dict[Any, Any]) -> Extracted:
    details: dict[str, str | int | float | bool] = {"flavors": ", ".join(map(str, list(flavors)[:8]))}
    for key in ("mlflow_version", "model_uuid", "run_id"):
        if isinstance(document.get(key), str):
            details[key] = document[key][:100]
    yield Artifact(format="mlflow-model", details=details)
    description = hub_descriptions.of_mlflow(document, flavors)
    if description is not None:
        yield description
    for flavor, settings in flavors.items():
        if not isinstance(settings, dict):
            continue
        place = f"flavors.{flavor}"
        for key, detail in _FLAVOR_FILES.items():
            if isinstance(settings.get(key), str):
                yield Reference(target=settings[key], role="file-read", detail=detail, place=f"{place}.{key}")
        yield from _mlflow_environment(settings, place)
        artifacts = settings.get("artifacts")
        for name, entry in artifacts.items() if isinstance(artifacts, dict) else ():
            if isinstance(entry, dict) and isinstance(entry.get("path"), str):
                where = f"{place}.artifacts.{name}"
                yield Reference(target=entry["path"], role="file-read", detail="an artifact", place=where)
        yield from _mlflow_code(settings, place)


def _mlflow_environment(settings: dict[Any, Any], place: str) -> Extracted:
    environment = settings.get("env")
    named = environment.values() if isinstance(environment, dict) else [environment]
    for one in named:
        if isinstance(one, str):
            yield Reference(target=one, role="file-read", detail="the environment", place=f"{place}.env")


def _mlflow_code(settings: dict[Any, Any], place: str) -> Extracted:
    """Code that MLflow puts on the path, and a model that is a script."""
    code = settings.get("code")
    folder = code if isinstance(code, str) and code else None
    if folder is not None:
        yield Reference(target=folder, role="code-file", detail="MLflow's code paths", place=f"{place}.code")
    script = settings.get("model_code_path")
    if isinstance(script, str) and script:
        # MLflow keeps the author's path and looks for its last part beside the document.
        target = script.replace("\\", "/").rpartition("/")[2]
        yield Reference(target=target, role="code-file", detail="models from code", place=f"{place}.model_code_path")


def _mlserver(place: str, value: dict[Any, Any], implementation: str) -> Extracted:
    parameters = value.get("parameters")
    yield Artifact(format="mlserver-settings", details={"implementation": implementation[:200]})
    yield _imported(implementation, "mlserver", f"{place}.implementation".lstrip("."))
    module = implementation.rpartition(".")[0].replace(".", "/")
    yield Reference(target=f"{module}.py", role="code-file", detail="MLServer's runtime", place="implementation")
    uri = parameters.get("uri") if isinstance(parameters, dict) else None
    if isinstance(uri, str) and uri:
        yield Reference(target=uri, role="model", place=f"{place}.parameters.uri".lstrip("."))


def _torchserve(document: dict[Any, Any], model: dict[Any, Any]) -> Extracted:
    details: dict[str, str | int | float | bool] = {
        key: model[key][:200] for key in ("modelName", "modelVersion", "handler") if isinstance(model.get(key), str)
    }
    yield Artifact(format="torchserve-manifest", details=details)
    for key in ("handler", "modelFile", "serializedFile", "requirementsFile"):
        if isinstance(model.get(key), str) and model[key]:
            target = model[key].partition(":")[0] if key == "handler" else model[key]
            yield Reference(target=target, role="file-read", detail=key, place=f"model.{key}")
