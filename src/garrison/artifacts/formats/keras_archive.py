"""Keras 3 archives: a zip with `config.json`, `metadata.json` and `model.weights.h5`.

Source: `keras/src/saving/saving_lib.py`.
"""

from garrison.artifacts import keras_config
from garrison.artifacts.formats import json_document
from garrison.core.errors import ExaminationError, Malformed
from garrison.core.facts import Anomaly, Artifact
from garrison.sources.containers.zip import Member, directory, open_member
from garrison.sources.source import Context, Extracted, Source

_CONFIG = "config.json"
_METADATA = "metadata.json"
_WEIGHTS = frozenset({"model.weights.h5", "model.weights.npz", "model.weights.json"})
_TOLD = ("keras_version", "date_saved")
_LONGEST = 1 << 16


def _named(source: Source, name: str) -> list[Member]:
    return [member for member in directory(source.reader).members if member.name.lstrip("./") == name]


def sniff(source: Source) -> bool:
    """A zip whose top holds a `config.json` beside Keras' other parts."""
    if source.reader.pread(0, 2) != b"PK":
        return False
    names = {member.name.lstrip("./") for member in directory(source.reader).members}
    return _CONFIG in names and (_METADATA in names or bool(names & _WEIGHTS) or source.name.lower().endswith(".keras"))


def extract(source: Source, context: Context) -> Extracted:
    """What the archive says of itself, and configurations that are not read as members of the zip."""
    details = _details(source, context)
    yield Artifact(format="keras", details=details)
    described = False
    for member in _named(source, _CONFIG):
        try:
            data = _read(source, member, context, context.limits.buffer)
            if data is None:
                continue
            document = keras_config.parse(data)
            description = keras_config.description(document, str(details.get("keras_version", "")))
            if description is not None and not described:
                described = True
                yield description
            # The zip's own members are examined too; a plain document is judged there, with its own place.
            if not (keras_config.looks_like_keras(document) and json_document.sniff(source.member(_CONFIG, data))):
                yield from keras_config.walk(document)
        except Malformed as error:
            yield Anomaly(what="malformed", detail=str(error), place=_CONFIG)
        except ExaminationError as error:
            yield Anomaly(what="resource-limit", detail=str(error), place=_CONFIG)


def _read(source: Source, member: Member, context: Context, limit: int) -> bytes | None:
    """A member's bytes; `None` where it is packed in a way that nothing here unpacks, which the zip reports."""
    reader = open_member(source.reader.window(member.data, member.packed), member.method, context)
    return None if reader is None else reader.whole(limit)


def _details(source: Source, context: Context) -> dict[str, str | int | float | bool]:
    for member in _named(source, _METADATA):
        try:
            data = _read(source, member, context, _LONGEST)
            document = keras_config.parse(data) if data is not None else None
        except ExaminationError:
            continue
        if isinstance(document, dict):
            return {key: document[key][:40] for key in _TOLD if isinstance(document.get(key), str)}
    return {}
