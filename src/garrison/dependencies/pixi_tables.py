"""Tables of pixi: packages of conda and of PyPI beside each other, by feature and platform.

Source: pixi's "Pixi Manifest" reference.
"""

from collections.abc import Iterator
from typing import Any

from garrison.core.facts import AnyFact, Reference, Requirement
from garrison.dependencies.poetry_tables import packages
from garrison.dependencies.python_requirement import public
from garrison.dependencies.tables import listed, table, texts

_CONDA = {"dependencies": "", "host-dependencies": "host", "build-dependencies": "build-system"}
_DEEPEST = 3
_KEYS = ("version", "build", "channel")


def facts(pixi: dict[str, Any], prefix: str = "") -> Iterator[AnyFact]:
    """What a manifest asks for, and the channels and indexes that it is to come from."""
    for key in ("workspace", "project"):
        for number, channel in enumerate(listed(table(pixi, key).get("channels"))):
            name = channel.get("channel") if isinstance(channel, dict) else channel
            if isinstance(name, str):
                place = f"{prefix}{key}.channels[{number}]"
                yield Reference(target=public(name), role="package-index", detail="channel", place=place)
    yield from _part(pixi, prefix, "", 0)


def _part(part: dict[str, Any], prefix: str, group: str, depth: int) -> Iterator[AnyFact]:
    for key, own in _CONDA.items():
        for name, given in table(part, key).items():
            yield _conda(name, given, f"{prefix}{key}.{name}", group or own)
    yield from packages(table(part, "pypi-dependencies"), f"{prefix}pypi-dependencies", group, indexes={})
    yield from _options(table(part, "pypi-options"), f"{prefix}pypi-options")
    for key in ("feature", "target"):
        inner = table(part, key)
        for name in inner if depth < _DEEPEST else ():
            named = f"{group}.{name}".lstrip(".") if key == "feature" else group
            yield from _part(table(inner, name), f"{prefix}{key}.{name}.", named, depth + 1)


def _conda(name: str, given: object, place: str, group: str) -> Requirement:
    way: dict[str, Any] = given if isinstance(given, dict) else {"version": given}
    version, build, channel = (way[key] if isinstance(way.get(key), str) else "" for key in _KEYS)
    specifier = "" if version == "*" else version
    if build and specifier[:1].isdigit():
        specifier = f"=={specifier}={build}"
    return Requirement(
        ecosystem="conda", name=name[:200], specifier=specifier, source=public(channel), group=group, place=place
    )


def _options(options: dict[str, Any], place: str) -> Iterator[AnyFact]:
    url = options.get("index-url")
    if isinstance(url, str):
        yield Reference(target=public(url), role="package-index", detail="--index-url", place=f"{place}.index-url")
    for _, extra in texts(options.get("extra-index-urls")):
        where = f"{place}.extra-index-urls"
        yield Reference(target=public(extra), role="package-index", detail="--extra-index-url", place=where)
