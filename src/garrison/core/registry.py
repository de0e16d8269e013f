"""What the rooms register: formats with their extractors, detectors and rules.

Each room has `registration/*.json` (formats and detectors, named as `module:function` and imported only when needed)
and `rules/*.json`. Adding a format is one new module and its entry in one of these; nothing else changes.
"""

import functools
import importlib
import os
from typing import TYPE_CHECKING, Any

import msgspec

from garrison.core.findings import Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PACKAGE = os.path.dirname(os.path.dirname(__file__))
_ROOMS = ("sources", "artifacts", "dependencies", "provenance", "robustness", "serving")


class Magic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bytes that stand at a fixed offset."""

    hex: str
    offset: int = 0


class Format(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One format and how it is recognised. All of `magic` are alternatives."""

    id: str
    title: str
    extractor: str = ""
    """`module:function` taking `(Source, Context)`; empty for formats that are only recognised."""
    magic: tuple[Magic, ...] = ()
    sniffer: str = ""
    """`module:function` taking a `Source`, returning whether it is one; asked when no magic matched, by `order`,
    or after a magic matched when `confirm` is set."""
    order: int = 50
    """When its sniffer is asked: the more certain and the cheaper, the earlier."""
    confirm: bool = False
    text: bool = False
    """The sniffer is asked only for subjects that look like text."""
    tail: bool = False
    """The sniffer is asked for every subject, since the format is found from its end (polyglots)."""
    members: tuple[str, ...] = ()
    """Last parts of names, in lower case, of which a zip must have one for the sniffer to be asked."""
    names: tuple[str, ...] = ()
    """Names, in lower case, of which the subject must have one for the sniffer to be asked: `poetry.lock`, or with
    one star: `*.egg-info`, `pylock.*.toml`. For manifests only, whose tools go by name."""
    marks: tuple[str, ...] = ()
    """Words of which the subject must have one near its beginning or its end for the sniffer to be asked, unless it
    has one of `names`: a reader is imported only where it may be needed."""
    extensions: tuple[str, ...] = ()
    """Usual file name endings, lower case, with the dot; a subject with one of them and other bytes is a mismatch."""
    container: bool = False
    beside: bool = False
    """It is another format too (a lock file is a TOML document), so that other sniffers are asked all the same."""
    ends_in_zip: bool = False
    """Its writers append a zip of files that belong to it, so that the two together are no polyglot."""
    model: bool = False
    """A model or its parts, as opposed to documents, sources and pictures."""
    program: bool = False
    """A program or a part of one: told of where a model should be, and ordinary in a file system."""


class Detector(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    function: str
    """`module:function` taking `Sequence[Examination]` and `Policy`, returning an iterable of `Finding` and
    `Check`."""
    facts: tuple[str, ...]
    """Kinds of facts (tags) that make it worth asking; empty means always."""


class Opener(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Turns a subject that is no plain file into files that workers can examine, outside their jail."""

    function: str
    """`module:function` taking the subject and a `contextlib.ExitStack` for what it must clean up, returning an
    iterable of `File | Omitted | Examination`."""
    schemes: tuple[str, ...] = ()
    """What the subject begins with, with the colon: `host:`."""
    directory: str = ""
    """`module:function` taking a directory's path, returning whether it is one."""


class Inquiry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Asks a service about what was found, after all is examined and before it is judged."""

    function: str
    """`module:function` taking `Sequence[Examination]`, `Policy` and whether the user allowed to ask, returning an
    iterable of `Examination`. Without leave it says what it remembers of earlier answers, with their age."""
    facts: tuple[str, ...]
    """Kinds of facts (tags) that make it worth asking."""


class Registration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    formats: tuple[Format, ...] = ()
    detectors: tuple[Detector, ...] = ()
    searches: tuple[str, ...] = ()
    """`module:function` like an extractor's, asked for every text whatever its format."""
    openers: tuple[Opener, ...] = ()
    inquiries: tuple[Inquiry, ...] = ()


@functools.cache
def registration() -> Registration:
    """All rooms together."""
    decoder = msgspec.json.Decoder(Registration)
    rooms = [decoder.decode(data) for data in _documents("registration")]
    return Registration(
        formats=tuple(f for room in rooms for f in room.formats),
        detectors=tuple(d for room in rooms for d in room.detectors),
        searches=tuple(s for room in rooms for s in room.searches),
        openers=tuple(o for room in rooms for o in room.openers),
        inquiries=tuple(i for room in rooms for i in room.inquiries),
    )


def _documents(kind: str) -> "Iterator[bytes]":
    """The JSON files in the folder `kind` of each room, in a stable order."""
    for room in _ROOMS:
        folder = os.path.join(_PACKAGE, room, kind)
        for name in sorted(os.listdir(folder)):
            if name.endswith(".json"):
                with open(os.path.join(folder, name), "rb") as file:
                    yield file.read()


@functools.cache
def formats() -> dict[str, Format]:
    return {f.id: f for f in registration().formats}


@functools.cache
def rules() -> dict[str, Rule]:
    """The catalogue, by rule id."""
    found: dict[str, Rule] = {}
    decoder = msgspec.json.Decoder(list[Rule])
    for data in _documents("rules"):
        for rule in decoder.decode(data):
            if rule.id in found:
                raise ValueError(f"rule {rule.id} is defined twice")
            found[rule.id] = rule
    return found


@functools.cache
def load(name: str) -> "Callable[..., Any]":
    """The function that `module:function` names."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)  # type: ignore[no-any-return]
