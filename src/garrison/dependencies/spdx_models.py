"""Models and data sets of SPDX 3 as descriptions.

Source: SPDX 3.0.1, the AI and the Dataset profile; for what these have no property for, the dictionary entries that
`garrison bom` writes.
"""

import re
from collections.abc import Iterator
from typing import Any, Protocol

from garrison.core.described import described
from garrison.core.facts import Description, Link, Metric
from garrison.dependencies.plain_documents import tables, word, words

_COUNT = re.compile(r"[0-9]{1,19}")
_ON = re.compile(r"(.+) \[([^\[\]]+)\]")
_EMISSIONS = {"grams of CO2 equivalents": "emissions"}
_KNOWN = ("approach", "relation to the base model")
_PREFIXES = ("element type ", "framework ")


class Names(Protocol):
    """What other elements of the document are called."""

    def used(self, reference: str, kind: str) -> list[str]: ...
    def name(self, reference: str) -> str: ...


def model(element: dict[str, Any], licences: list[str], names: Names, place: str) -> Description | None:
    """What an `ai_AIPackage` says."""
    reference = word(element.get("spdxId")) or word(element.get("@id"))
    kinds = words(element.get("ai_typeOfModel"))
    told = [(word(one.get("key")), word(one.get("value"))) for one in tables(element.get("ai_hyperparameter"))]
    counts = dict(told)
    application = _pairs(element.get("ai_informationAboutApplication"))
    training = _pairs(element.get("ai_informationAboutTraining"))
    return described(
        place,
        **_common(element, licences, names),
        task=", ".join(words(element.get("ai_domain"))),
        approach=training.get("approach"),
        family=kinds[0] if len(kinds) > 1 else "",
        architecture=", ".join(kinds[1:] or kinds),
        parameters=_count(counts.get("parameters", "")),
        element_types={key.removeprefix("element type "): _count(one) for key, one in told if "element type " in key},
        quantisation=[value for key, value in told if key == "quantisation"],
        frameworks={key.removeprefix("framework "): value for key, value in told if key.startswith("framework ")},
        settings={
            key: value
            for key, value in told
            if key not in ("parameters", "quantisation") and not key.startswith(_PREFIXES)
        },
        inputs=_listed(application.get("inputs", "")),
        outputs=_listed(application.get("outputs", "")),
        languages=_listed(application.get("languages", "")),
        datasets=names.used(reference, "trainedOn"),
        base_models=names.used(reference, "descendantOf"),
        base_relation=training.get("relation to the base model"),
        metrics=list(_metrics(element)),
        emissions={_EMISSIONS.get(key, key): value for key, value in training.items() if key not in _KNOWN},
    )


def data_set(element: dict[str, Any], licences: list[str], names: Names, place: str) -> Description | None:
    """What a `dataset_DatasetPackage` says."""
    kinds = [kind for kind in words(element.get("dataset_datasetType")) if kind != "noAssertion"]
    use = word(element.get("dataset_intendedUse"))
    common = _common(element, licences, names)
    return described(place, about="data-set", **common, content=[*kinds, *_listed(use)])


def _common(element: dict[str, Any], licences: list[str], names: Names) -> dict[str, object]:
    makers = [*words(element.get("originatedBy")), word(element.get("suppliedBy"))]
    return {
        "name": element.get("name"),
        "version": element.get("software_packageVersion"),
        "summary": word(element.get("description")) or word(element.get("summary")),
        "authors": [name for maker in makers if (name := names.name(maker))],
        "released": element.get("releaseTime"),
        "licences": licences,
        "links": list(_links(element)),
    }


def _links(element: dict[str, Any]) -> Iterator[Link]:
    for one in tables(element.get("externalRef")):
        kind = word(one.get("externalRefType"))
        for target in words(one.get("locator")):
            if kind == "vcs":
                yield Link(role="repository", target=target)
            elif kind == "altWebPage":
                yield Link(role="website", target=target)
            elif kind == "documentation":
                yield Link(role="documentation", target=target)
            elif kind == "license":
                yield Link(role="licence", target=target)
            elif kind == "altDownloadLocation":
                yield Link(role="distribution", target=target)


def _metrics(element: dict[str, Any]) -> Iterator[Metric]:
    for one in tables(element.get("ai_metric")):
        name, value = word(one.get("key")), word(one.get("value"))
        found = _ON.fullmatch(name)
        yield Metric(name=found[1], value=value, dataset=found[2]) if found else Metric(name=name, value=value)


def _count(text: str) -> int | None:
    return int(text) if _COUNT.fullmatch(text) else None


def _pairs(value: object) -> dict[str, str]:
    """`languages: en, de; inputs: x`; of another's prose nothing."""
    parts = [part.partition(": ") for part in word(value).split("; ")]
    return {key: text for key, _, text in parts} if all(text for _, _, text in parts) else {}


def _listed(text: str) -> list[str]:
    return text.split(", ") if text else []
