"""Descriptions of stored arrays: codecs that unpickle, and stores that lie elsewhere."""

import json
from typing import Any

import pytest

from tests.support import findings_of, worst

PLAIN: dict[str, Any] = {
    "zarr_format": 2,
    "chunks": [10],
    "compressor": {"id": "zstd", "level": 1},
    "dtype": "<f4",
    "fill_value": None,
    "filters": None,
    "order": "C",
    "shape": [10],
}
SHARDED = {"name": "sharding_indexed", "configuration": {"codecs": [{"name": "numcodecs.pickle"}]}}


def found(document: object, name: str = ".zarray") -> set[tuple[str, str]]:
    return {(item.rule, str(item.severity)) for item in findings_of(json.dumps(document).encode(), name)}


@pytest.mark.parametrize(
    "document",
    [
        {**PLAIN, "dtype": "|O", "filters": [{"id": "pickle", "protocol": 5}]},
        {**PLAIN, "compressor": {"id": "pickle"}},
        {"metadata": {"a/.zarray": {**PLAIN, "filters": [{"id": "vlen-utf8"}, {"id": "pickle"}]}}},
        {"zarr_format": 3, "node_type": "array", "codecs": [{"name": "numcodecs.pickle", "configuration": {}}]},
        {"zarr_format": 3, "node_type": "array", "codecs": [SHARDED]},
        {**PLAIN, "filters": [{"id": "delta"}] * 3000 + [{"id": "pickle"}]},
    ],
)
def test_a_codec_that_unpickles_is_critical(document: object) -> None:
    assert found(document) == {("array-codec-unpickles", "critical")}


def test_ordinary_descriptions_give_nothing() -> None:
    assert found(PLAIN) == set()
    assert found({**PLAIN, "dtype": "|O", "filters": [{"id": "vlen-utf8"}]}) == set()
    assert found({"zarr_format": 3, "node_type": "group", "attributes": {"codecs": "pickle"}}) == set()
    assert found({"tree_metadata": {"('a',)": {"value_metadata": {"value_type": "jax.Array"}}}}, "_METADATA") == set()


@pytest.mark.parametrize(
    ("store", "severity"),
    [
        ({"driver": "file", "path": "/root/.ssh/"}, "high"),
        ({"driver": "file", "path": "../../secrets"}, "high"),
        ({"driver": "http", "base_url": "https://bad.example/", "path": "w"}, "high"),
        ({"driver": "gcs", "bucket": "elsewhere", "path": "w/"}, "high"),
        ({"driver": "ocdbt", "base": {"driver": "ocdbt", "base": "file:///etc/"}}, "high"),
        ("http://169.254.169.254/latest/", "critical"),
        ({"driver": "file", "path": "params/kernel"}, "none"),
        ({"driver": ["file"], "path": 3}, "none"),
        ("memory://", "none"),
        ({"driver": "memory"}, "none"),
    ],
)
def test_stores_are_judged_by_where_they_lie(store: object, severity: str) -> None:
    document = json.dumps({"driver": "zarr", "kvstore": store}).encode()
    assert worst(findings_of(document, "spec.json")) == severity
