"""What descriptions of stored arrays make their readers do: Zarr's codecs, and where TensorStore fetches from.

Source: https://zarr-specs.readthedocs.io/, `numcodecs/pickles.py` (its codec unpickles each chunk) and
https://google.github.io/tensorstore/spec.html. Orbax checkpoints are made of both.
"""

from collections.abc import Iterator
from typing import Any

from garrison.core.facts import Anomaly, AnyFact, Reference

_UNPICKLES = frozenset({"pickle", "numcodecs.pickle", "https://zarr.dev/numcodecs/pickle"})
_CODECS = 100_000
_ADAPTERS = 8
_BUCKETS = {"gcs": "gs", "gcs_grpc": "gs", "s3": "s3"}


def described(place: str, value: dict[Any, Any]) -> Iterator[AnyFact]:
    """Facts about one mapping of a document, where it describes an array."""
    if value.get("zarr_format") in (2, 3) and type(value["zarr_format"]) is int:
        for name in _codecs(value):
            if name in _UNPICKLES:
                detail = f"the codec {name!r} unpickles each chunk of the array when it is read"
                yield Anomaly(what="array-codec-unpickles", detail=detail, place=place)
                break
    if isinstance(value.get("driver"), str) and "kvstore" in value:
        target = _location(value["kvstore"])
        if target:
            where = f"{place}.kvstore".lstrip(".")
            yield Reference(target=target, role="external-data", detail="a TensorStore spec", place=where)


def _codecs(value: dict[Any, Any]) -> Iterator[str]:
    """Names of codecs, those inside of others too."""
    pending: list[object] = [
        value.get(key) for key in ("compressor", "filters", "codecs", "object_codec", "storage_transformers")
    ]
    for _ in range(_CODECS):
        if not pending:
            return
        item = pending.pop()
        if isinstance(item, list):
            pending += item
        elif isinstance(item, dict):
            yield from (item[key] for key in ("id", "name") if isinstance(item.get(key), str))
            pending += [inner for inner in item.values() if isinstance(inner, dict | list)]


def _location(store: object, depth: int = 0) -> str:
    """Where a key-value store lies, as an address or a path."""
    if isinstance(store, str):
        return "" if store.startswith("memory:") else store.split("|")[0]
    if not isinstance(store, dict) or depth > _ADAPTERS:
        return ""
    if "base" in store:
        # An adapter, such as ocdbt or zip, over another store.
        return _location(store["base"], depth + 1)
    path = store.get("path") if isinstance(store.get("path"), str) else ""
    driver = store.get("driver")
    if isinstance(store.get("base_url"), str):
        return f"{store['base_url']}{path}"
    if isinstance(driver, str) and driver in _BUCKETS and isinstance(store.get("bucket"), str):
        return f"{_BUCKETS[driver]}://{store['bucket']}/{path}"
    return str(path) if driver in ("file", "gfile") else ""
