"""LightGBM models: the text that `save_model` writes and `Booster(model_file=...)` reads, and its dump as JSON.

Sources: `src/boosting/gbdt_model_text.cpp` (`LoadModelFromString`) and `src/io/tree.cpp` (`Tree::Tree(const char*)`) of
LightGBM 2 to 4.
"""

import re
from collections.abc import Iterator

from garrison.artifacts import tree_structure
from garrison.core.errors import LimitExceeded, Malformed
from garrison.core.facts import Anomaly, Artifact
from garrison.sources.source import Context, Extracted, Source

_SHOWN = 200
_HEADER = 200
_PROBLEMS = 20
_PARTS = re.compile(rb"^(?:num_class|max_feature_idx|num_tree_per_iteration)=", re.MULTILINE).search
_BEGINNING = re.compile(rb"tree\r?\n(?:version=v?\d+\r?\n)?").match
_DUMP = re.compile(rb'\s*\{\s*"name"\s*:\s*"tree"\s*,\s*"version"\s*:\s*"v\d+"\s*,\s*"num_class"\s*:').match
_TOLD = ("version", "num_class", "objective", "max_feature_idx", "feature_names", "tree_sizes")
_WANTED = frozenset(
    {"num_leaves", "num_cat", "split_feature", "left_child", "right_child", "decision_type", "threshold"}
    | {"cat_boundaries", "cat_threshold", "leaf_features"}
)
_PARAMETERS = {"boosting": "boosting", "num_iterations": "iterations", "learning_rate": "learning_rate"}
_Tree = dict[str, str]


def sniff(source: Source) -> bool:
    """The line `tree`, then lines of a model's header."""
    head = source.reader.pread(0, 4096)
    return _BEGINNING(head) is not None and _PARTS(head) is not None


def sniff_dump(source: Source) -> bool:
    """The first keys that `dump_model` writes."""
    return _DUMP(source.reader.pread(0, 256)) is not None


def extract_dump(source: Source, context: Context) -> Extracted:
    """A dump is for people and converters: LightGBM does not read it back."""
    from garrison.artifacts.documents import walk
    from garrison.artifacts.formats.json_document import parse

    document = parse(source.reader.whole(context.limits.buffer))
    details: dict[str, str | int | float | bool] = {"framework": "lightgbm"}
    if isinstance(document, dict):
        details |= {k: v for k in _TOLD if isinstance(v := document.get(k), str | int)}
        trees = document.get("tree_info")
        if isinstance(trees, list):
            details["trees"] = len(trees)
    yield Artifact(format="lightgbm-dump", details=details)
    yield from walk(source, document)


def extract(source: Source, context: Context) -> Extracted:
    """What the header and the parameters say, and trees that lead out of the model.

    Raises `Malformed` and `LimitExceeded`.
    """
    details: dict[str, str | int | float | bool] = {"framework": "lightgbm"}
    yield Artifact(format="lightgbm", details=details)
    reading = _Reading(source, context)
    header = reading.header()
    for key in ("version", "num_class", "objective"):
        if key in header:
            details[key] = header[key][:_SHOWN]
    features = _integer(header.get("max_feature_idx", "-1")) + 1
    details["features"] = features
    sizes = header.get("tree_sizes", "").split()
    if sizes and (detail := _sizes(source, sizes, reading.position)):
        yield Anomaly(what="tree-structure", detail=detail, place="tree_sizes")
    trees = broken = 0
    for tree in reading.trees():
        context.check_time()
        if problem := _problem(tree, features):
            broken += 1
            if broken <= _PROBLEMS:
                yield Anomaly(what="tree-structure", detail=problem, place=f"tree {trees}")
        trees += 1
    if broken > _PROBLEMS:
        yield Anomaly(what="tree-structure", detail=f"{broken - _PROBLEMS} further trees are broken likewise")
    details["trees"] = trees
    details |= reading.parameters()
    if sizes and len(sizes) != trees:
        yield Anomaly(what="malformed", detail=f"the header promises {len(sizes)} trees, and there are {trees}")


def _sizes(source: Source, sizes: list[str], start: int) -> str:
    """LightGBM jumps from tree to tree by these lengths without looking where the text ends."""
    lengths = [_integer(size) for size in sizes]
    if min(lengths) < 0:
        return f"a tree's length is {min(lengths)}"
    if start + sum(lengths[:-1]) > source.reader.size:
        return f"the lengths of the trees add up to {sum(lengths)} bytes, more than the text has"
    return ""


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Malformed(f"{text[:50]!r} where a number belongs") from None


def _integers(tree: _Tree, key: str) -> list[int]:
    return [_integer(part) for part in tree.get(key, "").split()]


class _Reading:
    """The lines of a model: a header, trees, and a part of parameters."""

    def __init__(self, source: Source, context: Context) -> None:
        self._file = source.reader.file()
        self._limit = context.limits.buffer
        self._line = ""
        self.position = 0
        """Behind the line that was read last."""

    def _next(self) -> bool:
        raw = self._file.readline(self._limit + 1)
        if len(raw) > self._limit:
            raise LimitExceeded("buffer", f"a line of more than {self._limit} bytes")
        self.position += len(raw)
        self._line = raw.decode("utf-8", "replace").rstrip("\r\n")
        return bool(raw)

    def header(self) -> dict[str, str]:
        """The keys before the first tree."""
        found: dict[str, str] = {}
        while self._next() and not self._line.startswith("Tree="):
            key, equals, value = self._line.partition("=")
            if equals and len(found) < _HEADER:
                found[key] = value
            elif self._line.strip() in ("end of trees", "parameters:"):
                break
        return found

    def trees(self) -> Iterator[_Tree]:
        """The keys of each tree that lead somewhere."""
        while self._line.startswith("Tree="):
            tree: _Tree = {}
            while self._next() and not self._line.startswith(("Tree=", "end of trees", "parameters:")):
                key, equals, value = self._line.partition("=")
                if equals and key in _WANTED:
                    tree[key] = value
            yield tree

    def parameters(self) -> dict[str, str | int | float | bool]:
        """How the model was trained."""
        found: dict[str, str | int | float | bool] = {}
        more = True
        while more and self._line != "end of parameters":
            key, colon, value = self._line.strip("[]").partition(": ")
            if colon and key in _PARAMETERS and value:
                found[_PARAMETERS[key]] = value[:_SHOWN]
            more = self._next()
        return found


def _problem(tree: _Tree, features: int) -> str:
    """Inner nodes count up from 0; a child below 0 is a leaf, -1 the first."""
    leaves = _integer(tree.get("num_leaves", "1"))
    left, right, splits = (_integers(tree, key) for key in ("left_child", "right_child", "split_feature"))
    if leaves < 1 or not len(left) == len(right) == len(splits) == leaves - 1:
        if leaves == 1 and not left and not right:
            return ""
        raise Malformed(f"a tree of {leaves} leaves has {len(left)}, {len(right)} and {len(splits)} inner nodes")
    return (
        tree_structure.children(left + right, -leaves, leaves - 1)
        or tree_structure.features(splits + _integers(tree, "leaf_features"), features)
        or _categories(tree)
    )


def _categories(tree: _Tree) -> str:
    """A node that splits on a category has an index into bounds, and these into sets of bits."""
    count = _integer(tree.get("num_cat", "0"))
    if count <= 0:
        return ""
    bounds, bits = _integers(tree, "cat_boundaries"), len(tree.get("cat_threshold", "").split())
    if len(bounds) != count + 1 or bounds != sorted(bounds) or bounds[0] < 0 or bounds[-1] > bits:
        return f"the sets of {count} categorical splits do not lie inside their {bits} words"
    for kind, threshold in zip(_integers(tree, "decision_type"), tree.get("threshold", "").split(), strict=False):
        if kind & 1:
            try:
                index = int(float(threshold))
            except (ValueError, OverflowError):
                index = -1
            if not 0 <= index < count:
                return f"a node splits on set {threshold[:50]} of {count}"
    return ""
