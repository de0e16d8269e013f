"""Environments as conda and MLflow write them: `environment.yml`, `conda.yaml`, `python_env.yaml`.

Source: conda "Managing environments", "Creating an environment file manually"; mlflow `utils/environment.py`.
"""

import re
from collections.abc import Iterator
from typing import Any

from garrison.core.errors import Malformed
from garrison.core.facts import Artifact, Reference, Requirement
from garrison.dependencies.requirement_lines import facts
from garrison.sources.source import Context, Extracted, Source

_HEAD = 1 << 14
_DEPENDENCIES = re.compile(rb"^[\"']?dependencies[\"']?\s*:", re.MULTILINE)
_OTHER = re.compile(
    rb"^[\"']?(?:channels|build_dependencies|python)[\"']?\s*:|[-{\[,]\s*[\"']?pip[\"']?\s*:", re.MULTILINE
)


def sniff(source: Source) -> bool:
    """It has dependencies, and channels, a list for pip or MLflow's build dependencies beside them."""
    head = source.reader.pread(0, _HEAD)
    return bool(_DEPENDENCIES.search(head) and _OTHER.search(head))


def extract(source: Source, context: Context) -> Extracted:
    """The packages that it asks for, and the channels and indexes that they are to come from."""
    import yaml

    text = source.reader.whole(context.limits.buffer).decode("utf-8", "replace")
    try:
        document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError) as error:
        raise Malformed(f"no YAML that conda reads: {str(error).splitlines()[0]}") from None
    if isinstance(document, dict):
        yield from _environment(document)


def _environment(document: dict[Any, Any]) -> Extracted:
    dependencies = document.get("dependencies")
    if not isinstance(dependencies, list):
        return
    conda = "channels" in document or any(isinstance(one, dict) and "pip" in one for one in dependencies)
    virtual = "build_dependencies" in document or ("python" in document and not conda)
    if not conda and not virtual:
        return
    yield Artifact(format="conda-environment" if conda else "python-environment")
    channels = document.get("channels")
    for channel in channels if isinstance(channels, list) else []:
        if isinstance(channel, str):
            yield Reference(target=channel, role="package-index", detail="channel", place="channels")
    build = document.get("build_dependencies")
    plain = [*dependencies, *(build if isinstance(build, list) else [])]
    for number, one in enumerate(plain, 1):
        if isinstance(one, str) and conda:
            yield _conda_package(one, f"dependencies {number}")
        elif isinstance(one, str):
            yield from facts([(number, one)], "dependencies")
        elif isinstance(one, dict):
            yield from facts(_pip(one), "pip")


def _pip(entry: dict[Any, Any]) -> Iterator[tuple[int, str]]:
    lines = entry.get("pip")
    for number, line in enumerate(lines if isinstance(lines, list) else [], 1):
        if isinstance(line, str) and line.strip():
            yield number, line.strip()


def _conda_package(text: str, place: str) -> Requirement:
    name = text.rpartition("::")[2].strip()
    end = next((index for index, letter in enumerate(name) if letter in "=<>! ["), len(name))
    return Requirement(ecosystem="conda", name=name[:end], specifier=name[end:].strip(), source="", place=place)
