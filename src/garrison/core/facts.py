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


class Metric(msgspec.Struct, frozen=True, omit_defaults=True):
    """How well a model did at something, as its author says."""

    name: str
    value: str
    """As written."""
    dataset: str = ""
    """What it was measured on; empty where that is not said."""
    task: str = ""


class Link(msgspec.Struct, frozen=True):
    """An address that a description gives."""

    role: Literal["repository", "website", "paper", "licence", "documentation", "distribution"]
    target: str


class Description(Fact, frozen=True):
    """What a card, a configuration or a header says of a model or a data set. Nothing in it is held against the rest.

    Licences, types and names are as written; lists and texts are bounded by whoever states them.
    """

    about: Literal["model", "data-set"] = "model"
    name: str = ""
    version: str = ""
    summary: str = ""
    authors: tuple[str, ...] = ()
    released: str = ""
    """When it was made or published, as written."""
    licences: tuple[str, ...] = ()
    """Identifiers, expressions or names, that of most weight first."""
    task: str = ""
    """What it is for: `text-generation`, `image-classification`, ..."""
    approach: str = ""
    """How it learnt: `supervised`, `unsupervised`, `reinforcement-learning`, `semi-supervised`, `self-supervised`."""
    family: str = ""
    """The family of architectures: `llama`, `bert`, `unet`, ..."""
    architecture: str = ""
    """The class or graph: `LlamaForCausalLM`, `RandomForestClassifier`, ..."""
    parameters: int | None = None
    """Numbers in its tensors."""
    element_types: dict[str, int] = {}
    """How many numbers there are of each type, or how many tensors where that is all that is told."""
    quantisation: tuple[str, ...] = ()
    frameworks: dict[str, str] = {}
    """What made or loads it, with the version or nothing."""
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    settings: dict[str, str] = {}
    """Sizes and other constants that it was built with: `layers`, `context`, ..."""
    languages: tuple[str, ...] = ()
    """Natural ones, as codes or names."""
    tags: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    """What it was trained on; of a data set, what it was made from."""
    base_models: tuple[str, ...] = ()
    base_relation: str = ""
    """How it came from its base: `finetune`, `quantized`, `adapter`, `merge`."""
    metrics: tuple[Metric, ...] = ()
    emissions: dict[str, str] = {}
    """Of its training, in grams of CO2 equivalents under `emissions`, and where and on what it was trained."""
    content: tuple[str, ...] = ()
    """Of a data set: kinds of data and size, as written."""
    links: tuple[Link, ...] = ()


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
    hidden: str = ""
    """Why nobody sees the file that it is in, though it is there: `layer 4 of 6 deletes it`; else empty."""


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
    """A package that somebody asks for, with a range of versions or none: what manifests state."""

    ecosystem: str
    """The type of its package URL: `pypi`, `conda`, `npm`, `golang`, `cargo`, `cran`, ..."""
    name: str
    """As written."""
    specifier: str = ""
    """The range as the ecosystem writes it: `>=2,<3`, `^1.2`, `==1.0`; empty means any version."""
    source: str = ""
    """An index, URL or path other than the default index."""
    extras: tuple[str, ...] = ()
    marker: str = ""
    """The condition under which it counts, such as `python_version < "3.9"`."""
    group: str = ""
    """The extra, dependency group or section that it belongs to; empty means always."""
    hashes: tuple[str, ...] = ()
    """Digests that the installer will accept, as `sha256:…`."""
    constraint: bool = False
    """Limits the version if the package is installed, but does not ask for it."""


class Package(Fact, frozen=True):
    """One version of a package that is there or that a lock file fixes."""

    purl: str
    """Package URL: `pkg:pypi/numpy@1.26.4`, `pkg:deb/debian/openssl@3.0.11-1?distro=debian-12`."""
    ecosystem: str
    """The type of the package URL: `pypi`, `npm`, `golang`, `cargo`, `conda`, `deb`, `apk`, `rpm`, ..."""
    name: str
    """Normalised as the package URL has it, with its namespace: `@scope/name`, `github.com/owner/module`."""
    version: str
    state: Literal["locked", "installed", "archive", "listed", "resolved"]
    """Fixed by a lock file; installed; a wheel or an sdist; listed by a bill of materials; found by a resolver."""
    distribution: str = ""
    """Of an operating system's package: `debian:12`, `ubuntu:22.04`, `alpine:3.19`, `rhel:9`; else empty."""
    source_name: str = ""
    """The source package that an operating system's package was built from, where it has another name."""
    source_version: str = ""
    group: str = ""
    """The extra, dependency group or section that it belongs to; empty means always."""
    marker: str = ""
    source: str = ""
    """An index, URL or path other than the default index."""
    hashes: tuple[str, ...] = ()
    """Digests that the installer will accept, as `sha256:…`."""
    licences: tuple[str, ...] = ()
    """As stated: SPDX expressions, classifiers or free text."""
    dependencies: tuple[str, ...] = ()
    """Names of what it asks for."""
    direct: bool | None = None
    """Whether the project asks for it itself; `None` where the file does not tell."""


class PackageData(Fact, frozen=True):
    """What the record of an installed package lists beside its code, for its own code to read."""

    modules: tuple[str, ...]
    """The package's own top folders of Python."""
    files: tuple[str, ...]
    """Paths from the folder that the record's folder lies in."""


class Release(Fact, frozen=True):
    """What a package index says of a package in use, or said when a scan was last allowed to ask it."""

    ecosystem: str
    name: str
    version: str = ""
    """The version in use; empty where a manifest fixes none."""
    uploaded: str = ""
    """When it was uploaded, ISO 8601; empty where the index does not say."""
    yanked: bool = False
    yanked_reason: str = ""
    latest: str = ""
    """The newest version that is no pre-release and not yanked."""
    latest_uploaded: str = ""
    days_behind: int | None = None
    """Days between the uploads of the version in use and the latest."""
    releases_behind: int | None = None
    """Releases that are newer than the one in use, without pre-releases and yanked ones."""
    status: str = ""
    """What the index says of the whole project: `archived`, `deprecated` or `quarantined`; empty for none of them."""
    status_reason: str = ""
    index: str = ""
    """The index's address, without credentials."""
    public: bool = False
    """Whether anyone can register a name at the index."""
    asked: str = ""
    """When the index was asked, ISO 8601; empty where it never answered."""
    problem: str = ""
    """Why nothing is known: `no such package`, `no such version`, or why the index did not answer."""


class OperatingSystem(Fact, frozen=True):
    """The distribution of an image, a root file system or a host."""

    id: str
    """As `/etc/os-release` has it: `debian`, `ubuntu`, `alpine`, `rhel`, ..."""
    version: str
    name: str = ""


class FileMode(Fact, frozen=True):
    """A file of an image, a root file system or a host whose permissions matter."""

    path: str
    mode: int
    """Permission bits, with setuid, setgid and sticky."""
    owner: int
    group: int = 0
    directory: bool = False
    package: str = ""
    """The operating system's package that the file belongs to, if any."""


class Setting(Fact, frozen=True):
    """One thing that an image or a host says of itself: its user, its ports, a probe of its hardware or kernel."""

    topic: str
    """What it is about: `user`, `exposed-port`, `cpu-vulnerability`, `secure-boot`, `livepatch`, ..."""
    name: str
    state: Literal["value", "absent", "unreadable", "not-applicable"] = "value"
    value: str = ""
    origin: str = ""
    """The file or the command that says so."""


class Measurement(Fact, frozen=True):
    """One number that was measured of a model: its accuracy, as it is or under attack, or what it gives away."""

    name: str
    """`accuracy`, `robust-accuracy`, `membership-tpr-at-0.001`, ..."""
    value: float
    samples: int
    lower: float | None = None
    upper: float | None = None
    """Of its 95 % confidence interval."""
    attack: str = ""
    norm: str = ""
    epsilon: float | None = None
    """The attacker's budget."""


class Doubt(Fact, frozen=True):
    """A check of a measurement that failed: what was measured may deceive."""

    check: str
    seen: str
    advice: str = ""


class SuspectedTrigger(Fact, frozen=True):
    """A small change sends inputs of every class to one class."""

    label: str
    success: float
    """Share of the inputs that it sends there."""
    anomaly_index: float


AnyFact = (
    Artifact
    | Description
    | Import
    | EmbeddedCode
    | Reference
    | Operator
    | Template
    | Secret
    | Native
    | Anomaly
    | Requirement
    | Package
    | PackageData
    | Release
    | OperatingSystem
    | FileMode
    | Setting
    | Measurement
    | Doubt
    | SuspectedTrigger
)

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
