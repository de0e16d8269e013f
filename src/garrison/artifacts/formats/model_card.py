"""Model and data cards: Markdown with a YAML head between two lines of dashes.

Source: huggingface_hub `repocard.py` and `repocard_data.py`; the model card and data set card specifications of the Hub
(`modelcard.md`, `datasetcard.md`).
"""

import re
from collections.abc import Iterator
from typing import Any

from garrison.artifacts.formats.yaml_document import Builder
from garrison.core.described import described, text, texts
from garrison.core.errors import Malformed
from garrison.core.facts import Artifact, Description, Link, Metric, Reference
from garrison.sources.source import Context, Extracted, Source

_HEAD = re.compile(rb"\A(?:\xef\xbb\xbf)?---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_LONGEST = 1 << 20
_KEYS = re.compile(
    rb"^(?:license|license_name|language|tags|library_name|pipeline_tag|base_model|datasets|metrics|model-index|"
    rb"inference|widget|thumbnail|title|emoji|sdk|task_categories|pretty_name|configs|dataset_info|model_name|author)\s*:",
    re.MULTILINE,
)
_DETAILS = ("license", "library_name", "pipeline_tag", "base_model", "datasets", "language", "license_name")
_OF_MODELS = frozenset(
    {"pipeline_tag", "library_name", "base_model", "model-index", "model_name", "datasets", "inference"}
)
_OF_DATA_SETS = frozenset(
    {"task_categories", "task_ids", "dataset_info", "size_categories", "annotations_creators", "source_datasets"}
    | {"configs", "pretty_name", "language_creators", "multilinguality"}
)
_OF_EITHER = frozenset({"license", "license_name", "co2_eq_emissions", "metrics"})
_APPROACHES = ("supervised", "unsupervised", "reinforcement-learning", "semi-supervised", "self-supervised")
_EMISSIONS = ("emissions", "source", "training_type", "geographical_location", "hardware_used")
_MODELS, _RESULTS, _MEASURES = 8, 64, 16
_IDENTIFIERS = {"arxiv": "https://arxiv.org/abs/", "doi": "https://doi.org/"}
_IDENTIFIER = re.compile(r"[\w-][\w.()-]*(/[\w-][\w.:;()<>-]*)*", re.ASCII)
"""An identifier that leads to no other page when it stands behind one of these."""


def sniff(source: Source) -> bool:
    """A head between dashes with a key of cards, and a text after it or a Markdown name."""
    found = _HEAD.match(source.reader.pread(0, _LONGEST))
    if not found:
        return False
    markdown = source.name.lower().endswith((".md", ".markdown"))
    return markdown or bool(_KEYS.search(found[1]))


def extract(source: Source, context: Context) -> Extracted:
    """What the card says of the model or the data set."""
    import yaml

    found = _HEAD.match(source.reader.pread(0, _LONGEST))
    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    try:
        # Events only: aliases are never expanded and tags never constructed.
        documents = Builder([], context).documents(yaml.parse(found[1] if found else b"", Loader=loader))
    except (yaml.YAMLError, RecursionError) as error:
        yield Artifact(format="model-card")
        raise Malformed(f"the head of the card is not valid YAML: {str(error)[:100]}") from None
    card: dict[str, Any] = documents[0] if documents and isinstance(documents[0], dict) else {}
    details: dict[str, str | int | float | bool] = {
        key: ", ".join(texts(card[key]))[:200] for key in _DETAILS if texts(card.get(key))
    }
    yield Artifact(format="model-card", details=details)
    for key, role in (("base_model", "base-model"), ("datasets", "metadata")):
        for value in texts(card.get(key)):
            yield Reference(target=value[:200], role=role, trigger="carried", place=key)
    description = _description(card)
    if description is not None:
        yield description


def _description(card: dict[str, Any]) -> Description | None:
    """What the head says in the Hub's own keys; `None` for the heads that other tools write."""
    model, data = _OF_MODELS & card.keys(), _OF_DATA_SETS & card.keys()
    if not (model or data or _OF_EITHER & card.keys()) or "sdk" in card:
        return None
    about = "data-set" if data and not model else "model"
    tags = texts(card.get("tags"))
    return described(
        about=about,
        name=card.get("model_name") or card.get("pretty_name") or _indexed_name(card),
        authors=[*texts(card.get("author")), *texts(card.get("authors")), *texts(card.get("model_creator"))],
        licences=_licences(card),
        task=card.get("pipeline_tag"),
        approach=next((one for one in _APPROACHES if one in (*tags, card.get("pipeline_tag"))), ""),
        family=card.get("model_type"),
        frameworks=dict.fromkeys(texts(card.get("library_name")), ""),
        languages=card.get("language"),
        tags=tags,
        datasets=card.get("source_datasets" if about == "data-set" else "datasets"),
        base_models=card.get("base_model"),
        base_relation=card.get("base_model_relation"),
        metrics=list(_metrics(card.get("model-index"))),
        emissions=_emissions(card.get("co2_eq_emissions")),
        content=[*texts(card.get("task_categories")), *texts(card.get("size_categories"))],
        links=list(_links(card, tags)),
    )


def _indexed_name(card: dict[str, Any]) -> str:
    return next((text(entry.get("name")) for entry in _tables(card.get("model-index"))), "")


def _licences(card: dict[str, Any]) -> tuple[str, ...]:
    """A licence of its own has the word `other` and a name."""
    named, plain = texts(card.get("license_name")), texts(card.get("license"))
    return (*named, *(one for one in plain if one.lower() != "other" or not named))


def _metrics(index: object) -> Iterator[Metric]:
    """Bounded at each level, since aliases make short lists of long ones."""
    for result in (result for entry in _tables(index)[:_MODELS] for result in _tables(entry.get("results"))[:_RESULTS]):
        task, data = _table(result.get("task")), _table(result.get("dataset"))
        for metric in _tables(result.get("metrics"))[:_MEASURES]:
            name, value = text(metric.get("name")) or text(metric.get("type")), text(metric.get("value"))
            if name and value:
                said = text(data.get("type")) or text(data.get("name"))
                yield Metric(name=name, value=value, dataset=said, task=text(task.get("type")))


def _emissions(value: object) -> dict[str, str]:
    if isinstance(value, dict):
        return {key: text(value[key]) for key in _EMISSIONS if text(value.get(key))}
    return {"emissions": text(value)} if text(value) else {}


def _links(card: dict[str, Any], tags: tuple[str, ...]) -> Iterator[Link]:
    if link := text(card.get("license_link")):
        yield Link(role="licence", target=link)
    for tag in tags:
        scheme, colon, identifier = tag.partition(":")
        if colon and scheme in _IDENTIFIERS and _IDENTIFIER.fullmatch(identifier):
            yield Link(role="paper", target=f"{_IDENTIFIERS[scheme]}{identifier}")


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _tables(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
