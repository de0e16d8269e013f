"""SPDX 3 documents in JSON-LD: packages, models and data sets as elements of a graph.

Source: SPDX 3.0.1, its model (Core, Software, AI, Dataset, SimpleLicensing) and its JSON-LD context.
"""

import re
from typing import Any

from garrison.core.errors import Malformed
from garrison.dependencies import spdx_models
from garrison.dependencies.listed import Details, Listed
from garrison.dependencies.plain_documents import duplicates, json, plain_head, table, tables, text_of, word, words
from garrison.sources.source import Context, Extracted, Source

_HEAD = 1 << 16
_CONTEXT = re.compile(rb'"@context"\s*:\s*\[?\s*"https?://spdx\.(?:org|github\.io)/[^"]*(?:3\.\d|spdx-3)')
_KINDS = {
    "software_Package": "",
    "ai_AIPackage": "machine-learning-model",
    "dataset_DatasetPackage": "data-set",
}
_ALGORITHMS = {"sha3_256": "sha3-256", "sha3_384": "sha3-384", "sha3_512": "sha3-512"}
_ALGORITHMS |= {f"blake2b{size}": f"blake2b-{size}" for size in (256, 384, 512)}
_USED = ("trainedOn", "testedOn", "descendantOf")
_NOTHING = ("NoAssertionLicense", "NoneLicense", "")
_LICENSED = ("hasConcludedLicense", "hasDeclaredLicense")


def sniff(source: Source) -> bool:
    """The context of SPDX 3, near the beginning or the end."""
    size = source.reader.size if not source.depth else 0
    head = plain_head(source, _HEAD)
    if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return False
    return bool(_CONTEXT.search(head) or (size > _HEAD and _CONTEXT.search(source.reader.pread(size - 4096, 4096))))


def extract(source: Source, context: Context) -> Extracted:
    """The packages, models and data sets that it lists."""
    repeated: list[str] = []
    document = table(json(text_of(source, context), repeated))
    yield from duplicates(repeated)
    if "@graph" not in document and "type" not in document:
        raise Malformed("has no elements")
    elements = tables(document.get("@graph")) or [document]
    found = Listed("spdx-document")
    found.entries(document.get("@graph"), "@graph")
    graph = _Graph(elements, context)
    found.details["specification"] = _specification(elements)
    for number, element in enumerate(elements):
        if number % 256 == 0:
            context.check_time()
        kind = _KINDS.get(word(element.get("type")))
        if kind is not None:
            _add(found, element, kind, graph, f"@graph[{number}]")
    yield from found.facts()


def _specification(elements: list[dict[str, Any]]) -> str:
    version = next((word(one.get("specVersion")) for one in elements if word(one.get("specVersion"))), "3")
    return f"SPDX-{version}"[:20]


def _add(found: Listed, element: dict[str, Any], kind: str, graph: "_Graph", place: str) -> None:
    found.texts(element, place, "name", "software_packageVersion", "software_packageUrl", "software_primaryPurpose")
    name, version = word(element.get("name")), word(element.get("software_packageVersion"))
    reference = word(element.get("spdxId")) or word(element.get("@id"))
    address = word(element.get("software_packageUrl")) or next(
        (
            word(one.get("identifier"))
            for one in tables(element.get("externalIdentifier"))
            if word(one.get("externalIdentifierType")) in ("packageUrl", "packageURL", "purl")
        ),
        "",
    )
    purpose = word(element.get("software_primaryPurpose"))
    licences = graph.licences(reference)
    if purpose == "operatingSystem":
        found.add_system(name, version, place)
        return
    if kind:
        details = _details(element, address, licences)
        details["hashes"] = ", ".join(_hashes(element)[:8])
        read = spdx_models.model if kind == "machine-learning-model" else spdx_models.data_set
        found.add_artifact(kind, details, place, read(element, licences, graph, place))
    if not address and (kind or purpose in ("file", "source", "archive") or reference in graph.roots):
        return
    found.add(
        address,
        name,
        version,
        place=place,
        hashes=_hashes(element),
        licences=licences,
        dependencies=graph.dependencies(reference),
        direct=graph.direct(reference),
    )


def _hashes(element: dict[str, Any]) -> list[str]:
    return [
        f"{_ALGORITHMS.get(algorithm, algorithm.lower())}:{word(one.get('hashValue')).lower()}"
        for one in tables(element.get("verifiedUsing"))
        if (algorithm := word(one.get("algorithm"))) and word(one.get("hashValue"))
    ]


def _details(element: dict[str, Any], address: str, licences: list[str]) -> Details:
    """What the AI and the data set profile tell, under their own names."""
    details: Details = {
        "name": word(element.get("name")),
        "version": word(element.get("software_packageVersion")),
        "package url": address,
        "licence": ", ".join(licences),
        "description": word(element.get("description")) or word(element.get("summary")),
    }
    for key, value in list(element.items())[:100]:
        profile, _, what = key.partition("_")
        if profile in ("ai", "dataset") and what:
            text = word(value) or ", ".join(words(value))
            details[re.sub(r"(?<=[a-z])([A-Z])", lambda found: f" {found[1].lower()}", what)[:60]] = text
    return details


class _Graph:
    """Who depends on whom, and which licence is whose."""

    def __init__(self, elements: list[dict[str, Any]], context: Context) -> None:
        self._names: dict[str, str] = {}
        self._expressions: dict[str, str] = {}
        self._edges: dict[str, dict[str, None]] = {}
        self._used: dict[tuple[str, str], list[str]] = {}
        self._licences: dict[str, dict[str, list[str]]] = {}
        self.roots: set[str] = set()
        for number, one in enumerate(elements):
            if number % 4096 == 0:
                context.check_time()
            reference = word(one.get("spdxId")) or word(one.get("@id"))
            kind = word(one.get("type"))
            self.roots.update(words(one.get("rootElement")))
            if word(one.get("name")):
                self._names[reference] = word(one.get("name"))
            if expression := word(one.get("simplelicensing_licenseExpression")):
                self._expressions[reference] = expression
            elif kind == "simplelicensing_SimpleLicensingText":
                text = word(one.get("simplelicensing_licenseText"))
                self._expressions[reference] = word(one.get("name")) or text[:200]
            if kind in ("Relationship", "LifecycleScopedRelationship"):
                self._relationship(word(one.get("relationshipType")), word(one.get("from")), words(one.get("to")))
        self._asked = {one for root in self.roots for one in self._edges.get(root, ())}

    def _relationship(self, kind: str, start: str, ends: tuple[str, ...]) -> None:
        if kind == "dependsOn":
            self._edges.setdefault(start, {}).update(dict.fromkeys(ends))
        elif kind in _USED:
            self._used.setdefault((start, kind), []).extend(ends)
        elif kind in _LICENSED:
            self._licences.setdefault(start, {}).setdefault(kind, []).extend(ends)

    def licences(self, reference: str) -> list[str]:
        """Concluded before declared; a licence of the list is named by the end of its address."""
        stated = self._licences.get(reference, {})
        for kind in _LICENSED:
            names = [self._expressions.get(one) or one.rpartition("/")[2] for one in stated.get(kind, ())]
            told = [name for name in names if name.removeprefix("expandedlicensing_") not in _NOTHING]
            if told:
                return told
        return []

    def used(self, reference: str, kind: str) -> list[str]:
        """What the elements are called that an element was trained on, tested on or descends from."""
        return [self._names[one] for one in self._used.get((reference, kind), ()) if one in self._names]

    def name(self, reference: str) -> str:
        """What an element is called; nothing where it is not there or has no name."""
        return self._names.get(reference, "")

    def dependencies(self, reference: str) -> list[str]:
        return [self._names[one] for one in self._edges.get(reference, ()) if one in self._names]

    def direct(self, reference: str) -> bool | None:
        return reference in self._asked if self._asked and reference not in self.roots else None
