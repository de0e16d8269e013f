"""Models and data sets of CycloneDX as descriptions.

Source: CycloneDX 1.5 to 1.7 (ECMA-424), `modelCard`, `componentData`; for what these have no field for, the properties
`garrison:…` that `garrison bom` writes.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from garrison.core.described import described
from garrison.core.facts import Description, Link, Metric
from garrison.dependencies.plain_documents import table, tables, word

HASHES = {
    "MD5": "md5",
    "SHA-1": "sha1",
    "SHA-256": "sha256",
    "SHA-384": "sha384",
    "SHA-512": "sha512",
    "SHA3-256": "sha3-256",
    "SHA3-384": "sha3-384",
    "SHA3-512": "sha3-512",
    "BLAKE2b-256": "blake2b-256",
    "BLAKE2b-384": "blake2b-384",
    "BLAKE2b-512": "blake2b-512",
    "BLAKE3": "blake3",
}
"""The names of digests here, by CycloneDX's."""
_OWN = "garrison:"
_Lists = dict[str, list[tuple[str, str]]]


def own_properties(component: Mapping[str, Any]) -> dict[str, str]:
    """The properties that garrison wrote, the last of each name."""
    return {
        word(one.get("name")).removeprefix(_OWN): word(one.get("value"))
        for one in tables(component.get("properties"))
        if word(one.get("name")).startswith(_OWN)
    }


def licences_of(component: Mapping[str, Any]) -> list[str]:
    """Of each licence its expression, its identifier or its name, whichever tells most."""
    found: list[str] = []
    for choice in tables(component.get("licenses")):
        licence = table(choice.get("license"))
        found.append(word(choice.get("expression")) or word(licence.get("id")) or word(licence.get("name")))
    return [one for one in found if one]


def model(component: Mapping[str, Any], names: Mapping[str, str], place: str) -> Description | None:
    """What a component of type `machine-learning-model` says; `names` are those of all components by reference."""
    card = table(component.get("modelCard"))
    parameters = table(card.get("modelParameters"))
    own = _own_lists(card)
    count = own.get("parameters", [("", "")])[0][1]
    pedigree = table(component.get("pedigree"))
    return described(
        place,
        **_common(component),
        task=parameters.get("task"),
        approach=table(parameters.get("approach")).get("type"),
        family=parameters.get("architectureFamily"),
        architecture=parameters.get("modelArchitecture"),
        parameters=int(count) if count.isascii() and count.isdecimal() and len(count) < 20 else None,
        element_types={
            key: int(value)
            for key, value in own.get("element-type", ())
            if value.isascii() and value.isdecimal() and len(value) < 20
        },
        quantisation=[value for _, value in own.get("quantisation", ())],
        frameworks=dict(own.get("framework", ())),
        settings=dict(own.get("setting", ())),
        inputs=[one.get("format") for one in tables(parameters.get("inputs"))],
        outputs=[one.get("format") for one in tables(parameters.get("outputs"))],
        languages=[value for _, value in own.get("language", ())],
        datasets=[
            names.get(word(one.get("ref"))) or word(one.get("name")) for one in tables(parameters.get("datasets"))
        ],
        base_models=[one.get("name") for one in tables(pedigree.get("ancestors"))],
        base_relation=pedigree.get("notes"),
        metrics=list(_metrics(card, dict(own.get("metric-task", ())))),
        emissions=dict(_emissions(card)),
        links=[*_links(component), *_odd_links(own)],
    )


def data_set(component: Mapping[str, Any], place: str) -> Description | None:
    """What a component of type `data` says."""
    own = _own_lists(component)
    parts = tables(component.get("data"))
    return described(
        place,
        about="data-set",
        **{**_common(component), "summary": component.get("description") or next(_summaries(parts), "")},
        languages=[value for _, value in own.get("language", ())],
        datasets=[value for _, value in own.get("source", ())],
        content=[value for _, value in own.get("content", ())],
        links=[*_links(component), *_contents(parts)],
    )


def _common(component: Mapping[str, Any]) -> dict[str, object]:
    supplier = word(table(component.get("supplier")).get("name")) or word(component.get("publisher"))
    authors = [word(one.get("name")) for one in tables(component.get("authors"))]
    return {
        "name": "/".join(filter(None, (word(component.get("group")), word(component.get("name"))))),
        "version": component.get("version"),
        "summary": component.get("description"),
        "authors": [*authors, word(component.get("author")), supplier],
        "released": own_properties(component).get("released"),
        "licences": licences_of(component),
        "tags": component.get("tags"),
    }


def _own_lists(holder: Mapping[str, Any]) -> _Lists:
    """By the first word of the name, what follows it with the value: `garrison:setting:layers` and `2`."""
    found: _Lists = {}
    for one in tables(holder.get("properties")):
        name = word(one.get("name"))
        if name.startswith(_OWN):
            kind, _, rest = name.removeprefix(_OWN).partition(":")
            found.setdefault(kind, []).append((rest, word(one.get("value"))))
    return found


def _metrics(card: dict[str, Any], tasks: dict[str, str]) -> Iterator[Metric]:
    for one in tables(table(card.get("quantitativeAnalysis")).get("performanceMetrics")):
        name = word(one.get("type"))
        yield Metric(name=name, value=word(one.get("value")), dataset=word(one.get("slice")), task=tasks.get(name, ""))


def _emissions(card: dict[str, Any]) -> Iterator[tuple[str, str]]:
    considerations = table(table(card.get("considerations")).get("environmentalConsiderations"))
    yield from _own_lists(considerations).get("emissions", ())
    for one in tables(considerations.get("energyConsumptions")):
        cost = table(one.get("co2CostEquivalent"))
        if isinstance(cost.get("value"), int | float):
            yield word(one.get("activity")), f"{cost['value']} {word(cost.get('unit'))}".strip()


def _links(component: Mapping[str, Any]) -> Iterator[Link]:
    for one in tables(component.get("externalReferences")):
        kind, target = word(one.get("type")), word(one.get("url"))
        if kind == "documentation":
            yield Link(role="paper" if one.get("comment") == "paper" else "documentation", target=target)
        elif kind == "vcs":
            yield Link(role="repository", target=target)
        elif kind == "license":
            yield Link(role="licence", target=target)
        elif kind == "website":
            yield Link(role="website", target=target)
        elif kind == "distribution":
            yield Link(role="distribution", target=target)


def _odd_links(own: _Lists) -> Iterator[Link]:
    """What is no address of the web stands in a property."""
    for role, target in own.get("link", ()):
        if role == "licence":
            yield Link(role="licence", target=target)
        elif role == "paper":
            yield Link(role="paper", target=target)


def _summaries(parts: list[dict[str, Any]]) -> Iterator[str]:
    return (said for part in parts if (said := word(part.get("description"))))


def _contents(parts: list[dict[str, Any]]) -> Iterator[Link]:
    for part in parts:
        if address := word(table(part.get("contents")).get("url")):
            yield Link(role="distribution", target=address)
