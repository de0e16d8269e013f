"""Which files make up one model or one data set.

A directory is one where it holds the configuration or the card of one: a repository of the Hugging Face family, an
MLflow model, a SavedModel, a CoreML package. Elsewhere a model is a file, with its shards and the data it refers to.
"""

import posixpath
import re
from collections.abc import Iterator

import msgspec

from garrison.core.facts import Artifact, Description, Reference
from garrison.core.registry import formats
from garrison.core.report import Item
from garrison.reporting.bom.bill import container_of

_WHOLE = frozenset(
    {"sentence-transformers", "mlflow-model", "coreml-package", "torchserve-manifest", "tensorflow-savedmodel"}
    | {"spacy-meta"}
)
"""What describes all that lies below its directory, the models among it as its parts."""
_PIPELINE = "model_index.json"
_CONFIGURATIONS = _WHOLE | {"transformers-config", "peft-adapter", "diffusers-config", "tensorflow-js"}
_PARTS = frozenset(
    {"coreml-weights", "paddle-parameters", "mxnet-parameters", "raw-data", "tensorflow-fingerprint", "keras-metadata"}
    | {"tensorflow-checkpoint-data", "tensorflowjs-weights", "executorch-data", "ocdbt-manifest", "triton"}
)
"""Formats that are no model without another file."""
_SHARD = re.compile(r"(.+?)[-_.]?\d{4,6}-of-\d{4,6}(\.[^/]+)?$")
_CARD = re.compile(r"(?:readme|model_?card|dataset_?card)[^/]*$", re.IGNORECASE)


class Group(msgspec.Struct, frozen=True):
    """Files that belong together; `key` is their directory with a slash, or for shards and single files a path."""

    key: str
    about: str
    """`model` or `data-set`."""
    files: tuple[str, ...]
    pipeline: bool = False


def folder_of(subject: str) -> str:
    """The directory or the container that a subject lies in; empty for the top."""
    return subject.rpartition("/")[0]


def enclosing(folder: str) -> Iterator[str]:
    """The folder and those around it, the nearest first."""
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]
    yield ""


def is_model(item: Item) -> bool:
    """Whether it is of a model's format."""
    known = formats()
    return any(name in known and known[name].model for name in item.formats)


def groups(files: dict[str, Item]) -> tuple[Group, ...]:
    """All models and data sets that the files are, in the order of their keys."""
    inside = {subject for subject in files if _in_model(subject, files)}
    outer = [subject for subject in files if subject not in inside]
    roots = _roots({subject: files[subject] for subject in outer})
    owned: dict[str, list[str]] = {root: [] for root in roots}
    loose: list[str] = []
    for subject in outer:
        root = next((folder for folder in enclosing(folder_of(subject)) if folder in roots), None)
        if root is None:
            loose.append(subject)
        elif container_of(subject, files) not in owned[root]:
            owned[root].append(subject)
    found = [
        Group(f"{root}/", about, tuple(owned[root]), pipeline)
        for root, (about, pipeline) in roots.items()
        if about == "data-set" or _is_there(owned[root], files)
    ]
    kept = {group.key for group in found}
    loose += [subject for root in roots if f"{root}/" not in kept for subject in owned[root]]
    found += _single(sorted(loose), files)
    return tuple(sorted(found, key=lambda group: (group.about, group.key)))


def _in_model(subject: str, files: dict[str, Item]) -> bool:
    """Whether it is a member of a file that is a model itself, as a pickle in a PyTorch archive is."""
    outer = container_of(subject, files)
    while outer:
        if is_model(files[outer]):
            return True
        outer = container_of(outer, files)
    return False


def _roots(files: dict[str, Item]) -> dict[str, tuple[str, bool]]:
    """Directories that are one thing, with what they are and whether their parts are models too."""
    found: dict[str, tuple[str, bool]] = {}
    with_models = {folder_of(subject) for subject, item in files.items() if is_model(item)}
    for subject, item in files.items():
        folder, name = folder_of(subject), posixpath.basename(subject)
        for fact in item.facts:
            about, pipeline = "", False
            if type(fact) is Artifact and fact.format in _CONFIGURATIONS:
                about, pipeline = "model", fact.format in _WHOLE or name == _PIPELINE
            elif type(fact) is Description and "model-card" in item.formats and _CARD.match(name):
                about = fact.about if _tells(fact) or folder in with_models else ""
            if about and (folder not in found or about == "model"):
                found[folder] = about, pipeline or found.get(folder, ("", False))[1]
    # What lies in a pipeline is a part of it.
    return {
        folder: entry
        for folder, entry in sorted(found.items())
        if not any(found.get(outer, ("", False))[1] for outer in enclosing(folder) if outer != folder)
    }


def _tells(card: Description) -> bool:
    """Whether a card speaks of a model for sure: a licence alone stands in the head of many a document."""
    return card.about == "data-set" or bool(
        card.task or card.base_models or card.datasets or card.frameworks or card.metrics
    )


def _is_there(subjects: list[str], files: dict[str, Item]) -> bool:
    """Whether more is there than a configuration: weights, pointers to them or a card that tells of them."""
    for subject in subjects:
        item = files[subject]
        if is_model(item) or "lfs-pointer" in item.formats:
            return True
        for fact in item.facts:
            if type(fact) is Reference and fact.role == "external-data":
                return True
            if type(fact) is Description and "model-card" in item.formats and _tells(fact):
                return True
    return False


def _single(subjects: list[str], files: dict[str, Item]) -> Iterator[Group]:
    """Models outside any directory that is one: shards together, and each with the data that it refers to."""
    there = set(subjects)
    leader: dict[str, str] = {}
    for subject in subjects:
        targets = [target for target in _referred(subject, files[subject]) if target in there and target != subject]
        if targets and is_model(files[subject]):
            leader.update({target: _family(subject) for target in targets if target not in leader})
        elif targets and is_model(files[targets[0]]):
            leader.update({one: _family(targets[0]) for one in (*targets, subject) if one not in leader})
    families: dict[str, list[str]] = {}
    for subject in subjects:
        if subject in leader:
            families.setdefault(leader[subject], []).append(subject)
        elif is_model(files[subject]) and not _PARTS.issuperset(files[subject].formats):
            families.setdefault(_family(subject), []).append(subject)
    for key, members in families.items():
        yield Group(members[0] if len(members) == 1 else key, "model", tuple(members))


def _referred(subject: str, item: Item) -> Iterator[str]:
    """Files beside or below it that it keeps tensors in."""
    for fact in item.facts:
        if type(fact) is Reference and fact.role == "external-data":
            yield posixpath.normpath(posixpath.join(folder_of(subject), fact.target.replace("\\", "/")))


def _family(subject: str) -> str:
    """The path without the number of a shard."""
    found = _SHARD.match(subject)
    return f"{found[1]}{found[2] or ''}" if found else subject
