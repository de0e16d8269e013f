"""skops archives: a zip whose `schema.json` is a tree of nodes, each naming a type for the loader to resolve.

Sources: `skops/io/_audit.py` (`get_tree`), `_general.py`, `_numpy.py`, `_sklearn.py` and `_utils.py` (`gettype`) of
0.5 to 0.16. What a node declares (`__module__`, `__class__`) is what the loader's audit shows to the user; what it does
depends on `__loader__`, and the two differed (CVE-2025-54412, CVE-2025-54413).
"""

import json
from collections.abc import Iterator
from typing import Any, Literal

from garrison.core.described import described
from garrison.core.errors import LimitExceeded, Malformed, NotUnderstood
from garrison.core.facts import Anomaly, AnyFact, Artifact, Import
from garrison.sources.containers.zip import Member, directory, open_member
from garrison.sources.source import Context, Extracted, Source

_SCHEMA = "schema.json"
_NODES = 5_000_000
_ARGUMENTS = 8
_CHAIN = 64
_Usage = Literal["reference", "call", "state"]
_USAGE: dict[str, _Usage] = {
    **dict.fromkeys(("DictNode", "ListNode", "SetNode", "TupleNode", "NdArrayNode", "RandomStateNode"), "call"),
    **dict.fromkeys(("ConstructorFromReduceNode", "LossNode", "RandomGeneratorNode", "ReduceNode"), "call"),
    **dict.fromkeys(("TypeNode", "FunctionNode"), "reference"),
    "ObjectNode": "state",
}
"""What constructing a node does with the type that it declares."""
_FIXED = frozenset(
    {"JsonNode", "BytesNode", "BytearrayNode", "SliceNode", "PartialNode", "DefaultDictNode", "DTypeNode"}
    | {"SparseMatrixNode", "MaskedArrayNode", "TreeNode", "QuantileForestNode", "CachedNode", "MethodNode"}
    | {"OperatorFuncNode", "_DictWithDeprecatedKeysNode"}
)
"""Nodes that construct one type or none, whatever they declare."""
_PATHS = frozenset({"TypeNode", "FunctionNode", "MethodNode"})
"""Nodes that give the thing itself and no instance of it."""
_Node = dict[str, Any]


class _TooDeep(LimitExceeded):
    """The schema is nested deeper than can be read; whether a loader can depends on its Python."""

    def __init__(self, message: str) -> None:
        super().__init__("depth", message)


def _schema_member(source: Source) -> Member | None:
    """The member that Python's `zipfile` gives for the name: the last of them."""
    found = [member for member in directory(source.reader).members if member.name == _SCHEMA]
    return found[-1] if found else None


def _schema(source: Source, context: Context, member: Member) -> object:
    packed = source.reader.window(member.data, member.packed)
    reader = open_member(packed, member.method, context)
    if member.data < 0 or reader is None:
        raise Malformed("schema.json cannot be unpacked")
    data = reader.whole(context.limits.buffer)
    import msgspec

    try:
        return msgspec.json.decode(data)
    except RecursionError:
        raise _TooDeep("schema.json is nested too deep") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        return json.loads(data)
    except RecursionError:
        raise _TooDeep("schema.json is nested too deep") from None
    except ValueError as error:
        raise Malformed(f"schema.json is no JSON: {str(error)[:120]}") from None


def sniff(source: Source) -> bool:
    """A zip with a `schema.json` whose root is a node."""
    from garrison.core.limits import Limits

    member = _schema_member(source)
    if member is None:
        return False
    try:
        document = _schema(source, Context(Limits(), member.packed), member)
    except _TooDeep:
        return True
    return isinstance(document, dict) and isinstance(document.get("__loader__"), str)


def extract(source: Source, context: Context) -> Extracted:
    """What the loader imports and calls for each node. Raises `Malformed` and `LimitExceeded`."""
    member = _schema_member(source)
    try:
        root = _schema(source, context, member) if member is not None else None
    except _TooDeep as error:
        yield Anomaly(what="skops-nested-schema", detail=f"{error}: no writer does that", place=_SCHEMA)
        raise
    if not isinstance(root, dict):
        raise Malformed("schema.json holds no node")
    details: dict[str, str | int | float | bool] = {"framework": "scikit-learn", "type": _declared(root)}
    if isinstance(root.get("_skops_version"), str):
        details["skops"] = root["_skops_version"][:100]
    if isinstance(root.get("protocol"), int):
        details["protocol"] = root["protocol"]
    tree = _Tree(context)
    nodes = list(tree.nodes(root))
    details["nodes"] = len(nodes)
    yield Artifact(format="skops", details=details)
    description = described(
        architecture=details["type"], frameworks={"skops": details.get("skops", ""), "scikit-learn": _written_by(root)}
    )
    if description is not None:
        yield description
    seen: set[tuple[str, ...]] = set()
    for node, place in nodes:
        for fact in tree.facts(node, place):
            key = (fact.module, fact.name, fact.usage, *fact.arguments) if isinstance(fact, Import) else (fact.place,)
            if key not in seen:
                seen.add(key)
                yield fact
    yield from _forests(source, context, tree.arrays_of_nodes(nodes))


def _forests(source: Source, context: Context, arrays: dict[str, int]) -> Iterator[AnyFact]:
    """Trees whose nodes lead out of them, by the members that hold the nodes."""
    from garrison.artifacts import sklearn_trees

    members = {member.name: member for member in directory(source.reader).members} if arrays else {}
    for name, features in arrays.items():
        context.check_time()
        member = members.get(name)
        if member is None or member.data < 0:
            continue
        reader = open_member(source.reader.window(member.data, member.packed), member.method, context)
        try:
            problem = sklearn_trees.problem(reader, features, context.limits.buffer) if reader is not None else ""
        except (Malformed, NotUnderstood):
            continue  # stated where the member itself is examined
        if problem:
            yield Anomaly(what="tree-structure", detail=problem, place=name[:200])


def _text(node: _Node, key: str) -> str:
    value = node.get(key)
    return value[:1000] if isinstance(value, str) else ""


def _written_by(root: _Node) -> str:
    """The version of scikit-learn that every estimator keeps in its state; empty where there is none."""
    node: object = root
    for key in ("content", "content", "_sklearn_version", "content"):
        node = node.get(key) if isinstance(node, dict) else None
    return node.strip('"') if isinstance(node, str) else ""


def _declared(node: _Node) -> str:
    return f"{_text(node, '__module__')}.{_text(node, '__class__')}"


def _is_node(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("__loader__"), str)


class _Tree:
    """The nodes of one schema."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._by_id: dict[int, _Node] = {}

    def nodes(self, root: _Node) -> Iterator[tuple[_Node, str]]:
        """All nodes with their places, in the order of the document; the first of an id stands for all."""
        pending: list[tuple[object, str]] = [(root, "")]
        count = 0
        while pending:
            value, place = pending.pop()
            count += 1
            if count % 4096 == 0:
                self._context.check_time()
            if count > _NODES:
                raise Malformed(f"more than {_NODES} values in the tree")
            if isinstance(value, dict):
                if _is_node(value):
                    identity = value.get("__id__")
                    if isinstance(identity, int) and identity:
                        self._by_id.setdefault(identity, value)
                    yield value, place
                inner = [(item, f"{place}.{key}") for key, item in value.items() if isinstance(item, dict | list)]
            else:
                assert isinstance(value, list)
                inner = [(x, f"{place}[{n}]") for n, x in enumerate(value) if isinstance(x, dict | list)]
            pending.extend(reversed(inner))

    def arrays_of_nodes(self, nodes: list[tuple[_Node, str]]) -> dict[str, int]:
        """Members that hold the nodes of trees, with the number of features; 0 where that is not told."""
        found: dict[str, int] = {}
        for node, _ in nodes:
            content = node.get("content")
            array = content.get("nodes") if isinstance(content, dict) else None
            for one in self._same(array) if isinstance(array, dict) else ():
                if isinstance(one.get("file"), str):
                    found.setdefault(one["file"], 0)
            if node["__loader__"] == "TreeNode" and isinstance(content, dict):
                inner = content.get("content")
                array = inner.get("nodes") if isinstance(inner, dict) else None
                if isinstance(array, dict) and isinstance(array.get("file"), str):
                    found[array["file"]] = self._features(node)
        return found

    def _features(self, node: _Node) -> int:
        reduced = node.get("__reduce__")
        arguments = self._arguments(reduced.get("args")) if isinstance(reduced, dict) else ()
        return int(arguments[0][:9]) if arguments and arguments[0].isascii() and arguments[0].isdigit() else 0

    def facts(self, node: _Node, place: str) -> Iterator[AnyFact]:
        """What constructing one node resolves and calls."""
        loader = node["__loader__"]
        module, name = _text(node, "__module__"), _text(node, "__class__")
        place = place.lstrip(".")[-200:]
        content = node.get("content")
        if loader == "OperatorFuncNode":
            yield from self._operator(node, module, name, place)
        elif loader == "MethodNode":
            yield from self._method(node, place)
        elif loader == "FunctionNode" and isinstance(content, dict) and isinstance(content.get("function"), str):
            # Protocol 0 puts the function beside the declared type.
            yield self._import(_text(content, "module_path"), content["function"], "reference", (), place)
        elif loader == "RandomGeneratorNode":
            yield self._import(module, name, "call", (), place)
            yield from self._bit_generator(content, place)
        elif loader == "NdArrayNode" and (module, name) == ("numpy", "ndarray"):
            return
        elif loader not in _FIXED:
            usage = _USAGE.get(loader, "reference")
            arguments = self._arguments(content) if usage == "call" else ()
            yield self._import(module, name, usage, arguments, place)

    @staticmethod
    def _import(module: str, name: str, usage: _Usage, arguments: tuple[str, ...], place: str) -> Import:
        return Import(module=module, name=name, origin="skops", usage=usage, arguments=arguments, place=place)

    def _operator(self, node: _Node, module: str, name: str, place: str) -> Iterator[AnyFact]:
        """The loader takes the class's name from `operator`, whatever module was declared, and calls it."""
        if module not in ("operator", "_operator"):
            detail = f"declares {module}.{name}, and loading calls operator.{name} (CVE-2025-54412)"
            yield Anomaly(what="skops-forged-node", detail=detail, place=place)
        arguments = self._arguments(node.get("attrs"))
        yield self._import("operator", name, "call", arguments, place)
        inner = self._items(node.get("attrs"))
        if name == "call" and inner and (path := self._path(inner[0], 0)):
            called_module, _, called = path.rpartition(".")
            yield self._import(called_module, called, "call", arguments[1:], place)

    def _method(self, node: _Node, place: str) -> Iterator[AnyFact]:
        """The loader takes an attribute of what `obj` constructs."""
        content = node.get("content")
        inner = content.get("obj") if isinstance(content, dict) else None
        if not isinstance(content, dict) or not isinstance(inner, dict):
            return
        function = _text(content, "func")
        for one in self._same(inner):
            declared, actual = _declared(node), _declared(one)
            if declared != actual:
                detail = f"declares a method of {declared}, and takes {function!r} of {actual} (CVE-2025-54413)"
                yield Anomaly(what="skops-forged-node", detail=detail, place=place)
            path = self._path(one, 0) if one.get("__loader__") in _PATHS else actual
            if one.get("__loader__") in _PATHS or (function.startswith("_") and function != "__call__"):
                module, _, owner = path.rpartition(".")
                yield self._import(module, f"{owner}.{function}", "reference", (), place)

    def _same(self, node: _Node) -> list[_Node]:
        """A node and the one that its id stands for, if that is another."""
        identity = node.get("__id__")
        first = self._by_id.get(identity) if isinstance(identity, int) else None
        if node.get("__loader__") == "CachedNode":
            return [first] if first is not None else []
        return [node] if first is None or first is node else [node, first]

    def _path(self, node: object, depth: int) -> str:
        """The dotted name of what a node gives, empty where it gives an instance or a value."""
        if not isinstance(node, dict) or depth > _CHAIN:
            return ""
        loader = node.get("__loader__")
        if loader == "CachedNode":
            same = self._same(node)
            return self._path(same[0], depth + 1) if same else ""
        content = node.get("content")
        if loader == "MethodNode" and isinstance(content, dict):
            inner = content.get("obj")
            owner = self._path(inner, depth + 1)
            if not owner and isinstance(inner, dict):
                owner = _declared(inner)
            return f"{owner}.{_text(content, 'func')}"
        if loader == "FunctionNode" and isinstance(content, dict):
            return f"{_text(content, 'module_path')}.{_text(content, 'function')}"
        return _declared(node) if loader in ("TypeNode", "FunctionNode") else ""

    @staticmethod
    def _items(value: object) -> list[object]:
        if isinstance(value, dict) and _is_node(value):
            value = value.get("content")
        return value if isinstance(value, list) else []

    def _arguments(self, value: object) -> tuple[str, ...]:
        return tuple(self._literal(item) for item in self._items(value)[:_ARGUMENTS])

    def _literal(self, node: object) -> str:
        if not isinstance(node, dict):
            return "…"
        if node.get("__loader__") == "JsonNode" and isinstance(node.get("content"), str):
            try:
                return repr(json.loads(node["content"][:4096]))[:1000]
            except (ValueError, RecursionError):
                return "…"
        return self._path(node, 0) or "…"

    def _bit_generator(self, content: object, place: str) -> Iterator[AnyFact]:
        """The bit generator is called by the name that stands in its state."""
        state = content.get("bit_generator") if isinstance(content, dict) else None
        inner = state.get("content") if isinstance(state, dict) else None
        name = inner.get("bit_generator") if isinstance(inner, dict) else None
        if isinstance(name, dict):
            text = self._literal(name).strip("'\"")
            yield self._import("numpy.random", text, "call", (), place)
