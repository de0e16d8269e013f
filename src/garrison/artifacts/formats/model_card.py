"""Model and data cards: Markdown with a YAML head between two lines of dashes.

Source: huggingface_hub `repocard.py` and `repocard_data.py`.
"""

import re

from garrison.core.errors import Malformed
from garrison.core.facts import Artifact, Reference
from garrison.sources.source import Context, Extracted, Source

_HEAD = re.compile(rb"\A(?:\xef\xbb\xbf)?---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_LONGEST = 1 << 20
_KEYS = re.compile(
    rb"^(?:license|license_name|language|tags|library_name|pipeline_tag|base_model|datasets|metrics|model-index|"
    rb"inference|widget|thumbnail|title|emoji|sdk|task_categories|pretty_name|configs|dataset_info|model_name|author)\s*:",
    re.MULTILINE,
)
_DETAILS = ("license", "library_name", "pipeline_tag", "base_model", "datasets", "language", "license_name")


def sniff(source: Source) -> bool:
    """A head between dashes with a key of cards, and a text after it or a Markdown name."""
    found = _HEAD.match(source.reader.pread(0, _LONGEST))
    if not found:
        return False
    markdown = source.name.lower().endswith((".md", ".markdown"))
    return markdown or bool(_KEYS.search(found[1]))


def extract(source: Source, context: Context) -> Extracted:
    """What the card says of the model."""
    import yaml

    found = _HEAD.match(source.reader.pread(0, _LONGEST))
    details: dict[str, str | int | float | bool] = {}
    try:
        # Events only: aliases are never expanded and tags never constructed.
        pairs = _pairs(yaml.parse(found[1] if found else b"", Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        yield Artifact(format="model-card")
        raise Malformed(f"the head of the card is not valid YAML: {str(error)[:100]}") from None
    for key in _DETAILS:
        if pairs.get(key):
            details[key] = ", ".join(pairs[key])[:200]
    yield Artifact(format="model-card", details=details)
    for key, role in (("base_model", "base-model"), ("datasets", "metadata")):
        for value in pairs.get(key, ()):
            yield Reference(target=value[:200], role=role, trigger="carried", place=key)


def _pairs(events: object) -> dict[str, list[str]]:
    """The texts under each key of the outermost mapping."""
    import yaml

    found: dict[str, list[str]] = {}
    depth, key = 0, None
    for event in events:  # type: ignore[attr-defined]
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            depth += 1
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            depth -= 1
            if depth == 1:
                key = None
        elif isinstance(event, yaml.ScalarEvent):
            if depth == 1 and key is None:
                key = event.value
                found.setdefault(key, [])
            elif key is not None and depth <= 2 and len(found[key]) < 64:
                found[key].append(event.value)
                if depth == 1:
                    key = None
        elif depth == 1 and key is not None:
            key = None
    return found
