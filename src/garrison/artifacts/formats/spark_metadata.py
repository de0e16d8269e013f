"""The metadata of a Spark ML stage: one line of JSON, `metadata/part-00000` in the folder of each stage.

Sources: `DefaultParamsReader` in Spark's `ml/util/ReadWrite.scala`, which loads the class that `class` names and calls
its `read`, and in `python/pyspark/ml/util.py`, which imports it where the stage was written by Python.
"""

import re

from garrison.core.errors import Malformed
from garrison.core.facts import Anomaly, Artifact, Import
from garrison.sources.source import Context, Extracted, Source

_SHOWN = 200
_HEAD = 1 << 16
_BEGINNING = re.compile(rb'\s*\{\s*"class"\s*:\s*"').match
_VERSION = re.compile(rb'"sparkVersion"\s*:\s*"').search
_OWN = ("org.apache.spark.ml.", "pyspark.ml.")
_JAVA = frozenset({"ai", "ch", "co", "com", "de", "edu", "eu", "fr", "gov", "io", "java", "javax", "ml", "net", "org"})
"""First parts of Java packages, which are domains the wrong way round."""


def sniff(source: Source) -> bool:
    """An object that begins with a class and holds a version of Spark."""
    head = source.reader.pread(0, _HEAD)
    return _BEGINNING(head) is not None and _VERSION(head) is not None


def extract(source: Source, context: Context) -> Extracted:
    """The class that loading looks up. Raises `Malformed` and `LimitExceeded`."""
    from garrison.artifacts.documents import walk
    from garrison.artifacts.formats.json_document import parse

    document = parse(source.reader.whole(context.limits.buffer))
    if not isinstance(document, dict) or not isinstance(document.get("class"), str):
        raise Malformed("the metadata names no class")
    name: str = document["class"]
    details: dict[str, str | int | float | bool] = {"framework": "spark", "class": name[:_SHOWN]}
    for key in ("sparkVersion", "uid"):
        if isinstance(document.get(key), str):
            details[key] = document[key][:_SHOWN]
    yield Artifact(format="spark-ml", details=details)
    if not name.startswith(_OWN):
        if name.partition(".")[0] in _JAVA:
            detail = f"loading looks up the Java class {name[:_SHOWN]} and calls its read"
            yield Anomaly(what="java-class", detail=detail, place="class")
        else:
            module, _, last = name.rpartition(".")
            yield Import(module=module, name=last, origin="spark", usage="method", place="class")
    yield from walk(source, document)
