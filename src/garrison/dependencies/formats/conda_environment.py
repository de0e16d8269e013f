"""Environments as conda and MLflow write them: `environment.yml`, `conda.yaml`, `python_env.yaml`.

Source: conda "Managing environments", "Creating an environment file manually" and "Package match specifications";
mlflow `utils/environment.py`.
"""

import re
from collections.abc import Iterator
from typing import Any

from garrison.core.errors import Malformed
from garrison.core.facts import Anomaly, AnyFact, Artifact, Reference, Requirement
from garrison.sources.source import Context, Extracted, Source

_HEAD = 1 << 14
_DEPENDENCIES = re.compile(rb"^[\"']?dependencies[\"']?\s*:", re.MULTILINE)
_OTHER = re.compile(
    rb"^[\"']?(?:channels|build_dependencies|python)[\"']?\s*:|[-{\[,]\s*[\"']?pip[\"']?\s*:", re.MULTILINE
)
_LARGEST = 4 << 20
_USUAL = re.compile(r"(?:.*[-_.])?(?:conda|environment)(?:[-_.].*)?\.ya?ml")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")
_KEYED = re.compile(r"(name|version|build|channel|subdir|md5|sha256|url)\s*=\s*(?:'([^']*)'|\"([^\"]*)\"|([^,'\"\]]*))")
_FILE = re.compile(r"/([^/]+)-([^-/]+)-([^-/]+)\.(?:conda|tar\.bz2)(?:#.*)?$")
_LONGEST = 1000


def sniff(source: Source) -> bool:
    """Its name is usual, or it has dependencies, and channels, a list for pip or MLflow's build dependencies."""
    if _is_usual(source):
        return True
    head = source.reader.pread(0, _HEAD)
    return bool(_DEPENDENCIES.search(head) and _OTHER.search(head))


def extract(source: Source, context: Context) -> Extracted:
    """The packages that it asks for, and the channels and indexes that they are to come from."""
    import yaml

    data = source.reader.whole(min(context.limits.buffer, _LARGEST))
    text = data.decode("utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig", "replace")
    try:
        # Nodes, since they have lines and nothing is built from them: an alias is the same node again.
        document = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if "dependencies" not in text:
            return
        raise Malformed(f"no YAML that conda reads: {str(error).splitlines()[0]}") from None
    entries, repeated = _mapping(document)
    if "dependencies" not in entries:
        return
    if repeated:
        yield Anomaly(what="malformed", detail=f"keys stand twice, of which the last counts: {', '.join(repeated[:5])}")
    yield from _environment(entries, context, usual=_is_usual(source))


def _is_usual(source: Source) -> bool:
    """`environment.yml`, `environment-dev.yaml`, `conda.yaml`: what people hand to conda, however it is written."""
    return bool(_USUAL.fullmatch(source.name.lower()[-255:]))


def _mapping(node: Any) -> tuple[dict[str, Any], list[str]]:
    """A mapping's values by key, and the keys that stand twice."""
    found: dict[str, Any] = {}
    repeated: list[str] = []
    if getattr(node, "id", "") == "mapping":
        for key, value in node.value:
            if key.id == "scalar":
                if key.value in found:
                    repeated.append(key.value[:80])
                found[key.value] = value
        for merged in _merged(node):
            for key, value in merged.value:
                found.setdefault(key.value if key.id == "scalar" else "", value)
    return found, repeated


def _merged(node: Any) -> Iterator[Any]:
    """The mappings that `<<` puts into this one, the nearest first, each once."""
    seen = {id(node)}
    pending = [node]
    while pending:
        for key, value in pending.pop(0).value:
            if key.id == "scalar" and key.value == "<<":
                for one in [value, *_sequence(value)]:
                    if one.id == "mapping" and id(one) not in seen:
                        seen.add(id(one))
                        pending.append(one)
                        yield one


def _sequence(node: Any) -> list[Any]:
    return list(node.value) if getattr(node, "id", "") == "sequence" else []


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _environment(document: dict[str, Any], context: Context, *, usual: bool) -> Extracted:
    from garrison.dependencies.requirement_lines import facts

    dependencies = _sequence(document.get("dependencies"))
    pip = [entry for node in dependencies for key, entry in _mapping(node)[0].items() if key == "pip"]
    conda = "channels" in document or bool(pip)
    virtual = "build_dependencies" in document or ("python" in document and not conda)
    conda = conda or (usual and not virtual)
    if getattr(document.get("dependencies"), "id", "") != "sequence" or not (conda or virtual):
        return
    name = document.get("name")
    details: dict[str, str | int | float | bool] = {}
    if getattr(name, "id", "") == "scalar":
        details["name"] = document["name"].value[:200]
    yield Artifact(format="conda-environment" if conda else "python-environment", details=details)
    for node in _sequence(document.get("channels")):
        if node.id == "scalar":
            yield _channel(node.value, _line(node))
    plain = [node for node in dependencies if node.id == "scalar"]
    if conda:
        for count, node in enumerate(plain):
            if count % 1024 == 0:
                context.check_time()
            yield from conda_package(node.value, f"line {_line(node)}")
    else:
        plain += [node for node in _sequence(document.get("build_dependencies")) if node.id == "scalar"]
        yield from facts((_line(node), node.value.strip()) for node in plain)
    for block in pip:
        lines = ((_line(node), node.value.strip()) for node in _sequence(block) if node.id == "scalar")
        yield from facts((number, line) for number, line in lines if line)


def _channel(text: str, line: int) -> Reference:
    from garrison.dependencies.python_requirement import public

    return Reference(target=public(text[:_LONGEST]), role="package-index", detail="channel", place=f"line {line}")


def conda_package(text: str, place: str) -> Iterator[AnyFact]:
    """A match specification: `name`, `name=1.2=build`, `channel::name >=1,<2`, `name[version='>=1']`, an address."""
    from garrison.dependencies.python_requirement import public

    text = text.partition(" #")[0].strip()[:_LONGEST]
    if "://" in text and "::" not in text:
        file = _FILE.search(text)
        name, version, build = file.groups() if file else (public(text), "", "")
        specifier = f"=={version}={build}" if version else ""
        yield Requirement(ecosystem="conda", name=name, specifier=specifier, source=public(text), place=place)
        return
    channel, _, rest = text.rpartition("::")
    rest, _, keyed = rest.partition("[")
    keys = {key: one or two or three for key, one, two, three in _KEYED.findall(keyed)}
    if rest.strip() == "*":
        rest = keys.get("name", "")
    named = _NAME.match(rest)
    if named is None:
        yield Anomaly(what="requirement-refused", detail=f"conda reads no package from {text[:120]!r}", place=place)
        return
    specifier = rest[named.end() :].strip() or keys.get("version", "").strip()
    if keys.get("build") and specifier and "=" not in specifier.lstrip("=<>!~"):
        specifier = f"{specifier if specifier.startswith('=') else '==' + specifier}={keys['build']}"
    channel = channel.rpartition(":")[2] if channel.count(":") and "://" not in channel else channel
    channel = channel or keys.get("channel", "")
    yield Requirement(ecosystem="conda", name=named[0], specifier=specifier, source=public(channel), place=place)
