"""CycloneDX bills of materials that others made, in JSON and in XML.

Source: CycloneDX 1.2 to 1.7 (ECMA-424), its JSON and XML schemas.
"""

import re
from collections.abc import Iterator
from typing import Any

from garrison.core.errors import LimitExceeded, Malformed
from garrison.dependencies.cyclonedx_models import HASHES, data_set, licences_of, model, own_properties
from garrison.dependencies.listed import Details, Listed
from garrison.dependencies.plain_documents import duplicates, json, plain_head, table, tables, text_of, word, words
from garrison.dependencies.xml_trees import as_tables
from garrison.sources.source import Context, Extracted, Source

_HEAD = 1 << 16
_JSON = re.compile(rb'"bomFormat"\s*:\s*"CycloneDX"')
_XML = re.compile(rb"<(?:\w+:)?bom\b[^>]*http://cyclonedx\.org/schema/bom/1\.\d")
_USUAL = re.compile(r"(?:^|[-_.])(?:s?bom|cdx|cyclonedx)\.json$")
_LARGEST = 64 << 20
_DEPTH = 100
_LISTS = frozenset({"component", "license", "expression", "hash", "dependency", "dataset"})
_SKIPPED = frozenset({"file", "device", "device-driver", "firmware", "cryptographic-asset"})


def sniff(source: Source) -> bool:
    """The mark of the format near the beginning or the end."""
    size = source.reader.size if not source.depth else 0
    head = plain_head(source, _HEAD)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return bool(_XML.search(head))
    if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return False
    if _JSON.search(head) or (size > _HEAD and _JSON.search(source.reader.pread(size - 4096, 4096))):
        return True
    # Of a file that is called so, all of it may have to be read.
    named = _USUAL.search(source.name.lower()[-255:]) and size <= _LARGEST
    return bool(named and _JSON.search(source.reader.pread(0, size)))


def extract(source: Source, context: Context) -> Extracted:
    """The components that it lists, nested ones too."""
    text = text_of(source, context)
    if text.lstrip().startswith("<"):
        document = _from_xml(as_tables(text, _LISTS, context))
    else:
        repeated: list[str] = []
        document = table(json(text, repeated))
        yield from duplicates(repeated)
        # An attestation carries the bill as its predicate.
        document = table(document.get("predicate")) or document
        if document.get("bomFormat") != "CycloneDX":
            raise Malformed("says nowhere that it is CycloneDX")
    found = Listed("cyclonedx-bom")
    found.details["specification"] = word(document.get("specVersion"))[:20]
    root = table(table(document.get("metadata")).get("component"))
    if root:
        found.details["describes"] = f"{word(root.get('name'))} {word(root.get('version'))}".strip()[:200]
    found.texts(root, "metadata.component", "name", "version", "purl")
    components = list(_components(document, root, context, found))
    graph = _Graph(document, root, components)
    for number, (place, component) in enumerate(components):
        if number % 256 == 0:
            context.check_time()
        _add(found, component, graph, place)
    yield from found.facts()


def _components(
    document: dict[str, Any], root: dict[str, Any], context: Context, found: Listed
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each component with where it stands. The described one counts where it is a package itself."""
    pending: list[tuple[str, dict[str, Any], int]] = []
    if word(root.get("purl")) or word(root.get("type")) == "machine-learning-model":
        yield "metadata.component", root
    found.entries(root.get("components"), "metadata.component.components")
    found.entries(document.get("components"), "components")
    pending += [(f"metadata.component.components[{n}]", one, 0) for n, one in enumerate(tables(root.get("components")))]
    pending += [(f"components[{n}]", one, 0) for n, one in enumerate(tables(document.get("components")))]
    pending.reverse()
    while pending:
        place, component, depth = pending.pop()
        yield place, component
        found.entries(component.get("components"), f"{place}.components")
        inner = tables(component.get("components"))
        if inner and depth >= _DEPTH:
            raise LimitExceeded("depth", f"components are nested more than {_DEPTH} deep")
        if inner:
            context.check_time()
            pending += [(f"{place}.components[{n}]"[-400:], one, depth + 1) for n, one in enumerate(inner)][::-1]


def _add(found: Listed, component: dict[str, Any], graph: "_Graph", place: str) -> None:
    found.texts(component, place, "type", "name", "version", "group", "purl")
    kind = word(component.get("type"))
    name, version = word(component.get("name")), word(component.get("version"))
    group = word(component.get("group"))
    address = word(component.get("purl"))
    if kind == "operating-system":
        found.add_system(name, version, place)
        return
    if kind == "machine-learning-model":
        found.add_artifact(kind, _model(component), place, model(component, graph.names, place))
    elif kind == "data":
        found.add_artifact("data-set", _data(component), place, data_set(component, place))
    if not address and (kind in _SKIPPED or kind in ("machine-learning-model", "data")):
        return
    reference = word(component.get("bom-ref"))
    own = own_properties(component)
    found.add(
        address,
        f"{group}/{name}" if group and name else name,
        version,
        place=place,
        hashes=_hashes(component),
        licences=licences_of(component),
        group=own.get("group")
        or {"optional": "optional", "excluded": "excluded"}.get(word(component.get("scope")), ""),
        source=own.get("source", ""),
        dependencies=graph.dependencies(reference),
        direct={"true": True, "false": False}.get(own.get("direct", ""), graph.direct(reference)),
    )


def _hashes(component: dict[str, Any]) -> list[str]:
    return [
        f"{HASHES.get(algorithm, algorithm.lower())}:{word(one.get('content')).lower()}"
        for one in tables(component.get("hashes"))
        if (algorithm := word(one.get("alg"))) and word(one.get("content"))
    ]


def _model(component: dict[str, Any]) -> Details:
    card = table(component.get("modelCard"))
    parameters = table(card.get("modelParameters"))
    names = [word(one.get("name")) or word(one.get("ref")) for one in tables(parameters.get("datasets"))]
    metrics = [
        f"{word(one.get('type'))} {word(one.get('value'))}".strip()
        for one in tables(table(card.get("quantitativeAnalysis")).get("performanceMetrics"))
    ]
    return {
        **_identity(component),
        "task": word(parameters.get("task")),
        "approach": word(table(parameters.get("approach")).get("type")),
        "architecture family": word(parameters.get("architectureFamily")),
        "architecture": word(parameters.get("modelArchitecture")),
        "data sets": ", ".join(filter(None, names[:20])),
        "metrics": ", ".join(filter(None, metrics[:20])),
        "hashes": ", ".join(_hashes(component)[:8]),
    }


def _data(component: dict[str, Any]) -> Details:
    parts = tables(component.get("data"))
    addresses = [word(table(one.get("contents")).get("url")) for one in parts]
    kinds = dict.fromkeys(word(one.get("type")) for one in parts)
    sensitive = dict.fromkeys(name for one in parts for name in words(one.get("sensitiveData")))
    return {
        **_identity(component),
        "kinds": ", ".join(filter(None, kinds)),
        "classification": ", ".join(filter(None, dict.fromkeys(word(one.get("classification")) for one in parts))),
        "sensitive data": ", ".join(sensitive),
        "addresses": ", ".join(filter(None, addresses[:20])),
    }


def _identity(component: dict[str, Any]) -> Details:
    supplier = table(component.get("supplier"))
    return {
        "name": "/".join(filter(None, (word(component.get("group")), word(component.get("name"))))),
        "version": word(component.get("version")),
        "package url": word(component.get("purl")),
        "publisher": word(component.get("publisher")) or word(supplier.get("name")),
        "licence": ", ".join(licences_of(component)),
        "description": word(component.get("description")),
    }


class _Graph:
    """Who depends on whom, by the references of the document."""

    def __init__(
        self, document: dict[str, Any], root: dict[str, Any], components: list[tuple[str, dict[str, Any]]]
    ) -> None:
        self.names = {
            word(one.get("bom-ref")): word(one.get("name")) for _, one in components if word(one.get("bom-ref"))
        }
        """What each reference is called."""
        self._edges = {
            word(one.get("ref")): words(one.get("dependsOn")) for one in tables(document.get("dependencies"))
        }
        self._asked = frozenset(self._edges.get(word(root.get("bom-ref")), ()))

    def dependencies(self, reference: str) -> list[str]:
        return [self.names[one] for one in self._edges.get(reference, ()) if one in self.names] if reference else []

    def direct(self, reference: str) -> bool | None:
        return reference in self._asked if self._asked and reference else None


def _from_xml(tree: dict[str, Any]) -> dict[str, Any]:
    """The XML form under the names of the JSON form."""
    namespace = word(tree.get("@xmlns"))
    metadata = table(tree.get("metadata"))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": namespace.rpartition("/")[2],
        "metadata": {"component": _component(table(_first(metadata.get("component"))), 0)},
        "components": [_component(one, 0) for one in tables(table(tree.get("components")).get("component"))],
        "dependencies": [
            {"ref": one.get("@ref"), "dependsOn": [word(d.get("@ref")) for d in tables(one.get("dependency"))]}
            for one in tables(table(tree.get("dependencies")).get("dependency"))
        ],
    }


def _first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else value


def _component(element: dict[str, Any], depth: int) -> dict[str, Any]:
    if not element:
        return {}
    licences, hashes = table(element.get("licenses")), table(element.get("hashes"))
    inner = tables(table(element.get("components")).get("component"))
    if inner and depth >= _DEPTH:
        raise LimitExceeded("depth", f"components are nested more than {_DEPTH} deep")
    plain = {key: value for key, value in element.items() if isinstance(value, str) and not key.startswith("@")}
    card = table(element.get("modelCard"))
    parameters = table(card.get("modelParameters"))
    return {
        **plain,
        "type": word(element.get("@type")),
        "bom-ref": word(element.get("@bom-ref")),
        "hashes": [{"alg": one.get("@alg"), "content": one.get("#")} for one in tables(hashes.get("hash"))],
        "licenses": [
            *({"license": one} for one in tables(licences.get("license"))),
            *({"expression": one.get("#")} for one in tables(licences.get("expression"))),
        ],
        "supplier": table(element.get("supplier")),
        "components": [_component(one, depth + 1) for one in inner],
        "modelCard": {
            "modelParameters": {
                **parameters,
                "datasets": tables(table(parameters.get("datasets")).get("dataset")),
            }
        },
        "data": [element["data"]] if isinstance(element.get("data"), dict) else [],
    }
