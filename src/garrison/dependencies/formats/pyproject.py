"""`pyproject.toml`: what a Python project asks for, in the words of each of its tools.

Source: PEP 518, 621, 631 and 735; Poetry's "The pyproject.toml file" and "Dependency specification"; PDM's and uv's
references of their tables; Hatch's "Environment configuration"; pixi's manifest; setuptools' "Dynamic Metadata";
flit's `flit.ini`.
"""

from collections.abc import Iterator
from typing import Any

from garrison.core.errors import LimitExceeded, NotUnderstood
from garrison.core.facts import Anomaly, AnyFact, Artifact, Reference, Requirement
from garrison.dependencies import pixi_tables, poetry_tables
from garrison.dependencies.python_requirement import InvalidRequirement, fact, normalised, public, salvaged
from garrison.dependencies.tables import listed, named_tables, table, texts
from garrison.sources.source import Context, Extracted, Source

_LARGEST = 4 << 20
_GROUPS = 10_000


def sniff(source: Source) -> bool:
    """Tools go by the name alone."""
    return source.name == "pyproject.toml"


def extract(source: Source, context: Context) -> Extracted:
    """The packages that it asks for, and the indexes that they are to come from."""
    document = read_toml(source, context)
    yield Artifact(format="pyproject", details=_details(document))
    yield from _project(document)
    yield from requirements(table(document, "build-system"), "requires", "build-system.requires", "build-system")
    yield from _groups(table(document, "dependency-groups"))
    tools = table(document, "tool")
    yield from poetry_tables.facts(table(tools, "poetry"))
    yield from _pdm(table(tools, "pdm"))
    yield from _hatch(table(tools, "hatch"))
    yield from uv_facts(table(tools, "uv"))
    rye = table(tools, "rye")
    yield from requirements(rye, "dev-dependencies", "tool.rye.dev-dependencies", "dev")
    yield from _setuptools(table(tools, "setuptools"))
    yield from _flit(table(tools, "flit"))
    yield from pixi_tables.facts(table(tools, "pixi"), "tool.pixi.")


def read_toml(source: Source, context: Context) -> dict[str, Any]:
    """The document, as `tomllib` reads it. What it refuses, the reader of TOML documents reports."""
    import tomllib

    if source.reader.size > _LARGEST:
        raise LimitExceeded("buffer", f"larger than the {_LARGEST} bytes that are read of a manifest")
    try:
        return tomllib.loads(source.reader.whole(context.limits.buffer).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise NotUnderstood(f"no TOML that Python's tools read: {str(error)[:160] or 'nested too deep'}") from None


def _details(document: dict[str, Any]) -> dict[str, str | int | float | bool]:
    project, poetry = table(document, "project"), table(table(document, "tool"), "poetry")
    found: dict[str, str | int | float | bool] = {}
    for key in ("name", "version"):
        value = project.get(key, poetry.get(key))
        if isinstance(value, str):
            found[key] = value[:200]
    python = project.get("requires-python", table(poetry, "dependencies").get("python"))
    if isinstance(python, str):
        found["python"] = python[:200]
    backend = table(document, "build-system").get("build-backend")
    if isinstance(backend, str):
        found["build-backend"] = backend[:200]
    return found


def requirement(text: str, place: str, group: str = "", *, constraint: bool = False) -> Iterator[AnyFact]:
    """What one string asks for; where Python's tools refuse it, that and what it seems to mean."""
    try:
        yield fact(text, place, group=group, constraint=constraint)
    except InvalidRequirement as error:
        detail = f"no installer reads {text[:120]!r}: {error}"
        yield Anomaly(what="requirement-refused", detail=detail, place=place)
        meant = salvaged(text, place, group=group, constraint=constraint)
        if meant is not None:
            yield meant


def requirements(
    owner: dict[str, Any], key: str, place: str, group: str = "", *, constraint: bool = False
) -> Iterator[AnyFact]:
    """What a list of strings asks for."""
    for number, text in texts(owner.get(key)):
        yield from requirement(text, f"{place}[{number}]", group, constraint=constraint)


def _project(document: dict[str, Any]) -> Iterator[AnyFact]:
    project = table(document, "project")
    yield from requirements(project, "dependencies", "project.dependencies")
    optional = table(project, "optional-dependencies")
    for name in optional:
        yield from requirements(optional, name, f"project.optional-dependencies.{name}", name)


def _groups(groups: dict[str, Any]) -> Iterator[AnyFact]:
    """PEP 735: lists of requirements and of other groups' names."""
    includes: dict[str, list[str]] = {}
    for name, entries in groups.items():
        place = f"dependency-groups.{name}"
        included = includes.setdefault(normalised(name), [])
        for number, entry in enumerate(listed(entries)):
            if isinstance(entry, str):
                yield from requirement(entry, f"{place}[{number}]", name)
            elif isinstance(entry, dict) and isinstance(entry.get("include-group"), str):
                included.append(normalised(entry["include-group"]))
    for name in includes:
        for other in includes[name]:
            if other not in includes:
                detail = f"the dependency group {name!r} includes {other!r}, which is not there"
                yield Anomaly(what="requirement-refused", detail=detail, place=f"dependency-groups.{name}")
    circle = _circle(includes)
    if circle:
        detail = f"the dependency groups include each other in a circle: {' → '.join(circle)}"
        yield Anomaly(what="requirement-cycle", detail=detail, place=f"dependency-groups.{circle[0]}")


def _circle(includes: dict[str, list[str]]) -> list[str]:
    """A circle among the groups, if there is one; at most its first and last few names."""
    done: set[str] = set()
    for start in list(includes)[:_GROUPS]:
        path: dict[str, Iterator[str]] = {start: iter(includes[start])}
        while path:
            current = next(reversed(path))
            following = next(path[current], None)
            if following is None:
                done.add(current)
                del path[current]
            elif following in path:
                names = list(path)
                circle = [*names[names.index(following) :], following]
                return circle if len(circle) <= 8 else [*circle[:4], "…", *circle[-3:]]
            elif following in includes and following not in done:
                path[following] = iter(includes[following])
    return []


def _pdm(pdm: dict[str, Any]) -> Iterator[AnyFact]:
    groups = table(pdm, "dev-dependencies")
    for name in groups:
        for number, text in texts(groups[name]):
            place = f"tool.pdm.dev-dependencies.{name}[{number}]"
            editable = text.removeprefix("-e ").strip()
            yield from requirement(editable, place, name)
    overrides = table(table(pdm, "resolution"), "overrides")
    for name, version in overrides.items():
        if isinstance(version, str):
            specifier = version if version[:1] in "<>=!~" or not version else f"=={version}"
            place = f"tool.pdm.resolution.overrides.{name}"
            yield from requirement(f"{name}{specifier}", place, "overrides", constraint=True)
    for number, source in named_tables(pdm.get("source")):
        url, kind = source.get("url"), source.get("type", "index")
        if isinstance(url, str):
            # PDM's source of the name `pypi` stands in for the default index.
            detail = "default index" if source.get("name") == "pypi" else "extra index"
            detail = "--find-links" if kind == "find_links" else detail
            place = f"tool.pdm.source[{number}]"
            yield Reference(target=public(url), role="package-index", detail=detail, place=place)
            yield from unverified(source, public(url), place)


def unverified(source: dict[str, Any], url: str, place: str) -> Iterator[AnyFact]:
    """A source whose certificate is not to be checked."""
    if source.get("verify_ssl") is False:
        yield Reference(target=public(url), role="package-index", detail="--trusted-host", place=place)


def _hatch(hatch: dict[str, Any]) -> Iterator[AnyFact]:
    environments = table(hatch, "envs")
    for name in environments:
        for key in ("dependencies", "extra-dependencies"):
            place = f"tool.hatch.envs.{name}.{key}"
            yield from requirements(table(environments, name), key, place, f"envs.{name}")
    build = table(hatch, "build")
    targets = table(build, "targets")
    builds = {"": build, **{f".targets.{name}": table(targets, name) for name in targets}}
    for part, owner in builds.items():
        place = f"tool.hatch.build{part}"
        yield from requirements(owner, "dependencies", f"{place}.dependencies", "build-system")
        hooks = table(owner, "hooks")
        for name in hooks:
            inner = f"{place}.hooks.{name}.dependencies"
            yield from requirements(table(hooks, name), "dependencies", inner, "build-system")
    hook = table(table(table(hatch, "metadata"), "hooks"), "requirements_txt")
    for _, path in texts(hook.get("files")):
        place = "tool.hatch.metadata.hooks.requirements_txt"
        yield Reference(target=path, role="requirement-file", detail="dependencies", place=place)


def uv_facts(uv: dict[str, Any]) -> Iterator[AnyFact]:
    """What `[tool.uv]` asks for, limits and takes from where."""
    yield from requirements(uv, "dev-dependencies", "tool.uv.dev-dependencies", "dev")
    for key in ("constraint-dependencies", "override-dependencies", "build-constraint-dependencies"):
        group = {"override-dependencies": "overrides", "build-constraint-dependencies": "build-system"}.get(key, "")
        yield from requirements(uv, key, f"tool.uv.{key}", group, constraint=True)
    extra = table(uv, "extra-build-dependencies")
    for package, asked in extra.items():
        place = f"tool.uv.extra-build-dependencies.{package}"
        for number, one in enumerate(listed(asked)):
            wanted = one.get("requirement") if isinstance(one, dict) else one
            if isinstance(wanted, str):
                yield from requirement(wanted, f"{place}[{number}]", "build-system")
    indexes: dict[str, str] = {}
    for number, index in named_tables(uv.get("index")):
        url, name = index.get("url"), index.get("name")
        if isinstance(url, str):
            if isinstance(name, str):
                indexes[name] = url
            explicit = index.get("explicit") is True
            detail = (
                "explicit index" if explicit else ("default index" if index.get("default") is True else "first index")
            )
            yield Reference(target=public(url), role="package-index", detail=detail, place=f"tool.uv.index[{number}]")
    yield from _uv_options(uv, "tool.uv")
    yield from _uv_options(table(uv, "pip"), "tool.uv.pip")
    sources = table(uv, "sources")
    for name, given in sources.items():
        for one in [given] if isinstance(given, dict) else listed(given):
            if isinstance(one, dict):
                yield from _uv_source(name, one, indexes)


def _uv_options(uv: dict[str, Any], place: str) -> Iterator[AnyFact]:
    url = uv.get("index-url")
    if isinstance(url, str):
        yield Reference(target=public(url), role="package-index", detail="--index-url", place=f"{place}.index-url")
    for key in ("extra-index-url", "find-links", "allow-insecure-host", "trusted-host"):
        detail = "--trusted-host" if key == "allow-insecure-host" else f"--{key}"
        for _, target in texts(uv.get(key)):
            yield Reference(target=public(target), role="package-index", detail=detail, place=f"{place}.{key}")
    if uv.get("index-strategy") in ("unsafe-best-match", "unsafe-first-match"):
        detail = f"uv takes a package from whichever index has the best version: {uv['index-strategy']}"
        yield Anomaly(what="index-strategy", detail=detail, place=f"{place}.index-strategy")


def _uv_source(name: str, source: dict[str, Any], indexes: dict[str, str]) -> Iterator[AnyFact]:
    place = f"tool.uv.sources.{name}"
    marker = source.get("marker") if isinstance(source.get("marker"), str) else ""
    target = poetry_tables.location(source)
    if isinstance(source.get("index"), str):
        target = indexes.get(source["index"], source["index"])
    if target:
        yield Requirement(
            ecosystem="pypi", name=name, source=public(target), marker=marker or "", constraint=True, place=place
        )


def _setuptools(setuptools: dict[str, Any]) -> Iterator[AnyFact]:
    """Dependencies that setuptools takes from requirements files when it builds."""
    dynamic = table(setuptools, "dynamic")
    optional = table(dynamic, "optional-dependencies")
    places = {"dependencies": dynamic.get("dependencies")}
    places |= {f"optional-dependencies.{name}": given for name, given in optional.items()}
    for key, given in places.items():
        file = given.get("file") if isinstance(given, dict) else None
        for _, path in texts([file] if isinstance(file, str) else file):
            place = f"tool.setuptools.dynamic.{key}"
            yield Reference(target=path, role="requirement-file", detail="dependencies", place=place)


def _flit(flit: dict[str, Any]) -> Iterator[AnyFact]:
    metadata = table(flit, "metadata")
    for key in ("requires", "dev-requires"):
        yield from requirements(metadata, key, f"tool.flit.metadata.{key}", "dev" if key == "dev-requires" else "")
    extras = table(metadata, "requires-extra")
    for name in extras:
        yield from requirements(extras, name, f"tool.flit.metadata.requires-extra.{name}", name)
