"""The threat frameworks that rules refer to, by the ids of their entries."""

import functools
import os

import msgspec


class Framework(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    title: str
    publisher: str
    url: str
    entry_url: str
    """The page of one entry; `{}` stands for the entry's number in the framework's own spelling."""
    entries: dict[str, str]
    """Ids as rules write them, and their titles."""


class Threat(msgspec.Struct, frozen=True):
    """One entry of a framework."""

    id: str
    title: str
    url: str
    framework: Framework


@functools.cache
def frameworks() -> tuple[Framework, ...]:
    """MLSecOps Top 10, OWASP Machine Learning Security Top 10, MITRE ATLAS and CWE."""
    with open(os.path.join(os.path.dirname(__file__), "frameworks.json"), "rb") as file:
        data = file.read()
    return tuple(msgspec.json.decode(data, type=list[Framework]))


@functools.cache
def _by_id() -> dict[str, Threat]:
    return {
        entry: Threat(entry, title, framework.entry_url.format(entry.removeprefix(f"{framework.id}-")), framework)
        for framework in frameworks()
        for entry, title in framework.entries.items()
    }


def threat(entry: str) -> Threat | None:
    """The entry of this id; `None` for an id of no framework."""
    return _by_id().get(entry)
