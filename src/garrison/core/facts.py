"""What extractors state. A fact never judges: detectors do.

Facts cross a process boundary as MessagePack, so each is a tagged struct of plain values. A fact says where inside its
subject it was seen (`place`, such as `@ 0x2f`, `line 12`, `layer 'lambda'`); which subject, the `Examination` says.
"""

from typing import Literal

import msgspec


def _tag(name: str) -> str:
    return "".join("-" + c.lower() if c.isupper() else c for c in name).lstrip("-")


class Fact(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag=_tag, omit_defaults=True):
    place: str = ""
    """Where inside the subject, for a person; empty means the whole."""


class Artifact(Fact, frozen=True):
    """The subject is of this format; goes into the inventory."""

    format: str
    details: dict[str, str | int | float | bool] = {}
    """What the format says of itself: version, framework, architecture, tensors, licence, base model, ..."""


class Import(Fact, frozen=True):
    """Loading resolves `module.name`: what pickle calls a global, Keras a class, Hydra a target.

    `module` and `name` are as written, before any resolution of aliases or dotted paths.
    """

    module: str
    name: str
    origin: str
    """The format whose loader resolves it: `pickle`, `keras`, `hydra`, `skops`, `python`, ..."""
    usage: Literal["reference", "call", "method", "state", "mutate"] = "reference"
    """What the loader does with it: only resolves it; calls it; calls what it got by attribute or index from it;
    sets state on an instance of it (`__setstate__`); alters the object itself (BUILD or SETITEM on a global)."""
    arguments: tuple[str, ...] = ()
    """Literal arguments as Python would show them, `…` where a value is not literal."""
    count: int = 1
    deferred: bool = False
    """Source only: not while loading, but when the function that it stands in is called."""


class EmbeddedCode(Fact, frozen=True):
    """Code that the artifact carries."""

    language: str
    """`python`, `python-bytecode`, `torchscript`, `lua`, `shell`, `javascript`, `r`, `native`, ..."""
    form: str
    """How it is carried: `marshal`, `pickled code object`, `source`, `lambda layer`, `promise`, ..."""
    trigger: Literal["load", "use", "carried"] = "load"
    """When it runs: when the artifact is loaded, when the model is used, or only when somebody runs it."""
    names: tuple[str, ...] = ()
    """Dotted names that it refers to (imports, calls, attributes), most telling first."""
    excerpt: str = ""


class Reference(Fact, frozen=True):
    """The artifact points at something outside its own bytes."""

    target: str
    role: str
    """`external-data`, `vocabulary`, `file-read`, `file-write`, `download`, `package-index`, `package`, `remote-code`,
    `code-file`, `source-import`, `link`, `base-model`, `schema`, `entity`, `documentation`, `metadata`, ..."""
    trigger: Literal["load", "use", "carried"] = "load"
    detail: str = ""


class Operator(Fact, frozen=True):
    """A graph runs an operator that matters for security; ordinary arithmetic is not stated one by one."""

    framework: str
    name: str
    domain: str = ""
    arguments: dict[str, str] = {}
    """Constant arguments, as text; absent where the graph computes them."""
    count: int = 1


class Template(Fact, frozen=True):
    """A text template that the serving side renders."""

    dialect: str
    name: str
    attributes: tuple[str, ...] = ()
    """Attribute names that it reaches, written or assembled; all words where it did not parse."""
    items: tuple[str, ...] = ()
    """Names that it reaches by subscript."""
    paths: tuple[str, ...] = ()
    """What it reaches from names that it did not set itself, dotted: `config.SECRET_KEY`."""
    computed: tuple[str, ...] = ()
    """Accesses by names that only rendering tells."""
    costs: tuple[str, ...] = ()
    """What would take unbounded time or memory."""
    calls: tuple[str, ...] = ()
    """What it calls, dotted from a root name: `cycler.__init__.__globals__.os.popen`."""
    problem: str = ""
    """Why it did not parse, if so."""
    excerpt: str = ""


class Secret(Fact, frozen=True):
    """Something that looks like a credential."""

    what: str
    masked: str


class Native(Fact, frozen=True):
    """Machine code or a script that an operating system runs."""

    form: str
    """`ELF`, `PE`, `Mach-O`, `script`, `WebAssembly`, ..."""
    details: str = ""


class Anomaly(Fact, frozen=True):
    """The bytes do something that an honest writer's do not. `what` is a rule's id."""

    what: str
    detail: str


class Requirement(Fact, frozen=True):
    """A package that the artifact asks for."""

    ecosystem: str
    name: str
    specifier: str = ""
    source: str = ""
    """An index, URL or path other than the default index."""


AnyFact = Artifact | Import | EmbeddedCode | Reference | Operator | Template | Secret | Native | Anomaly | Requirement

CoverageState = Literal["examined", "partial", "not-understood", "failed", "skipped"]


class Examination(msgspec.Struct, kw_only=True, omit_defaults=True):
    """All that was learnt of one subject."""

    subject: str
    size: int = -1
    """Bytes, -1 where unknown."""
    formats: list[str] = []
    facts: list[AnyFact] = []
    state: CoverageState = "examined"
    reason: str = ""
    """Why the state is not `examined`."""
