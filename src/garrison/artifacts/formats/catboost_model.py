"""CatBoost models: `CBM1`, a length, a FlatBuffer, and the parts that it lists; and the export as JSON.

Sources: `catboost/libs/model/flatbuffers/model.fbs` and `features.fbs`; `TFullModel::Load` and `TModelTrees` in
`catboost/libs/model/model.cpp`.
"""

import json
import re
import struct

from garrison.artifacts import tree_structure
from garrison.artifacts.wire.flatbuffers import FlatBuffer, Table
from garrison.core.errors import LimitExceeded, Malformed
from garrison.core.facts import Anomaly, Artifact
from garrison.sources.source import Context, Extracted, Source

_Details = dict[str, str | int | float | bool]
_HEADER = 8
_SHOWN = 200
_INFO = 64 << 10
_MOST = 1 << 24
_NO_LEAF = 0xFFFFFFFF
# Fields of TModelCore and TModelTrees by their number.
_VERSION, _TREES, _INFOMAP, _PARTS = range(4)
_DIMENSION, _SPLITS, _SIZES, _STARTS, _CATEGORIES, _FLOATS, _ONE_HOT, _CTRS, _LEAVES = range(9)
_STEPS, _LEAF_IDS, _TEXTS, _ESTIMATED = range(10, 14)
_BORDERS = {_FLOATS: 3, _ONE_HOT: 1, _CTRS: 1}
"""Which field of a feature holds the values that split it."""
_JSON = re.compile(rb'\s*\{\s*"(?:ctr_data|features_info|oblivious_trees|scale_and_bias)"\s*:\s*[\[{]').match
_FEATURES = re.compile(rb'"(?:float_features|categorical_features|text_features)"\s*:').search


def extract(source: Source, context: Context) -> Extracted:
    """What the model says of itself, and trees that lead out of it. Raises `LimitExceeded`."""
    size = struct.unpack("<I", source.reader.exactly(4, 4))[0]
    details: _Details = {"framework": "catboost"}
    yield Artifact(format="catboost", details=details)
    if size and not source.reader.pread(_HEADER + size - 1, 1):
        raise Malformed(f"the core is said to be {size} bytes, and there are fewer")
    parts: list[str] = []
    try:
        core = FlatBuffer(source.reader, _HEADER, size, check_time=context.check_time).root()
        details["version"] = core.text(_VERSION, _SHOWN)
        _information(core, details)
        parts = list(core.texts(_PARTS))
        trees = core.table(_TREES)
        if trees is not None:
            for place, problem in _trees(trees, details):
                yield Anomaly(what="tree-structure", detail=problem, place=place)
    except Malformed as error:
        # All of the file was seen: CatBoost, which checks the buffer, would refuse it here.
        yield Anomaly(what="malformed", detail=f"the core is no sound FlatBuffer: {error}")
    if parts:
        details["parts"] = ", ".join(parts)[:_SHOWN]
    elif source.reader.pread(_HEADER + size, 1):
        yield Anomaly(what="trailing-data", detail="bytes follow the model", place=f"@ {_HEADER + size:#x}")
        yield source.member("(trailing data)", source.reader.window(_HEADER + size, 1 << 60))


def _information(core: Table, details: _Details) -> None:
    for entry in core.tables(_INFOMAP):
        key = entry.text(0, _SHOWN)
        if key in ("model_guid", "train_finish_time"):
            details[key] = entry.text(1, _SHOWN)
        elif key == "catboost_version_info":
            found = re.search(r"tags/v([\w.]+)", entry.text(1))
            if found:
                details["catboost"] = found[1]
        elif key == "params":
            details |= _parameters(entry.text(1, _INFO))


def _parameters(text: str) -> _Details:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return _trained(document)


def _trained(document: object) -> _Details:
    loss = document.get("loss_function") if isinstance(document, dict) else None
    kind = loss.get("type") if isinstance(loss, dict) else None
    return {"objective": kind[:_SHOWN]} if isinstance(kind, str) else {}


def _numbers(trees: Table, field: int, code: str) -> tuple[int, ...]:
    span = trees.vector(field, struct.calcsize(f"<{code}"))
    if span.count > _MOST:
        raise LimitExceeded("buffer", f"a vector of {span.count} numbers")
    return trees.numbers(field, code, _MOST)


def _trees(trees: Table, details: _Details) -> list[tuple[str, str]]:
    """What is wrong, by the part that is."""
    splits, sizes, starts = (_numbers(trees, field, "i") for field in (_SPLITS, _SIZES, _STARTS))
    dimension = trees.number(_DIMENSION, "i")
    leaves = trees.vector(_LEAVES, 8).count
    details["trees"] = len(sizes)
    details["features"] = trees.vector(_FLOATS, 4).count + trees.vector(_CATEGORIES, 4).count
    problems: list[tuple[str, str]] = []
    estimated = trees.vector(_TEXTS, 4).count or trees.vector(_ESTIMATED, 4).count
    if not estimated:
        values = sum(
            feature.vector(number, 4).count for kind, number in _BORDERS.items() for feature in trees.tables(kind)
        )
        problems.append(("splits", tree_structure.features(splits, max(values, 1))))
    if sizes and min(sizes) < 0:
        problems.append(("sizes", f"a tree of {min(sizes)} splits"))
    elif sum(sizes) > len(splits):
        problems.append(("sizes", f"the trees have {sum(sizes)} splits, and there are {len(splits)}"))
    if any(start < 0 or start + size > len(splits) for start, size in zip(starts, sizes, strict=False)):
        problems.append(("offsets", f"a tree starts or ends outside the {len(splits)} splits"))
    steps = _numbers(trees, _STEPS, "I")
    if steps:
        problems += _steps(steps, _numbers(trees, _LEAF_IDS, "I"), leaves)
    elif not any(problem for _, problem in problems) and max(sizes, default=0) < 32:
        needed = sum(1 << size for size in sizes) * max(dimension, 1)
        if needed > leaves:
            problems.append(("leaves", f"the trees need {needed} leaf values, and there are {leaves}"))
    return [(place, problem) for place, problem in problems if problem]


def _steps(steps: tuple[int, ...], leaf_ids: tuple[int, ...], leaves: int) -> list[tuple[str, str]]:
    """Nodes of trees that are not symmetric: how far ahead each child stands, in 16 bits each."""
    for node, step in enumerate(steps):
        if node + max(step & 0xFFFF, step >> 16) >= len(steps):
            return [("steps", f"a child of node {node} stands behind the last of {len(steps)}")]
    wrong = [leaf for leaf in leaf_ids if leaf != _NO_LEAF and leaf >= leaves]
    if wrong:
        return [("leaves", f"a node gives leaf value {wrong[0]} of {leaves}")]
    return []


def sniff_json(source: Source) -> bool:
    """The first key of an export, and the names of its kinds of features."""
    head = source.reader.pread(0, 1 << 16)
    return _JSON(head) is not None and _FEATURES(head) is not None


def extract_json(source: Source, context: Context) -> Extracted:
    """What an export says of itself."""
    from garrison.artifacts.documents import walk
    from garrison.artifacts.formats.json_document import parse

    document = parse(source.reader.whole(context.limits.buffer))
    details: _Details = {"framework": "catboost"}
    if isinstance(document, dict):
        information = document.get("model_info")
        details |= _trained(information.get("params")) if isinstance(information, dict) else {}
        for key in ("oblivious_trees", "trees"):
            if isinstance(document.get(key), list):
                details["trees"] = len(document[key])
    yield Artifact(format="catboost-json", details=details)
    yield from walk(source, document)
