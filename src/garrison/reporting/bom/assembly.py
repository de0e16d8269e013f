"""From a report to a bill of materials. What no file says is not in it."""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from garrison.core.facts import Artifact, Description, Reference
from garrison.core.report import Item, Report
from garrison.reporting.bom.bill import Bill, DataSet, Evidence, Model, Vocabulary, container_of
from garrison.reporting.bom.grouping import Group, enclosing, folder_of, groups
from garrison.reporting.bom.packages import BILLS, Packages, licences

_GAPS = frozenset({"failed", "partial", "not-understood"})
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,12}$")
_SIGNATURES = (".sig", ".sigstore", ".sigstore.json")
_SIGNING = "https://model_signing/"
"""Predicates with which a model's files are signed."""
_ATTESTATIONS = ".attestations/"
_CACHED = re.compile(r"(?:^|/)(models|datasets)--([^/]+)/snapshots/([0-9a-f]{40})$")
"""Where the cache of the Hugging Face Hub keeps a revision of a repository (huggingface_hub, "Understand caching")."""
_VERSIONS = {
    "tensorflow_version": "tensorflow",
    "keras_version": "keras",
    "mxnet_version": "mxnet",
    "paddle_version": "paddle",
    "ort_version": "onnxruntime",
    "coremltools": "coremltools",
}
"""Details in which formats tell what wrote them."""
_NUMBERS = ("parameters", "element_types")
_EVERYWHERE = ("quantisation", "frameworks", "licences")
"""What parts below a model's directory say of the whole; of the rest they speak for themselves."""


def assemble(report: Report, vocabulary: Vocabulary | None = None, called: Mapping[str, str] | None = None) -> Bill:
    """The bill of what a report's inventory holds.

    `called` has the absolute path of each directory that was given, since `.` is no name.
    """
    words = vocabulary or Vocabulary()
    files: dict[str, Item] = {}
    for item in sorted(report.inventory, key=lambda item: item.subject):
        files.setdefault(item.subject, item)
    inside = _inside(files)
    attestations: dict[str, list[str]] = {}
    for subject in files:
        model, found, _ = subject.partition(_ATTESTATIONS)
        if found:
            attestations.setdefault(model, []).append(subject)
    makers = [_Maker(files, inside, attestations, group, words, called or {}) for group in groups(files)]
    packages = Packages(files, words)
    listed = list(_listed(files, words, {maker.group.key for maker in makers}))
    models = [maker.model(packages.asked) for maker in makers if maker.group.about == "model"]
    models += [one for one in listed if isinstance(one, Model)]
    datasets = [maker.dataset() for maker in makers if maker.group.about == "data-set"]
    datasets += [one for one in listed if isinstance(one, DataSet)]
    models += _bases(models)
    datasets += _named_datasets(models, datasets)
    return Bill(
        tool=report.tool,
        made=report.started,
        subjects=report.subjects,
        files=files,
        models=tuple(_resolved(models, datasets)),
        datasets=tuple(datasets),
        libraries=packages.libraries,
        gaps=tuple(entry for entry in report.coverage.entries if entry.state in _GAPS),
        interrupted=report.coverage.interrupted,
    )


def _inside(files: dict[str, Item]) -> dict[str, list[str]]:
    """All that lies in each subject, at any depth."""
    found: dict[str, list[str]] = {}
    for subject in files:
        outer = container_of(subject, files)
        while outer:
            found.setdefault(outer, []).append(subject)
            outer = container_of(outer, files)
    return found


class _Maker:
    """Makes a model or a data set of a group of files."""

    def __init__(
        self,
        files: dict[str, Item],
        inside: dict[str, list[str]],
        attestations: dict[str, list[str]],
        group: Group,
        words: Vocabulary,
        called: Mapping[str, str],
    ) -> None:
        self.group = group
        self._files = files
        self._inside = inside
        self._attestations = attestations
        self._words = words
        self._whole = group.files[0] if group.files == (group.key,) else ""
        self._top = folder_of(group.key)
        place = called.get(self._top, self._top)
        self._cached = _CACHED.search(place) if group.key.endswith("/") else None
        self._name = self._plain_name(place)
        self._said = list(self._descriptions())

    def _plain_name(self, place: str) -> str:
        key = self.group.key
        if self._cached:
            return self._cached[2].replace("--", "/")
        if key.endswith("/"):
            return posixpath.basename(place.rstrip("!")) or place
        return _ENDING.sub("", posixpath.basename(key)) or key

    def model(self, asked: Mapping[str, tuple[str, ...]]) -> Model:
        says = self._merged()
        formats = dict.fromkeys(name for one in self.group.files for name in self._files[one].formats)
        return Model(
            key=self.group.key,
            name=self._name if self._cached else says.name or self._name,
            purl=self._words.address("huggingface", self._name, self._cached[3]) if self._cached else "",
            file=self._whole,
            files=self.group.files,
            formats=tuple(formats),
            says=says,
            licences=licences(says.licences, self._words),
            datasets=says.datasets,
            tests=tuple(dict.fromkeys(metric.dataset for metric in says.metrics if metric.dataset)),
            bases=says.base_models,
            packages=next((asked[folder] for folder in enclosing(self._top) if folder in asked), ()),
            evidence=tuple(self._evidence()),
            incomplete=self._lacks_shards(),
        )

    def dataset(self) -> DataSet:
        says = self._merged()
        return DataSet(
            key=self.group.key,
            name=self._name if self._cached else says.name or self._name,
            files=self.group.files,
            says=says,
            licences=licences(says.licences, self._words),
        )

    def _descriptions(self) -> Iterator[tuple[str, Description]]:
        """What its files say with where they lie: cards first, then configurations, then weights, the top first."""
        found: list[tuple[int, int, str, Description]] = []
        for subject in self._members():
            item = self._files[subject]
            for fact in item.facts:
                if type(fact) is Description and fact.about == self.group.about:
                    rank = 0 if "model-card" in item.formats else 2 if fact.parameters else 1
                    found.append((subject.count("/") - self._top.count("/"), rank, subject, fact))
        for _, _, subject, fact in sorted(found, key=lambda entry: entry[:3]):
            yield subject, fact

    def _members(self) -> Iterator[str]:
        """Its files and all that lies in them."""
        for subject in self.group.files:
            yield subject
            yield from self._inside.get(subject, ())

    def _merged(self) -> Description:
        """One description: the first that says a thing is believed, and lists are joined."""
        whole: dict[str, Any] = {"about": self.group.about}
        # A package may keep its one model deep inside.
        top = folder_of(self._said[0][0]) if self._said else self._top
        for subject, fact in self._said:
            below = folder_of(subject) != top and not subject.startswith(f"{self._whole}!/")
            for field, value in msgspec.structs.asdict(fact).items():
                if field in ("about", "place", *_NUMBERS) or not value or (below and field not in _EVERYWHERE):
                    continue
                before = whole.get(field)
                if before is None:
                    whole[field] = value
                elif isinstance(value, tuple) and field not in ("licences", "authors"):
                    whole[field] = tuple(dict.fromkeys((*before, *value)))
                elif isinstance(value, dict):
                    whole[field] = {**value, **{key: one for key, one in before.items() if one or key not in value}}
        if self._cached:
            whole["version"] = self._cached[3]
        self._fall_back(whole)
        whole |= self._numbers()
        return Description(**whole)

    def _fall_back(self, whole: dict[str, Any]) -> None:
        """What formats that describe nothing say of their framework and their licence."""
        said: dict[str, str] = {}
        for subject in self.group.files:
            facts = self._files[subject].facts
            silent = not any(type(fact) is Description and fact.frameworks for fact in facts)
            for fact in facts:
                if type(fact) is Artifact:
                    said.update(_frameworks(fact.details) if silent else ())
                    licence = fact.details.get("licence") or fact.details.get("license")
                    if isinstance(licence, str) and licence:
                        whole.setdefault("licences", (licence,))
        if self.group.about == "model":
            frameworks = whole.get("frameworks", {})
            whole["frameworks"] = {**said, **{key: one for key, one in frameworks.items() if one or key not in said}}

    def _numbers(self) -> dict[str, Any]:
        """How many numbers there are, and of what types, where all copies of the weights agree.

        A directory may hold the same weights in several formats, in shards; the directories of a pipeline are parts.
        """
        sums: dict[str, dict[str, tuple[int, dict[str, int]]]] = {}
        for subject, fact in self._said:
            if fact.parameters:
                copies = sums.setdefault(folder_of(subject), {})
                copy = re.sub(r"[-_.]?\d{4,6}-of-\d{4,6}", "", subject)
                total, counts = copies.get(copy, (0, {}))
                keys = (*counts, *fact.element_types)
                joined = {key: counts.get(key, 0) + fact.element_types.get(key, 0) for key in keys}
                copies[copy] = total + fact.parameters, joined
        if not sums or self._lacks_shards():
            return {}
        parts = list(sums.values()) if self.group.pipeline else [next(iter(sums.values()))]
        if any(len({total for total, _ in copies.values()}) > 1 for copies in parts):
            return {}
        types: dict[str, int] = {}
        for copies in parts:
            kinds = [kinds for _, kinds in copies.values() if kinds]
            if any(one != kinds[0] for one in kinds):
                return {"parameters": sum(next(iter(copies.values()))[0] for copies in parts)}
            for key, count in kinds[0].items() if kinds else ():
                types[key] = types.get(key, 0) + count
        return {"parameters": sum(next(iter(copies.values()))[0] for copies in parts), "element_types": types}

    def _lacks_shards(self) -> bool:
        return any(
            type(fact) is Reference
            and fact.role == "external-data"
            and posixpath.normpath(posixpath.join(folder_of(subject), fact.target)) not in self._files
            for subject in self.group.files
            for fact in self._files[subject].facts
        )

    def _evidence(self) -> Iterator[Evidence]:
        """Signatures inside a directory or beside a file, and the attestations beside either."""
        place = self.group.key.rstrip("/")
        beside = [f"{place}{end}" for end in _SIGNATURES] if self._whole else self.group.files
        for subject in (*beside, *self._attestations.get(place, ())):
            item = self._files.get(subject)
            for fact in item.facts if item is not None else ():
                if type(fact) is Artifact and fact.format == "signature":
                    predicate = str(fact.details.get("predicate", ""))
                    root = str(fact.details.get("sha256", ""))
                    signs = predicate.startswith(_SIGNING)
                    yield Evidence(subject=subject, predicate=predicate, root=root, signature=signs)


def _frameworks(details: dict[str, str | int | float | bool]) -> Iterator[tuple[str, str]]:
    framework, version = details.get("framework"), details.get("version")
    if isinstance(framework, str) and framework:
        yield framework, version if isinstance(version, str) and "." in version else ""
    for key, name in _VERSIONS.items():
        if isinstance(told := details.get(key), str) and told:
            yield name, told


def _listed(files: dict[str, Item], words: Vocabulary, taken: set[str]) -> Iterator[Model | DataSet]:
    """Models and data sets that bills of materials among the files list, with keys that are not taken."""
    for subject, item in files.items():
        if not BILLS.intersection(item.formats):
            continue
        for number, fact in enumerate(fact for fact in item.facts if type(fact) is Description):
            key = _free(f"{subject}#{number}", taken)
            stated = licences(fact.licences, words)
            name = fact.name or key
            if fact.about == "data-set":
                yield DataSet(key=key, name=name, says=fact, licences=stated)
                continue
            yield Model(
                key=key,
                name=name,
                says=fact,
                licences=stated,
                datasets=fact.datasets,
                tests=tuple(dict.fromkeys(metric.dataset for metric in fact.metrics if metric.dataset)),
                bases=fact.base_models,
            )


def _bases(models: Sequence[Model]) -> list[Model]:
    """Models that others were made from and that are not there."""
    there = {model.name for model in models}
    own = {model.name for model in models if model.name in model.bases}
    named = sorted({base for model in models for base in model.bases if base not in there} | own)
    taken = {model.key for model in models}
    return [
        Model(key=_free(f"named {name}", taken), name=name, says=Description(about="model", name=name), named_only=True)
        for name in named
    ]


def _free(key: str, taken: set[str]) -> str:
    """The key, marked where something else has it, and taken from now on: a path or a name may be any text."""
    while key in taken:
        key += "'"
    taken.add(key)
    return key


def _named_datasets(models: Sequence[Model], datasets: Sequence[DataSet]) -> list[DataSet]:
    there = {dataset.name for dataset in datasets}
    named = sorted({one for model in models for one in (*model.datasets, *model.tests)} - there)
    taken = {dataset.key for dataset in datasets}
    return [
        DataSet(
            key=_free(f"named {name}", taken), name=name, says=Description(about="data-set", name=name), named_only=True
        )
        for name in named
    ]


def _resolved(models: Sequence[Model], datasets: Sequence[DataSet]) -> Iterator[Model]:
    """With keys in place of the names by which models speak of each other and of data sets."""
    keys = {dataset.name: dataset.key for dataset in reversed(datasets)}
    bases = {model.name: model.key for model in reversed(models)}
    elsewhere = {model.name: model.key for model in models if model.named_only}
    for model in models:
        yield msgspec.structs.replace(
            model,
            datasets=tuple(keys[name] for name in model.datasets),
            tests=tuple(keys[name] for name in model.tests),
            bases=tuple((elsewhere if name == model.name else bases)[name] for name in model.bases),
        )
