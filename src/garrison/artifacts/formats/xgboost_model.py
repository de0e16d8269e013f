"""XGBoost models: JSON, UBJSON, and the binary form that came before.

Sources: `doc/model.schema` and `doc/tutorials/saving_model.rst` of XGBoost; `src/tree/tree_model.cc`,
`src/gbm/gbtree_model.cc`, and `src/learner.cc` (`LearnerModelParamLegacy`, `LearnerIO::Load`) of 0.72 to 3.2.
"""

import re
import struct
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

from garrison.artifacts import tree_structure
from garrison.artifacts.wire.ubjson import Numbers, Ubjson
from garrison.core.errors import Malformed
from garrison.core.facts import Anomaly, AnyFact, Artifact
from garrison.sources.reader import Reader
from garrison.sources.source import Context, Extracted, Source

_Details = dict[str, str | int | float | bool]
_JSON = re.compile(rb'[\xef\xbb\xbf\s]*\{\s*(?:"version"\s*:\s*\[[\d,\s]{0,60}\]\s*,\s*)?"learner"\s*:\s*\{').match
_JSON_PARTS = re.compile(rb'"(?:learner_model_param|gradient_booster|attributes|feature_names)"\s*:').search
_FIRST_KEYS = frozenset({"learner", "version", "Config", "Model"})
_HEAD = 1 << 16
_PROBLEMS = 20
_SHOWN = 100


def sniff_json(source: Source) -> bool:
    """An object that begins with a learner, or with a version and a learner."""
    head = source.reader.pread(0, _HEAD)
    return _JSON(head) is not None and _JSON_PARTS(head) is not None


def extract_json(source: Source, context: Context) -> Extracted:
    """What the model says of itself, and trees that lead out of it. Raises `Malformed` and `LimitExceeded`."""
    from garrison.artifacts.documents import walk
    from garrison.artifacts.formats.json_document import parse

    document = parse(source.reader.whole(context.limits.buffer))
    yield from _model(document, context, "xgboost-json")
    yield from walk(source, document)


def sniff_ubjson(source: Source) -> bool:
    """An object whose first key is one of a model's."""
    head = source.reader.pread(0, 32)
    width = {b"i": 1, b"U": 1, b"I": 2, b"l": 4, b"L": 8}.get(head[1:2])
    if head[:1] != b"{" or width is None:
        return False
    length = int.from_bytes(head[2 : 2 + width], "big")
    return 0 < length <= 8 and head[2 + width : 2 + width + length].decode("latin-1") in _FIRST_KEYS


def extract_ubjson(source: Source, context: Context) -> Extracted:
    """As for JSON; a snapshot of a whole `Booster`, as pickles hold it, has the model beside its configuration."""
    reading = Ubjson(source.reader, context)
    document = reading.document()
    yield from _model(document, context, "xgboost-ubjson")
    yield from _rest(source, reading.position)


def _rest(source: Source, end: int) -> Extracted:
    if source.reader.pread(end, 1):
        yield Anomaly(what="trailing-data", detail="bytes follow the model", place=f"@ {end:#x}")
        yield source.member("(trailing data)", source.reader.window(end, 1 << 60))


def _mapping(value: object, *path: str) -> dict[str, Any]:
    """The object at a path, empty where there is none."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _integer(value: object) -> int:
    """A number that XGBoost writes as text or as a number; 0 where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return 0
    try:
        return int(float(value))
    except (ValueError, OverflowError):
        return 0


def _model(document: object, context: Context, form: str) -> Iterator[AnyFact]:
    document = _mapping(document, "Model") or _mapping(document)
    learner = _mapping(document, "learner")
    parameters = _mapping(learner, "learner_model_param")
    booster = _mapping(learner, "gradient_booster")
    model = _mapping(booster, "model") or _mapping(booster, "gbtree", "model")
    details: _Details = {"framework": "xgboost", "form": form.rpartition("-")[2]}
    version = document.get("version")
    if isinstance(version, list) and len(version) == 3:
        details["version"] = ".".join(str(_integer(part)) for part in version)
    for key, value in (("objective", _mapping(learner, "objective").get("name")), ("booster", booster.get("name"))):
        if isinstance(value, str):
            details[key] = value[:_SHOWN]
    for key, inner in (("features", "num_feature"), ("classes", "num_class"), ("targets", "num_target")):
        if inner in parameters:
            details[key] = _integer(parameters[inner])
    trees = model.get("trees")
    if isinstance(trees, list):
        details["trees"] = len(trees)
    attributes = _mapping(learner, "attributes")
    if attributes:
        details["attributes"] = ", ".join(sorted(str(key)[:_SHOWN] for key in attributes))[:500]
    yield Artifact(format=form, details=details)
    if isinstance(trees, list):
        promised = _integer(_mapping(model, "gbtree_model_param").get("num_trees"))
        if promised != len(trees):
            yield Anomaly(what="malformed", detail=f"the model promises {promised} trees and has {len(trees)}")
        groups = max(_integer(parameters.get("num_class")), _integer(parameters.get("num_target")), 1)
        yield from _first(_trees(model, trees, _integer(parameters.get("num_feature")), groups, context))


def _first(problems: Iterator[tuple[str, str]]) -> Iterator[AnyFact]:
    """The first problems as facts, the others counted."""
    more = 0
    for number, (place, problem) in enumerate(problems):
        if number < _PROBLEMS:
            yield Anomaly(what="tree-structure", detail=problem, place=place)
        else:
            more += 1
    if more:
        yield Anomaly(what="tree-structure", detail=f"{more} further trees are broken likewise")


def _trees(
    model: dict[str, Any], trees: list[Any], features: int, groups: int, context: Context
) -> Iterator[tuple[str, str]]:
    for number, tree in enumerate(trees):
        context.check_time()
        if problem := _tree(_mapping(tree), features, context):
            yield f"tree {number}", problem
    information = _numbers(model.get("tree_info"), context)
    if information and not 0 <= min(information) <= max(information) < groups:
        yield "tree_info", f"a tree adds to an output beyond the {groups} that there are"
    rounds = _numbers(model.get("iteration_indptr"), context)
    if rounds and (list(rounds) != sorted(rounds) or rounds[0] < 0 or rounds[-1] > len(trees)):
        yield "iteration_indptr", f"the rounds do not lie inside the {len(trees)} trees"


def _numbers(value: object, context: Context) -> Sequence[int]:
    """An array of integers, however it was written. Raises `Malformed` where it holds something else."""
    if isinstance(value, Numbers):
        value = value.read(context.limits.buffer)
    if not isinstance(value, list | array):
        return []
    if isinstance(value, array) and value.typecode not in "fd":
        return value
    try:
        return [int(item) for item in value]
    except (ValueError, TypeError, OverflowError):
        raise Malformed("an array of indices holds something that is no number") from None


def _tree(tree: dict[str, Any], features: int, context: Context) -> str:
    left, right = _numbers(tree.get("left_children"), context), _numbers(tree.get("right_children"), context)
    splits = _numbers(tree.get("split_indices"), context)
    promised = _integer(_mapping(tree, "tree_param").get("num_nodes"))
    if not len(left) == len(right) == len(splits) == promised:
        raise Malformed(f"a tree of {promised} nodes has {len(left)}, {len(right)} and {len(splits)} of its parts")
    return _structure(left, right, splits, features)


def _structure(left: Sequence[int], right: Sequence[int], splits: Sequence[int], features: int) -> str:
    """Leaves have no left child; what stands at their right is not followed."""
    inner = [node for node, child in enumerate(left) if child != -1]
    both = [left[node] for node in inner] + [right[node] for node in inner]
    return tree_structure.children(both, 0, len(left)) or tree_structure.features([splits[n] for n in inner], features)


# The binary form.

_PREFIX = b"binf"
_LEARNER = struct.Struct("<fIiiiIII104x")
_GBTREE = 160
_GBLINEAR = 136
_TREE = 148
_BOOSTERS = ("gbtree", "dart", "gblinear")
_LONGEST_NAME = 256
_NAME = re.compile(rb"[a-z]+(?::[a-z0-9_]+)?").fullmatch


def sniff_binary(source: Source) -> bool:
    """A learner's parameters, and behind them the names of its objective and its booster."""
    try:
        return _names(source.reader) is not None
    except Malformed:
        return False


def _names(reader: Reader) -> tuple[int, str, str, int] | None:
    """Where the parameters start, the two names, and where the booster starts; `None` for anything else."""
    start = len(_PREFIX) if reader.pread(0, 4) == _PREFIX else 0
    position = start + _LEARNER.size
    length = reader.pread(position, 8)
    if len(length) < 8 or not 0 < int.from_bytes(length, "little") <= _LONGEST_NAME:
        return None
    objective, position = _string(reader, position)
    booster, position = _string(reader, position)
    if booster.decode("latin-1") not in _BOOSTERS or not _NAME(objective):
        return None
    return start, objective.decode("latin-1"), booster.decode("latin-1"), position


def _count(reader: Reader, position: int, size: int = 1) -> tuple[int, int]:
    """A count of items of `size` bytes, which must be there."""
    count = int.from_bytes(reader.exactly(position, 8), "little")
    if count and not reader.pread(position + 8 + count * size - 1, 1):
        raise Malformed(f"a count of {count} at {position:#x}, more than there are bytes")
    return count, position + 8


def _string(reader: Reader, position: int) -> tuple[bytes, int]:
    length, position = _count(reader, position)
    return reader.pread(position, min(length, 4096)), position + length


def extract_binary(source: Source, context: Context) -> Extracted:
    """What the parameters say, and trees that lead out of the model. Raises `Malformed`."""
    reader = source.reader
    found = _names(reader)
    if found is None:
        raise Malformed("no booster follows the learner's parameters")
    start, objective, booster, position = found
    _, features, classes, attributed, measured, major, minor, targets = _LEARNER.unpack(
        reader.exactly(start, _LEARNER.size)
    )
    details: _Details = {"framework": "xgboost", "form": "binary", "objective": objective, "booster": booster}
    details |= {"features": features, "classes": classes}
    if (major, minor) != (0, 0) and major < 100:
        details["version"] = f"{major}.{minor}"
    if booster == "gblinear":
        count, position = _count(reader, position + _GBLINEAR, 4)
        position += 4 * count
        yield Artifact(format="xgboost-binary", details=details)
    else:
        trees = struct.unpack("<i", reader.exactly(position, 4))[0]
        details["trees"] = trees
        yield Artifact(format="xgboost-binary", details=details)
        walk = _Binary(reader, context, position + _GBTREE)
        yield from _first(walk.trees(trees, features, max(classes, targets if major else 0, 1)))
        position = walk.position
    if booster == "dart":
        count, position = _count(reader, position, 4)
        position += 4 * count
    yield from _rest(source, _texts(reader, position, bool(attributed), bool(measured), context))


def _texts(reader: Reader, position: int, attributed: bool, measured: bool, context: Context) -> int:
    """The end of the attributes, pairs of texts, and of the names of metrics."""
    for present, each in ((attributed, 2), (measured, 1)):
        if present:
            count, position = _count(reader, position)
            for _ in range(count * each):
                context.check_time()
                _, position = _string(reader, position)
    return position


class _Binary:
    """The trees of a binary model, one after another."""

    def __init__(self, reader: Reader, context: Context, position: int) -> None:
        self._reader = reader
        self._context = context
        self.position = position

    def trees(self, count: int, features: int, groups: int) -> Iterator[tuple[str, str]]:
        if count < 0:
            raise Malformed(f"a model of {count} trees")
        for number in range(count):
            self._context.check_time()
            if problem := self._tree(features):
                yield f"tree {number}", problem
        information = array("i", self._take(4 * count))
        if information and not 0 <= min(information) <= max(information) < groups:
            yield "tree_info", f"a tree adds to an output beyond the {groups} that there are"

    def _take(self, size: int) -> bytes:
        if size:
            self._reader.exactly(self.position + size - 1, 1)
        data = self._reader.exactly(self.position, size)
        self.position += size
        return data

    def _tree(self, features: int) -> str:
        """Nodes are a parent, two children, a split with its default's direction in the top bit, and a value."""
        nodes = struct.unpack_from("<i", self._take(_TREE), 4)[0]
        if nodes < 0:
            raise Malformed(f"a tree of {nodes} nodes at {self.position:#x}")
        fields = array("i", self._take(20 * nodes))
        self._take(16 * nodes)
        splits = [value & 0x7FFFFFFF for value in fields[3::5]]
        return _structure(fields[1::5], fields[2::5], splits, features)
