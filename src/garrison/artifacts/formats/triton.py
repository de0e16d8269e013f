"""Configurations of models for NVIDIA Triton: what the server loads and runs beside the model itself.

Source: `protobuf/model_config.proto` of Triton's common repository, and the documentation of its Python backend.
"""

import re

from garrison.artifacts.wire.text_messages import Field, parse
from garrison.core.errors import ExaminationError
from garrison.core.facts import Artifact, Reference
from garrison.sources.source import Context, Extracted, Source

_FIELDS = frozenset(
    {"name", "platform", "backend", "runtime", "version_policy", "max_batch_size", "input", "output", "batch_input"}
    | {"batch_output", "optimization", "dynamic_batching", "sequence_batching", "ensemble_scheduling"}
    | {"instance_group", "default_model_filename", "cc_model_filenames", "metric_tags", "parameters", "model_warmup"}
    | {"model_operations", "model_transaction_policy", "model_repository_agents", "response_cache", "model_metrics"}
)
_TELLING = frozenset(
    {"platform", "backend", "max_batch_size", "input", "output", "instance_group", "ensemble_scheduling"}
    | {"default_model_filename", "model_operations", "model_repository_agents", "runtime"}
)
_FIRST = re.compile(r"\s*(?:#[^\n]*\n\s*)*(?:[a-z_]+)\s*[:{\[<]")
_LONGEST = 1 << 20
_FOLDER = ("$$TRITON_MODEL_DIRECTORY/", "$TRITON_MODEL_DIRECTORY/")


def sniff(source: Source) -> bool:
    """A text message of the fields of a model's configuration."""
    if not _FIRST.match(source.reader.pread(0, 4096).decode("utf-8", "replace")):
        return False
    try:
        document = _document(source)
    except ExaminationError:
        return False
    inside = document.inside or []
    names = {field.name for field in inside}
    messages = any(field.inside is not None for field in inside)
    return names <= _FIELDS and bool(names & _TELLING) and (messages or source.name.endswith(".pbtxt"))


def _document(source: Source) -> Field:
    return parse(source.reader.whole(_LONGEST).decode("utf-8", "replace"))


def extract(source: Source, context: Context) -> Extracted:
    """Code, libraries, environments and files that the server takes because the configuration says so."""
    document = _document(source)
    details: dict[str, str | int | float | bool] = {}
    for name in ("name", "backend", "platform", "max_batch_size"):
        if document.value(name):
            details[name] = document.value(name)[:200]
    yield Artifact(format="triton", details=details)
    model = document.value("default_model_filename")
    if document.value("backend") == "python":
        # Every version of the model is a folder of its own below, with the code in it.
        yield Reference(target=".", role="code-file", detail="Triton's Python backend", place="backend")
    if model:
        yield Reference(target=model, role="model-file", trigger="load", place="default_model_filename")
    for name in ("backend", "runtime"):
        if "/" in document.value(name) or "\\" in document.value(name):
            yield Reference(target=document.value(name), role="library", trigger="load", place=name)
    for entry in document.all("cc_model_filenames"):
        yield Reference(target=entry.value("value"), role="model-file", trigger="load", place=f"line {entry.line}")
    yield from _parameters(document)
    for operations in document.all("model_operations"):
        for library in operations.all("op_library_filename"):
            detail = "operators of the model's own"
            yield Reference(target=library.text, role="library", detail=detail, place=f"line {library.line}")
    for output in document.all("output"):
        if output.value("label_filename"):
            target = output.value("label_filename")
            yield Reference(target=target, role="file-read", detail="labels", place=f"line {output.line}")
    for warmup in document.all("model_warmup"):
        for entry in warmup.all("inputs"):
            for value in entry.all("value"):
                if value.value("input_data_file"):
                    target = value.value("input_data_file")
                    yield Reference(target=target, role="file-read", detail="warm-up", place=f"line {value.line}")


def _parameters(document: Field) -> Extracted:
    """A Python environment that is unpacked and run in place of the server's own."""
    for parameter in document.all("parameters"):
        if parameter.value("key") == "EXECUTION_ENV_PATH":
            for value in parameter.all("value"):
                target = value.value("string_value")
                for folder in _FOLDER:
                    target = target.removeprefix(folder)
                yield Reference(target=target, role="execution-environment", place=f"line {parameter.line}")
