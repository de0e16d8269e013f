"""Tables of Poetry, and of what follows it: names with a range, or with a table of ways to get the package.

Source: Poetry's "Dependency specification", "Managing dependencies" and "Repositories"; Pipenv's "Pipfile".
"""

from collections.abc import Iterator
from typing import Any

from garrison.core.facts import Anomaly, AnyFact, Reference, Requirement
from garrison.dependencies.python_requirement import NAME, file_pin, public
from garrison.dependencies.tables import listed, named_tables, table

_PRIORITIES = {
    "explicit": "explicit index",
    "primary": "first index",
    "default": "default index",
    "secondary": "extra index",
    "supplemental": "supplemental index",
}
_VERSION_CONTROL = ("git", "hg", "svn", "bzr")
_WAYS = 64


def facts(poetry: dict[str, Any]) -> Iterator[AnyFact]:
    """What `[tool.poetry]` asks for."""
    indexes = dict(_indexes(poetry))
    extras = _extras(poetry)
    dependencies = table(poetry, "dependencies")
    yield from packages(dependencies, "tool.poetry.dependencies", indexes=indexes, extras=extras)
    yield from packages(table(poetry, "dev-dependencies"), "tool.poetry.dev-dependencies", "dev", indexes=indexes)
    groups = table(poetry, "group")
    for name in groups:
        place = f"tool.poetry.group.{name}.dependencies"
        yield from packages(table(table(groups, name), "dependencies"), place, name, indexes=indexes)
    yield from packages(table(poetry, "constraints"), "tool.poetry.constraints", indexes=indexes, constraint=True)
    for number, source in named_tables(poetry.get("source")):
        url = source.get("url")
        if isinstance(url, str):
            place = f"tool.poetry.source[{number}]"
            yield Reference(target=public(url), role="package-index", detail=_priority(source), place=place)


def _indexes(poetry: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for _, source in named_tables(poetry.get("source")):
        name, url = source.get("name"), source.get("url")
        if isinstance(name, str):
            yield name, url if isinstance(url, str) else name


def _priority(source: dict[str, Any]) -> str:
    """Without a priority a source comes first; the older marks are still read."""
    given = source.get("priority")
    if isinstance(given, str):
        return _PRIORITIES.get(given.lower(), "extra index")
    if source.get("default") is True:
        return "default index"
    return "extra index" if source.get("secondary") is True else "first index"


def _extras(poetry: dict[str, Any]) -> dict[str, str]:
    """The extra that an optional package belongs to."""
    return {
        one.split("[")[0].strip().lower(): name
        for name, entries in table(poetry, "extras").items()
        for one in listed(entries)
        if isinstance(one, str)
    }


def packages(
    entries: dict[str, Any],
    place: str,
    group: str = "",
    *,
    indexes: dict[str, str],
    extras: dict[str, str] | None = None,
    constraint: bool = False,
) -> Iterator[AnyFact]:
    """What a table of packages asks for; `python` in it is the interpreter."""
    for name, given in entries.items():
        if name.lower() == "python" and isinstance(given, str):
            continue
        where = f"{place}.{name}"
        ways = given if isinstance(given, list) else [given]
        for number, way in enumerate(ways[:_WAYS]):
            here = f"{where}[{number}]" if len(ways) > 1 else where
            if not NAME.fullmatch(name) or not isinstance(way, str | dict):
                detail = f"no package and its range: {name[:80]} = {str(way)[:80]}"
                yield Anomaly(what="requirement-refused", detail=detail, place=here)
                continue
            found = (extras or {}).get(name.lower(), "") if isinstance(way, dict) and way.get("optional") else ""
            yield _package(name, way, here, group or found, indexes, constraint)


def _package(
    name: str, way: str | dict[str, Any], place: str, group: str, indexes: dict[str, str], constraint: bool
) -> Requirement:
    if isinstance(way, str):
        version, marker = _marked(way)
        return Requirement(
            ecosystem="pypi",
            name=name,
            specifier=_anything(version),
            marker=marker,
            group=group,
            constraint=constraint,
            place=place,
        )
    source = location(way)
    index = way.get("source", way.get("index"))
    if not source and isinstance(index, str):
        source = indexes.get(index, index)
    given = way.get("version")
    specifier = _anything(given) if isinstance(given, str) else file_pin(source, name)
    return Requirement(
        ecosystem="pypi",
        name=name,
        specifier=specifier,
        source=public(source),
        extras=tuple(one for one in listed(way.get("extras")) if isinstance(one, str)),
        marker=_marker(way),
        group=group,
        hashes=tuple(one for one in listed(way.get("hashes")) if isinstance(one, str)),
        constraint=constraint,
        place=place,
    )


def _marked(text: str) -> tuple[str, str]:
    """Pipenv and uv let a marker stand behind the range."""
    version, _, marker = text.partition(";")
    return version.strip(), marker.strip()


def _anything(version: str) -> str:
    return "" if version.strip() in ("*", "") else version.strip()


def location(way: dict[str, Any]) -> str:
    """Where a package is taken from that comes from no index, as pip would write it."""
    for control in _VERSION_CONTROL:
        address = way.get(control)
        if isinstance(address, str):
            revision = next((way[key] for key in ("rev", "ref", "tag", "branch") if isinstance(way.get(key), str)), "")
            prefix = "" if address.startswith(("git@", f"{control}+")) else f"{control}+"
            return f"{prefix}{address}" + (f"@{revision}" if revision else "")
    for key in ("url", "file", "path"):
        if isinstance(way.get(key), str):
            return str(way[key])
    return f"workspace {way['workspace']}" if way.get("workspace") else ""


def _marker(way: dict[str, Any]) -> str:
    """Poetry's own conditions and Pipenv's, in the words of PEP 508."""
    from garrison.dependencies.specifiers import python_marker

    parts = [way[key] for key in ("markers", "marker") if isinstance(way.get(key), str)]
    if isinstance(way.get("python"), str) and (python := python_marker(way["python"])):
        parts.append(python)
    if isinstance(way.get("platform"), str):
        parts.append(f'sys_platform == "{way["platform"]}"')
    for key in ("sys_platform", "platform_system", "platform_machine", "os_name", "python_version"):
        if isinstance(way.get(key), str):
            parts.append(f"{key} {way[key]}")
    return parts[0] if len(parts) == 1 else " and ".join(f"({part})" for part in parts)
