"""SPDX 3.0.1 as JSON-LD, with the profiles Core, Software, SimpleLicensing, AI and Dataset.

https://spdx.github.io/spdx-spec/v3.0.1/. The AI and Dataset profiles want a declared and a concluded licence of each
package, so that what nothing is said of has `NoAssertionLicense`; times and suppliers are stated only where a file
tells them.
"""

import datetime
import hashlib
import re
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from garrison.core.facts import Description
from garrison.reporting.bom.addresses import digests, web_address
from garrison.reporting.bom.bill import Bill, DataSet, Library, Licence, Model, container_of
from garrison.reporting.bom.grouping import is_model
from garrison.reporting.json_text import json_text
from garrison.reporting.text import printable

_SPECIFICATION = "3.0.1"
_CONTEXT = f"https://spdx.org/rdf/{_SPECIFICATION}/spdx-context.jsonld"
_CREATION = "_:creation"
_NO_ASSERTION = "expandedlicensing_NoAssertionLicense"
_LINKS = {
    "repository": "vcs",
    "website": "altWebPage",
    "paper": "documentation",
    "licence": "license",
    "documentation": "documentation",
    "distribution": "altDownloadLocation",
}
_LICENCE = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")
_KINDS = ("audio", "graph", "image", "text", "timeseries", "video")
"""Data set types of SPDX that the tags and tasks of the Hub name."""

_Table = dict[str, Any]


def render(bill: Bill) -> str:
    """The bill as a document of its own; the same bill gives the same bytes."""
    draft = json_text(_Graph(bill, "urn:uuid:draft").document())
    name = uuid.uuid5(uuid.NAMESPACE_URL, "garrison:" + hashlib.sha256(draft.encode()).hexdigest())
    return json_text(_Graph(bill, f"urn:uuid:{name}").document())


class _Graph:
    """Makes the elements. An identifier is the document's name with the kind and the number of the element."""

    def __init__(self, bill: Bill, base: str) -> None:
        self._bill = bill
        self._base = base
        self._elements: list[_Table] = []
        self._identifiers: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}
        self._relations: dict[tuple[str, str], dict[str, None]] = {}

    def document(self) -> _Table:
        """The whole graph, the document first."""
        bill = self._bill
        tool = self._add("tool", "garrison", "Tool", name=f"{bill.tool.name} {bill.tool.version}")
        author = self._add("agent", "garrison", "SoftwareAgent", name=bill.tool.name)
        creation = {
            "type": "CreationInfo",
            "@id": _CREATION,
            "specVersion": _SPECIFICATION,
            "created": bill.made.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "createdBy": [author],
            "createdUsing": [tool],
        }
        for subject in bill.files:
            self._file(subject)
        for library in bill.libraries:
            self._library(library)
        for dataset in bill.datasets:
            self._dataset(dataset)
        for model in bill.models:
            self._model(model)
        self._relate()
        roots = self._roots()
        self._write_relations()
        listed = [element["spdxId"] for element in self._elements]
        sbom = self._add(
            "sbom",
            "",
            "software_Sbom",
            rootElement=roots or listed[:1],
            element=listed,
            profileConformance=self._profiles(),
            software_sbomType=["analyzed"],
        )
        self._add(
            "document",
            "",
            "SpdxDocument",
            name=printable(", ".join(bill.subjects))[:300],
            comment="\n".join(self._gaps()),
            rootElement=[sbom],
            element=[*listed, sbom],
            profileConformance=self._profiles(),
        )
        document, held = self._elements.pop(), self._elements.pop()
        return {"@context": _CONTEXT, "@graph": [creation, document, held, *self._elements]}

    def _add(self, kind: str, key: str, type: str, **fields: Any) -> str:
        identifier = self._identifier(kind, key)
        said = {name: value for name, value in fields.items() if value}
        self._elements.append({"type": type, "spdxId": identifier, "creationInfo": _CREATION, **said})
        return identifier

    def _identifier(self, kind: str, key: str) -> str:
        if (kind, key) not in self._identifiers:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._identifiers[kind, key] = f"{self._base}#{kind}-{self._counts[kind]}"
        return self._identifiers[kind, key]

    def _profiles(self) -> list[str]:
        profiles = ["core", "software", "simpleLicensing"]
        return profiles + ["ai"] * bool(self._bill.models) + ["dataset"] * bool(self._bill.datasets)

    def _roots(self) -> list[str]:
        """What the bill is about: models and data sets that are there, else the files and directories as given."""
        bill = self._bill
        found = [self._identifier("model", one.key) for one in bill.models if not one.named_only]
        found += [self._identifier("data", one.key) for one in bill.datasets if not one.named_only]
        return found or [self._given(subject) for subject in dict.fromkeys(bill.subjects)]

    def _given(self, subject: str) -> str:
        if subject in self._bill.files:
            return self._identifier("file", subject)
        directory = self._add(
            "directory", subject, "software_File", name=printable(subject) or ".", software_fileKind="directory"
        )
        for inner in self._bill.files:
            if inner.startswith(f"{subject.rstrip('/')}/") and not container_of(inner, self._bill.files):
                self._link(directory, "contains", self._identifier("file", inner))
        return directory

    def _gaps(self) -> Iterator[str]:
        for gap in self._bill.gaps:
            yield printable(f"{gap.state}: {gap.subject}: {gap.reason}")
        if self._bill.interrupted:
            yield "interrupted: the scan was stopped before its end"

    def _file(self, subject: str) -> None:
        item = self._bill.files[subject]
        identifier = self._add(
            "file",
            subject,
            "software_File",
            name=printable(subject) or "unnamed",
            comment=printable(", ".join(item.formats)),
            verifiedUsing=_hashes([f"sha256:{item.sha256}"] if item.sha256 else []),
            software_primaryPurpose="model" if is_model(item) else "file",
            software_fileKind="file",
        )
        outer = container_of(subject, self._bill.files)
        if outer:
            self._link(self._identifier("file", outer), "contains", identifier)

    def _library(self, library: Library) -> None:
        identifier = self._add(
            "package",
            library.key,
            "software_Package",
            name=printable(library.name) or "unnamed",
            comment=printable(f"requirement: {library.specifier}") if library.specifier else "",
            verifiedUsing=_hashes(library.hashes),
            software_packageVersion=printable(library.version),
            software_packageUrl=printable(library.purl),
            software_sourceInfo=printable(", ".join(library.sources)),
            software_primaryPurpose="library",
        )
        if library.licences:
            self._licensed(identifier, library.licences)

    def _dataset(self, dataset: DataSet) -> None:
        says = dataset.says
        identifier = self._add(
            "data",
            dataset.key,
            "dataset_DatasetPackage",
            name=printable(dataset.name) or "unnamed",
            **self._described(says),
            software_primaryPurpose="data",
            dataset_datasetType=_types(says),
            dataset_intendedUse=printable(", ".join(says.content)),
        )
        self._licensed(identifier, dataset.licences)
        for subject in dataset.files:
            self._link(identifier, "contains", self._identifier("file", subject))

    def _model(self, model: Model) -> None:
        says = model.says
        own = self._bill.files[model.file].sha256 if model.file else None
        identifier = self._add(
            "model",
            model.key,
            "ai_AIPackage",
            name=printable(model.name) or "unnamed",
            **self._described(says),
            software_packageUrl=model.purl,
            verifiedUsing=_hashes([f"sha256:{own}"] if own else []),
            software_primaryPurpose="model",
            ai_domain=[printable(says.task)] if says.task else [],
            ai_hyperparameter=_entries(_settings(says)),
            ai_informationAboutApplication=printable("; ".join(_application(says))),
            ai_informationAboutTraining=printable("; ".join(_training(says))),
            ai_metric=_entries(
                (f"{one.name} [{one.dataset}]" if one.dataset else one.name, one.value) for one in says.metrics
            ),
            ai_typeOfModel=[printable(one) for one in (says.family, says.architecture) if one],
        )
        self._licensed(identifier, model.licences)
        for subject in model.files:
            self._link(identifier, "contains", self._identifier("file", subject))
            if "model-card" in self._bill.files[subject].formats:
                self._link(identifier, "hasDocumentation", self._identifier("file", subject))
        for one in model.evidence:
            self._link(identifier, "hasEvidence", self._identifier("file", one.subject))

    def _described(self, says: Description) -> _Table:
        """What any package may say."""
        authors = [self._agent(author) for author in says.authors]
        links = [(link, web_address(link.target)) for link in says.links]
        repository = next(
            (address for link, address in links if link.role in ("distribution", "repository") and address), ""
        )
        return {
            "description": printable(says.summary),
            "externalRef": [
                {"type": "ExternalRef", "externalRefType": _LINKS[link.role], "locator": [address]}
                for link, address in links
                if address
            ],
            "originatedBy": authors,
            "suppliedBy": authors[0] if authors else "",
            "releaseTime": _time(says.released),
            "software_packageVersion": printable(says.version),
            "software_downloadLocation": repository,
        }

    def _agent(self, name: str) -> str:
        if ("agent", f"named {name}") in self._identifiers:
            return self._identifiers["agent", f"named {name}"]
        return self._add("agent", f"named {name}", "Agent", name=printable(name))

    def _licensed(self, identifier: str, licences: tuple[Licence, ...]) -> None:
        """What is declared; nobody has concluded anything."""
        declared = [self._licence(one) for one in licences]
        for one in declared or [_NO_ASSERTION]:
            self._link(identifier, "hasDeclaredLicense", one)
        self._link(identifier, "hasConcludedLicense", _NO_ASSERTION)

    def _licence(self, licence: Licence) -> str:
        key = licence.expression or licence.stated
        kind = "licence" if licence.expression else "licence-text"
        if (kind, key) in self._identifiers:
            return self._identifiers[kind, key]
        if not licence.expression:
            return self._text(key, printable(key))
        own = dict.fromkeys(_LICENCE.findall(key))
        texts = [
            {"type": "DictionaryEntry", "key": one, "value": self._text(one, printable(licence.stated))} for one in own
        ]
        return self._add(
            kind,
            key,
            "simplelicensing_LicenseExpression",
            simplelicensing_licenseExpression=printable(key),
            simplelicensing_customIdToUri=texts,
        )

    def _text(self, name: str, stated: str) -> str:
        """A licence that SPDX's list does not have: no more than what it is called is known."""
        if ("licence-text", name) in self._identifiers:
            return self._identifiers["licence-text", name]
        return self._add(
            "licence-text",
            name,
            "simplelicensing_SimpleLicensingText",
            name=printable(name),
            simplelicensing_licenseText=stated,
        )

    def _relate(self) -> None:
        """Models with what they were made from and with, packages with packages."""
        for model in self._bill.models:
            start = self._identifier("model", model.key)
            for kind, what, keys in (
                ("descendantOf", "model", model.bases),
                ("trainedOn", "data", model.datasets),
                ("testedOn", "data", model.tests),
                ("dependsOn", "package", model.packages),
            ):
                for key in keys:
                    self._link(start, kind, self._identifier(what, key))
        for library in self._bill.libraries:
            for key in library.dependencies:
                self._link(self._identifier("package", library.key), "dependsOn", self._identifier("package", key))

    def _link(self, start: str, kind: str, end: str) -> None:
        self._relations.setdefault((start, kind), {})[end] = None

    def _write_relations(self) -> None:
        """One for each start and kind, with all ends."""
        partial = {self._identifier("file", gap.subject) for gap in self._bill.gaps if gap.subject in self._bill.files}
        partial |= {self._identifier("model", model.key) for model in self._bill.models if model.incomplete}
        for (start, kind), ends in self._relations.items():
            open_ended = kind == "contains" and (start in partial or not partial.isdisjoint(ends))
            self._add(
                "relationship",
                f"{start} {kind}",
                "Relationship",
                relationshipType=kind,
                to=list(ends),
                completeness="incomplete" if open_ended else "",
                **{"from": start},
            )


def _hashes(hashes: Iterable[str]) -> list[_Table]:
    return [{"type": "Hash", "algorithm": name, "hashValue": digest} for name, digest in digests(hashes, 2)]


def _entries(pairs: Iterable[tuple[str, str]]) -> list[_Table]:
    return [
        {"type": "DictionaryEntry", "key": printable(key), "value": printable(value)} for key, value in pairs if key
    ]


def _settings(says: Description) -> Iterator[tuple[str, str]]:
    if says.parameters is not None:
        yield "parameters", str(says.parameters)
    for value in says.quantisation:
        yield "quantisation", value
    for key, count in says.element_types.items():
        yield f"element type {key}", str(count)
    for key, version in says.frameworks.items():
        yield f"framework {key}", version
    yield from says.settings.items()


def _application(says: Description) -> Iterator[str]:
    for name, values in (("languages", says.languages), ("inputs", says.inputs), ("outputs", says.outputs)):
        if values:
            yield f"{name}: {', '.join(values)}"


def _training(says: Description) -> Iterator[str]:
    if says.approach:
        yield f"approach: {says.approach}"
    if says.base_relation:
        yield f"relation to the base model: {says.base_relation}"
    for key, value in says.emissions.items():
        yield f"{'grams of CO2 equivalents' if key == 'emissions' else key.replace('_', ' ')}: {value}"


def _types(says: Description) -> list[str]:
    """What kind of data it is, by the tags `modality:…` of the Hub."""
    modalities = {tag.partition(":")[2] for tag in says.tags if tag.startswith("modality:")}
    modalities |= {"structured"} if "tabular" in modalities else set()
    return sorted(modalities & {*_KINDS, "structured"}) or ["noAssertion"]


def _time(text: str) -> str:
    """A moment as SPDX writes it; a date alone, or a time of no zone, is none."""
    try:
        moment = datetime.datetime.fromisoformat(text)
        moment = moment.astimezone(datetime.UTC) if moment.tzinfo is not None else moment
    except (ValueError, OverflowError):
        return ""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment.tzinfo is not None and moment.year >= 1000 else ""
