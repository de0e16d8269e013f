"""CycloneDX in JSON, version 1.6 and 1.7, with model cards and data sets.

https://cyclonedx.org/docs/1.6/json/ (ECMA-424). Written as plain values, since the libraries at hand drop fields.
"""

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from garrison.core.facts import Artifact, Description
from garrison.core.report import Item
from garrison.reporting.bom.addresses import References, digests, path_address, web_address
from garrison.reporting.bom.bill import Bill, DataSet, Library, Licence, Model, container_of
from garrison.reporting.json_text import json_text
from garrison.reporting.text import printable

_VALUE = 500
_VERSION = 1000
_PLACES = 100
_LINKS = {
    "repository": "vcs",
    "website": "website",
    "paper": "documentation",
    "licence": "license",
    "documentation": "documentation",
    "distribution": "distribution",
}
_APPROACHES = frozenset({"supervised", "unsupervised", "reinforcement-learning", "semi-supervised", "self-supervised"})

_Table = dict[str, Any]


def render(bill: Bill, version: str = "1.6") -> str:
    """The bill as a document of its own; the same bill gives the same bytes."""
    writer = Writer(bill, version)
    whole = _whole(bill)
    body = writer.body(whole)
    return sealed(body, version)


def sealed(body: _Table, version: str) -> str:
    """The document around `body`, with a serial number that is made from it."""
    serial = uuid.uuid5(uuid.NAMESPACE_URL, "garrison:" + hashlib.sha256(json_text(body).encode()).hexdigest())
    return json_text(
        {
            "$schema": f"http://cyclonedx.org/schema/bom-{version}.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": version,
            "serialNumber": f"urn:uuid:{serial}",
            "version": 1,
            **body,
        }
    )


def named(name: str, value: str) -> dict[str, str]:
    """A property of garrison's."""
    return {"name": f"garrison:{printable(name)[:_VALUE]}", "value": printable(value)[:_VALUE]}


def _whole(bill: Bill) -> Model | None:
    """The one model that everything is a part of, if there is one."""
    there = [model for model in bill.models if not model.named_only]
    if len(there) != 1 or any(not dataset.named_only for dataset in bill.datasets):
        return None
    own = {*there[0].files, *(one.subject for one in there[0].evidence)}
    outer = (subject for subject in bill.files if not container_of(subject, bill.files))
    return there[0] if there[0].files and all(subject in own for subject in outer) else None


class Writer:
    """Makes components and what stands beside them."""

    def __init__(self, bill: Bill, version: str = "1.6") -> None:
        self._bill = bill
        self._version = version
        self._references = References()
        self._models = {model.key: model for model in bill.models}
        self._gaps: dict[str, list[str]] = {}
        for gap in bill.gaps:
            self._gaps.setdefault(gap.subject, []).append(f"{gap.state}: {gap.reason}")
        self._members: dict[str, list[str]] = {}
        for subject in bill.files:
            outer = container_of(subject, bill.files)
            if outer:
                self._members.setdefault(outer, []).append(subject)
        self._owned = {one for model in bill.models for one in model.files}
        self._owned |= {one for dataset in bill.datasets for one in dataset.files}
        self._held: dict[str, list[Model | DataSet]] = {}
        things: list[Model | DataSet] = [*bill.models, *bill.datasets]
        for thing in things:
            self._held.setdefault(self._holder(thing), []).append(thing)

    def subject(self, subject: str) -> str:
        """The reference of a file, or of the model that it is all of."""
        return self._references.of("subject", subject)

    def body(self, whole: Model | None) -> _Table:
        """All but the envelope; `whole` is described, and the rest are its surroundings."""
        bill = self._bill
        metadata: _Table = {
            "timestamp": bill.made.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "lifecycles": [{"phase": "post-build"}],
            "tools": {"components": [{"type": "application", "name": bill.tool.name, "version": bill.tool.version}]},
        }
        if whole is not None:
            metadata["component"] = self._model(whole)
        gaps = [named("coverage", f"{gap.state}: {gap.subject}: {gap.reason}") for gap in bill.gaps]
        if bill.interrupted:
            gaps.append(named("coverage", "interrupted: the scan was stopped before its end"))
        if gaps:
            metadata["properties"] = gaps
        body: _Table = {"metadata": metadata, "components": self.components(without=whole)}
        return {**body, **_said(dependencies=self.dependencies(), compositions=self.compositions())}

    def components(self, without: Model | None = None) -> list[_Table]:
        """Models with their files, data sets, packages, and the files that are none of these."""
        bill = self._bill
        found = [self._thing(one) for one in self._held.get("", ()) if one is not without]
        found += [self._library(library) for library in bill.libraries]
        outer = [subject for subject in bill.files if not container_of(subject, bill.files)]
        return found + [self._file(subject) for subject in outer if subject not in self._owned]

    def _holder(self, thing: Model | DataSet) -> str:
        """The archive that a model or a data set lies in."""
        return container_of(thing.files[0], self._bill.files) if thing.files else ""

    def _thing(self, thing: Model | DataSet) -> _Table:
        return self._model(thing) if isinstance(thing, Model) else self._dataset(thing)

    def dependencies(self) -> list[_Table]:
        """Models on what they were made from and with, packages on packages."""
        found: list[_Table] = []
        for model in self._bill.models:
            ends = [self._reference(self._models[key]) for key in model.bases]
            ends += [self._references.of("data", key) for key in (*model.datasets, *model.tests)]
            ends += [self._references.of("package", key) for key in model.packages]
            if ends:
                found.append({"ref": self._reference(model), "dependsOn": sorted(set(ends))})
        for library in self._bill.libraries:
            ends = [self._references.of("package", key) for key in library.dependencies]
            if ends:
                found.append({"ref": self._references.of("package", library.key), "dependsOn": sorted(set(ends))})
        return found

    def compositions(self) -> list[_Table]:
        """What may hold more than is listed."""
        parts: dict[str, set[str]] = {"incomplete": set(), "unknown": set()}
        for gap in self._bill.gaps:
            if gap.subject in self._bill.files:
                parts["unknown" if gap.state == "not-understood" else "incomplete"].add(self.subject(gap.subject))
        parts["incomplete"].update(self._reference(model) for model in self._bill.models if model.incomplete)
        found: list[_Table] = [
            {"aggregate": aggregate, "assemblies": sorted(references)}
            for aggregate, references in parts.items()
            if references
        ]
        return [*found, {"aggregate": "incomplete"}] if self._bill.interrupted else found

    def _reference(self, model: Model) -> str:
        return self.subject(model.file) if model.file else self._references.of("model", model.key)

    def _model(self, model: Model) -> _Table:
        says = model.says
        component: _Table = {
            "type": "machine-learning-model",
            "bom-ref": self._reference(model),
            "name": _name(model.name),
            **self._description(says, model.licences),
        }
        if model.named_only:
            return {**component, "properties": [named("named-only", "true")]}
        files = [self._file(one) for one in model.files if one != model.file]
        members: list[_Table] = []
        properties = [named("format", name) for name in model.formats]
        if model.file:
            own = self._file(model.file)
            component |= {"hashes": own["hashes"]} if "hashes" in own else {}
            component["evidence"] = _found_at([model.file])
            properties, members = own["properties"], own.get("components", [])
        elif model.files:
            component["evidence"] = _found_at([model.key])
        ancestors = [{"type": "machine-learning-model", "name": _name(self._models[key].name)} for key in model.bases]
        return {
            **component,
            **_said(
                pedigree=_said(ancestors=ancestors, notes=printable(says.base_relation)) if ancestors else {},
                purl=model.purl,
                externalReferences=[*_links(says), *self._documents(model)],
                components=[*files, *members],
                modelCard=self._card(model),
                properties=[*properties, *_surroundings(model)],
                tags=[printable(tag) for tag in says.tags],
            ),
        }

    def _dataset(self, dataset: DataSet) -> _Table:
        says = dataset.says
        content = [{"type": "dataset", "name": _name(dataset.name), **_said(description=printable(says.summary))}]
        properties = [named("content", one) for one in says.content]
        properties += [named("language", one) for one in says.languages]
        properties += [named("source", one) for one in says.datasets]
        if dataset.named_only:
            properties.append(named("named-only", "true"))
        return {
            "type": "data",
            "bom-ref": self._references.of("data", dataset.key),
            "name": _name(dataset.name),
            **self._description(says, dataset.licences),
            **_said(
                externalReferences=_links(says),
                components=[self._file(one) for one in dataset.files],
                data=content,
                properties=properties,
                tags=[printable(tag) for tag in says.tags],
            ),
        }

    def _description(self, says: Description, licences: tuple[Licence, ...]) -> _Table:
        return _said(
            authors=[{"name": printable(author)} for author in says.authors],
            version=printable(says.version)[:_VERSION],
            description=printable(says.summary),
            licenses=self._licences(licences),
        )

    def _library(self, library: Library) -> _Table:
        properties = [named("requirement", library.specifier)] if library.specifier else []
        properties += [named("group", ", ".join(library.groups))] if library.groups else []
        properties += [named("source", ", ".join(library.sources))] if library.sources else []
        properties += [named("direct", str(library.direct).lower())] if library.direct is not None else []
        return {
            "type": "library",
            "bom-ref": self._references.of("package", library.key),
            "name": _name(library.name),
            **_said(
                version=printable(library.version)[:_VERSION],
                scope="optional" if library.groups else "",
                hashes=[{"alg": name, "content": digest} for name, digest in digests(library.hashes, 1)],
                licenses=self._licences(library.licences),
                purl=printable(library.purl),
                evidence=_found_at(library.places),
                properties=properties,
            ),
        }

    def _licences(self, licences: tuple[Licence, ...]) -> list[_Table]:
        """Identifiers of SPDX's list as such, and expressions where the version has room for them."""
        declared = {"acknowledgement": "declared"}
        found: list[_Table] = []
        for licence in licences:
            expression = licence.expression
            if expression and _is_identifier(expression):
                found.append({"license": {"id": expression, **declared}})
            elif expression and (len(licences) == 1 or self._version != "1.6"):
                found.append({"expression": expression, **declared})
            else:
                found.append({"license": {"name": printable(expression or licence.stated), **declared}})
        return [one for number, one in enumerate(found) if one not in found[:number]]

    def _file(self, subject: str) -> _Table:
        """A file with what lies in it."""
        item = self._bill.files[subject]
        members = [self._thing(one) for one in self._held.get(subject, ())]
        members += [self._file(one) for one in self._members.get(subject, ()) if one not in self._owned]
        return {
            "type": "file",
            "bom-ref": self.subject(subject),
            "name": _name(subject),
            **_said(
                hashes=[{"alg": "SHA-256", "content": item.sha256}] if item.sha256 else [],
                components=members,
            ),
            "properties": list(self._properties(item)),
        }

    def _properties(self, item: Item) -> Iterator[dict[str, str]]:
        for name in item.formats:
            yield named("format", name)
        if item.size is not None:
            yield named("size", str(item.size))
        for fact in item.facts:
            if isinstance(fact, Artifact):
                for name, value in sorted(fact.details.items()):
                    yield named(f"{fact.format}:{name}", str(value))
        for gap in self._gaps.get(item.subject, ()):
            yield named("coverage", gap)

    def _card(self, model: Model) -> _Table:
        says = model.says
        parameters = _said(
            approach={"type": says.approach} if says.approach in _APPROACHES else {},
            task=printable(says.task),
            architectureFamily=printable(says.family),
            modelArchitecture=printable(says.architecture),
            datasets=[{"ref": self._references.of("data", key)} for key in dict.fromkeys(model.datasets)],
            inputs=[{"format": printable(one)} for one in says.inputs],
            outputs=[{"format": printable(one)} for one in says.outputs],
        )
        metrics = [
            _said(type=printable(one.name), value=printable(one.value), slice=printable(one.dataset))
            for one in says.metrics
        ]
        emissions = [named(f"emissions:{key}", value) for key, value in says.emissions.items()]
        return _said(
            modelParameters=parameters,
            quantitativeAnalysis={"performanceMetrics": metrics} if metrics else {},
            considerations={"environmentalConsiderations": {"properties": emissions}} if emissions else {},
            properties=list(_numbers(says)),
        )

    def _documents(self, model: Model) -> Iterator[_Table]:
        """The card among its files, and the signatures and attestations that lie with it."""
        for subject in model.files:
            if "model-card" in self._bill.files[subject].formats:
                yield self._document("model-card", subject, "")
        for one in model.evidence:
            comment = f"{one.predicate}, not verified here" if one.predicate else "not verified here"
            yield self._document("digital-signature" if one.signature else "attestation", one.subject, comment)

    def _document(self, kind: str, subject: str, comment: str) -> _Table:
        digest = self._bill.files[subject].sha256
        hashes = [{"alg": "SHA-256", "content": digest}] if digest else []
        return {"type": kind, "url": path_address(subject), **_said(comment=printable(comment), hashes=hashes)}


def _surroundings(model: Model) -> Iterator[dict[str, str]]:
    """When it was released, and the root over its files that signatures state."""
    if model.says.released:
        yield named("released", model.says.released)
    for root in dict.fromkeys(one.root for one in model.evidence if one.signature and one.root):
        yield named("signed-root:sha256", root)


def _said(**fields: Any) -> _Table:
    """The fields that say something."""
    return {key: value for key, value in fields.items() if value}


def _name(text: str) -> str:
    return printable(text) or "unnamed"


def _is_identifier(expression: str) -> bool:
    """Whether an expression is one identifier of SPDX's list."""
    return not expression.startswith(("LicenseRef-", "DocumentRef-")) and not any(one in expression for one in " ()+")


def _found_at(subjects: "list[str] | tuple[str, ...]") -> _Table:
    return {"occurrences": [{"location": printable(subject)} for subject in subjects[:_PLACES]]}


def _links(says: Description) -> list[_Table]:
    found: list[_Table] = []
    for link in says.links:
        address = web_address(link.target)
        if address:
            comment = "paper" if link.role == "paper" else ""
            found.append({"type": _LINKS[link.role], "url": address, **_said(comment=comment)})
    return [one for number, one in enumerate(found) if one not in found[:number]]


def _numbers(says: Description) -> Iterable[dict[str, str]]:
    """What a card of CycloneDX has no field for."""
    if says.parameters is not None:
        yield named("parameters", str(says.parameters))
    for value in says.quantisation:
        yield named("quantisation", value)
    for key, number in says.element_types.items():
        yield named(f"element-type:{key}", str(number))
    for key, value in says.frameworks.items():
        yield named(f"framework:{key}", value)
    for key, value in says.settings.items():
        yield named(f"setting:{key}", value)
    for value in says.languages:
        yield named("language", value)
    for metric in says.metrics:
        if metric.task:
            yield named(f"metric-task:{metric.name}", metric.task)
    for link in says.links:
        if not web_address(link.target):
            yield named(f"link:{link.role}", link.target)
