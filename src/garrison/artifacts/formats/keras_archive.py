"""Keras 3 archives: a zip with `config.json`, `metadata.json` and `model.weights.h5`.

Source: `keras/src/saving/saving_lib.py`.
"""

from garrison.artifacts import keras_config
from garrison.core.errors import ExaminationError, Malformed
from garrison.core.facts import Anomaly, Artifact
from garrison.sources.containers.zip import Member, directory, open_member
from garrison.sources.source import Context, Extracted, Source

_CONFIG = "config.json"


def _configurations(source: Source) -> list[Member]:
    return [member for member in directory(source.reader).members if member.name.lstrip("./") == _CONFIG]


def sniff(source: Source) -> bool:
    """A zip whose top holds a `config.json` beside Keras' other parts."""
    if source.reader.pread(0, 2) != b"PK":
        return False
    names = {member.name.lstrip("./") for member in directory(source.reader).members}
    return (_CONFIG in names and bool(names & {"metadata.json", "model.weights.h5", "model.weights.npz"})) or (
        source.name.endswith(".keras") and _CONFIG in names
    )


def extract(source: Source, context: Context) -> Extracted:
    """What the configuration resolves, runs and reads; the members are sources of the zip itself."""
    details: dict[str, str | int | float | bool] = {}
    yield Artifact(format="keras", details=details)
    for member in _configurations(source):
        packed = source.reader.window(member.data, member.packed)
        reader = open_member(packed, member.method, context)
        if reader is None:
            continue
        try:
            document = keras_config.parse(reader.whole(context.limits.buffer))
            yield from keras_config.walk(document)
        except Malformed as error:
            yield Anomaly(what="malformed", detail=str(error), place=_CONFIG)
        except ExaminationError as error:
            yield Anomaly(what="resource-limit", detail=str(error), place=_CONFIG)
