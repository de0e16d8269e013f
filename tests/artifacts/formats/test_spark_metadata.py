"""Metadata of Spark ML stages: which class loading looks up."""

import json

import pytest

from garrison.core.facts import Artifact
from tests.support import examine_bytes, facts_of, findings_of


def stage(name: str) -> bytes:
    parameters = {"stageUids": ["VectorAssembler_1"]}
    document = {"class": name, "timestamp": 1, "sparkVersion": "3.5.1", "uid": "P_1", "paramMap": parameters}
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize(
    "name", ["org.apache.spark.ml.PipelineModel", "pyspark.ml.pipeline.PipelineModel", "org.apache.spark.ml.feature.X"]
)
def test_stages_of_spark_itself_give_no_finding(name: str) -> None:
    assert findings_of(stage(name), "part-00000") == []
    (artifact,) = [f for f in facts_of(stage(name)) if isinstance(f, Artifact)]
    assert (artifact.format, artifact.details["class"], artifact.details["sparkVersion"]) == ("spark-ml", name, "3.5.1")


def test_java_classes_of_others_are_named() -> None:
    found = findings_of(stage("com.johnsnowlabs.nlp.DocumentAssembler"))
    assert [(item.rule, item.severity) for item in found] == [("java-class", "low")]


def test_python_classes_are_judged_as_imports() -> None:
    assert [item.severity for item in findings_of(stage("os.system"))] == ["critical"]
    assert [(i.rule, i.severity) for i in findings_of(stage("mine.steps.Clean"))] == [("unknown-import", "medium")]


def test_other_documents_with_a_class_are_no_stages() -> None:
    assert examine_bytes(b'{"class": "os.system", "uid": "x"}')[-1].formats == ["json"]
