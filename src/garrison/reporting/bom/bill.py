"""What a bill of materials holds, whatever format it is written in."""

import datetime
from collections.abc import Callable

import msgspec

from garrison.core.facts import Description, Package
from garrison.core.report import CoverageEntry, Item, Tool


class Licence(msgspec.Struct, frozen=True):
    """What is stated of a licence, and the SPDX expression that it stands for; empty where it stands for none."""

    stated: str
    expression: str = ""


class Vocabulary(msgspec.Struct, frozen=True):
    """What other rooms know of licences and of the names of packages."""

    expression: Callable[[str], str] = lambda _: ""
    """The SPDX expression that a statement stands for, or nothing."""
    location: Callable[[Package, str], str] = lambda package, _subject: package.purl
    """The package URL of a package that a subject states, with all that is known of where it comes from."""
    address: Callable[[str, str, str], str] = lambda _ecosystem, _name, _version: ""
    """The package URL of an ecosystem, a name and a version, or nothing."""
    pinned: Callable[[str, str], str] = lambda _ecosystem, _specifier: ""
    """The one version that a range of an ecosystem allows, or nothing."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """A signature or an attestation that lies with a model. Nothing of it has been verified."""

    subject: str
    predicate: str = ""
    """The type of what is stated."""
    root: str = ""
    """The SHA-256 of what it is about, as it states it."""
    signature: bool = False
    """Whether it signs the model's files, rather than state something about them."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One model: a file, its parts, or a repository of them."""

    key: str
    """Unique among models: the path of its directory or its file."""
    name: str
    purl: str = ""
    """Where a place that names it so says from which hub and revision it is."""
    file: str = ""
    """The subject that is the whole model, where one file is."""
    files: tuple[str, ...] = ()
    """The subjects that it is made of, without what lies inside them."""
    formats: tuple[str, ...] = ()
    says: Description
    licences: tuple[Licence, ...] = ()
    datasets: tuple[str, ...] = ()
    """Keys of what it was trained on."""
    tests: tuple[str, ...] = ()
    """Keys of what it was measured on."""
    bases: tuple[str, ...] = ()
    """Keys of the models that it was made from."""
    packages: tuple[str, ...] = ()
    """Keys of the packages that the project around it asks for."""
    evidence: tuple[Evidence, ...] = ()
    incomplete: bool = False
    """Whether it refers to parts that are not there."""
    named_only: bool = False
    """Whether others name it and it is not there."""


class DataSet(msgspec.Struct, frozen=True, kw_only=True):
    """A data set that is there or that a model names."""

    key: str
    name: str
    files: tuple[str, ...] = ()
    says: Description
    licences: tuple[Licence, ...] = ()
    named_only: bool = False


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a package, or a package of which any version in a range will do."""

    key: str
    name: str
    version: str = ""
    purl: str = ""
    specifier: str = ""
    hashes: tuple[str, ...] = ()
    licences: tuple[Licence, ...] = ()
    dependencies: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    """Subjects that name it."""
    groups: tuple[str, ...] = ()
    """The groups and extras that it belongs to, where all that name it do so for one."""
    sources: tuple[str, ...] = ()
    """Where it comes from, where that is not the default index."""
    direct: bool | None = None
    """Whether a project asks for it itself; `None` where nothing tells."""


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. Whatever is listed is in a stable order."""

    tool: Tool
    made: datetime.datetime
    subjects: tuple[str, ...]
    files: dict[str, Item]
    """Every subject that was looked at; what lies in a container follows it by name."""
    models: tuple[Model, ...] = ()
    datasets: tuple[DataSet, ...] = ()
    libraries: tuple[Library, ...] = ()
    gaps: tuple[CoverageEntry, ...] = ()
    """What was not examined to its end, and may hold more."""
    interrupted: bool = False


def container_of(subject: str, known: dict[str, Item]) -> str:
    """The nearest known subject that this one lies in; empty where it lies in none."""
    parent = subject.rpartition("!/")[0]
    while parent and parent not in known:
        parent = parent.rpartition("!/")[0]
    return parent
