"""HDF5 files, and the Keras models that they may hold.

Source: `keras/src/legacy/saving/legacy_h5_format.py`: the attribute `model_config` holds the configuration,
`training_config` losses and metrics.
"""

import json
import re

from garrison.artifacts import keras_config
from garrison.artifacts.wire import hdf5
from garrison.core.errors import ExaminationError, Malformed, NotUnderstood
from garrison.core.facts import Anomaly, Artifact, Reference
from garrison.sources.reader import Reader
from garrison.sources.source import Context, Extracted, Source

_CONFIGURATIONS = frozenset({"model_config", "training_config"})
_SEARCHED = 64 << 20
_LARGEST = 64 << 20
_CONFIGURATION = re.compile(rb'\{\s*"(?:class_name|module|name|config)"')
_PICKLE = re.compile(rb"^\x80[\x02-\x05]|^[(c]\S*\n")


def extract(source: Source, context: Context) -> Extracted:
    """The model's configuration, and links and data that lie in other files."""
    objects = 0
    keras = False
    dense = False
    versions: dict[str, str | int | float | bool] = {}
    facts: list[Reference] = []
    configurations: list[tuple[str, bytes]] = []
    problem: ExaminationError | None = None
    try:
        for item in hdf5.read(source.reader, context.check_time):
            objects += 1
            if isinstance(item, hdf5.Attribute):
                if item.name in _CONFIGURATIONS or any(b'"class_name"' in value for value in item.values):
                    keras = True
                    configurations += [(f"attribute {item.name}", value) for value in item.values]
                elif item.name in ("keras_version", "backend") and item.values:
                    keras = True
                    versions[item.name] = item.values[0].decode("utf-8", "backslashreplace")[:40]
                for value in item.values[:64]:
                    if _PICKLE.match(value[:300]):
                        yield source.member(f"{item.path}@{item.name}", value)
            elif isinstance(item, hdf5.Link):
                if item.kind == "external":
                    facts.append(
                        Reference(target=item.target, role="external-data", place=item.path, detail="an HDF5 link")
                    )
            elif isinstance(item, hdf5.Dataset):
                facts += [
                    Reference(target=name, role="external-data", place=item.path, detail="raw data of a dataset")
                    for name in item.external
                ]
                if item.layout == "contiguous" and item.address >= 0 and 0 < item.size < _LARGEST:
                    head = source.reader.pread(item.address, 300)
                    if head.startswith(b"\x80") and _PICKLE.match(head):
                        yield source.member(item.path, source.reader.window(item.address, item.size))
            else:
                dense = True
    except Malformed as error:
        problem = error
    yield Artifact(format="keras-hdf5" if keras else "hdf5", details={"objects": objects, **versions})
    yield from facts
    seen = described = False
    for place, value in configurations:
        seen = True
        try:
            document = keras_config.parse(value)
            description = keras_config.description(document, str(versions.get("keras_version", "")))
            if description is not None and not described:
                described = True
                yield description
            yield from keras_config.walk(document)
        except Malformed as error:
            yield Anomaly(what="malformed", detail=str(error), place=place)
    if (dense or problem is not None) and not seen:
        yield from _searched(source.reader)
        if problem is None:
            problem = NotUnderstood("links or attributes are compressed or shared; they were searched for text alone")
    if problem is not None:
        raise problem


def _searched(reader: Reader) -> Extracted:
    """Configurations found by their text, where the structure cannot be followed to them."""
    data = reader.pread(0, _SEARCHED)
    decoder = json.JSONDecoder()
    position = 0
    while match := _CONFIGURATION.search(data, position):
        text = data[match.start() : match.start() + (4 << 20)].decode("utf-8", "replace")
        try:
            document, length = decoder.raw_decode(text)
        except (ValueError, RecursionError):
            position = match.end()
            continue
        position = match.start() + max(length, 1)
        yield from keras_config.walk(document)
