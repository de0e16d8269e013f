"""What the names of a Python script stand for, as far as the script says it in so many words. Nothing is run.

A name stands for all that is ever assigned or added to it, since only running would tell which branch is taken: who
asks what a script may install wants to know of each.

Source: Python's `ast`; how setup scripts put lists together.
"""

import ast
import itertools
from collections.abc import Iterator
from typing import Any

_DEPTH = 40
_VALUES = 20_000
_LONGEST = 1 << 16
COMPUTED = object()
"""In place of a value that only running the script would tell."""
_READING = ("open", "Path", "parse_requirements", "read_text")
_COPYING = ("list", "tuple", "set", "sorted", "copy", "deepcopy")
_Pairs = Iterator[tuple[ast.expr | None, ast.expr]]


class Script:
    """The names of a script, with what is bound and added to them."""

    def __init__(self, tree: ast.Module) -> None:
        self._bound: dict[str, list[ast.expr]] = {}
        self._extended: dict[str, list[ast.expr]] = {}
        self._appended: dict[str, list[ast.expr]] = {}
        self._items: dict[str, list[tuple[ast.expr, ast.expr]]] = {}
        self._files: dict[str, str] = {}
        self._budget = _VALUES
        for node in ast.walk(tree):
            self._learn(node)

    def _learn(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self._learn_target(target, node.value)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self._learn_target(node.target, node.value)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            self._extended.setdefault(node.target.id, []).append(node.value)
        elif isinstance(node, ast.Call):
            self._learn_call(node)
        elif isinstance(node, ast.FunctionDef):
            self._learn_reader(node)
        elif isinstance(node, ast.With):
            self._learn_file(node)

    def _learn_target(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self._bound.setdefault(target.id, []).append(value)
        elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            self._items.setdefault(target.value.id, []).append((target.slice, value))

    def _learn_call(self, node: ast.Call) -> None:
        if not isinstance(node.func, ast.Attribute) or not isinstance(node.func.value, ast.Name):
            return
        name, method = node.func.value.id, node.func.attr
        if method in ("append", "add", "insert") and node.args:
            self._appended.setdefault(name, []).append(node.args[-1])
        elif method == "extend" and node.args:
            self._extended.setdefault(name, []).append(node.args[0])
        elif method == "update":
            self._extended.setdefault(name, []).append(node)
        elif method == "setdefault" and len(node.args) > 1:
            self._items.setdefault(name, []).append((node.args[0], node.args[1]))

    def _learn_reader(self, function: ast.FunctionDef) -> None:
        """A function without arguments that opens one text file: calling it gives that file's lines."""
        opened = [path for node in ast.walk(function) if (path := _opened(node))]
        if len(opened) == 1 and not function.args.args:
            self._files[f"{function.name}()"] = opened[0]

    def _learn_file(self, node: ast.With) -> None:
        for item in node.items:
            path = _opened(item.context_expr)
            if path and isinstance(item.optional_vars, ast.Name):
                self._files[item.optional_vars.id] = path

    def _constant(self, node: ast.expr) -> ast.expr:
        """What a name stands for, if that never changes."""
        for _ in range(_DEPTH):
            if not isinstance(node, ast.Name):
                break
            bound = self._bound.get(node.id, [])
            added = node.id in self._extended or node.id in self._appended or node.id in self._items
            if len(bound) != 1 or added:
                break
            node = bound[0]
        return node

    def keywords(self, call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
        """Arguments by name, those of dictionaries among them; `**` where a dictionary is computed."""
        for key, value in self.pairs(call):
            name = self.value(key) if key is not None else COMPUTED
            yield (name, value) if isinstance(name, str) else ("**", value)

    def pairs(self, node: ast.expr, depth: int = 0, active: frozenset[str] = frozenset()) -> _Pairs:
        """The items of a dictionary; without a key where they are computed."""
        self._budget -= 1
        if depth > _DEPTH or self._budget < 0:
            yield None, node
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if key is not None:
                    yield key, value
                else:
                    yield from self.pairs(value, depth + 1, active)
        elif isinstance(node, ast.Call) and (depth == 0 or called(node) in ("dict", "update", "copy", "deepcopy")):
            for argument in node.args if depth else ():
                yield from self.pairs(argument, depth + 1, active)
            for keyword in node.keywords:
                if keyword.arg is not None:
                    yield ast.copy_location(ast.Constant(keyword.arg), keyword.value), keyword.value
                else:
                    yield from self.pairs(keyword.value, depth + 1, active)
        elif isinstance(node, ast.Name) and node.id not in active:
            yield from self._pairs_of_name(node, depth, active | {node.id})
        elif not isinstance(node, ast.Name):
            yield None, node

    def _pairs_of_name(self, node: ast.Name, depth: int, active: frozenset[str]) -> _Pairs:
        parts = [*self._bound.get(node.id, ()), *self._extended.get(node.id, ())]
        if not parts:
            yield None, node
        for part in parts:
            yield from self.pairs(part, depth + 1, active)
        yield from self._items.get(node.id, ())

    def elements(
        self, node: ast.expr, depth: int = 0, active: frozenset[str] = frozenset()
    ) -> Iterator[ast.expr | str]:
        """The elements of a list; a text stands for the lines of that requirements file."""
        self._budget -= 1
        file = self._file(node)
        if file:
            yield file
        elif depth > _DEPTH or self._budget < 0:
            yield node
        elif isinstance(node, ast.List | ast.Tuple | ast.Set):
            for element in node.elts:
                if isinstance(element, ast.Starred):
                    yield from self.elements(element.value, depth + 1, active)
                else:
                    yield element
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            yield from self._of_all([node.left, node.right], depth, active)
        elif isinstance(node, ast.IfExp):
            yield from self._of_all([node.body, node.orelse], depth, active)
        elif isinstance(node, ast.BoolOp):
            yield from self._of_all(node.values, depth, active)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and called(node) in _COPYING:
            yield from self._of_all(node.args[:1], depth, active)
        elif isinstance(node, ast.Subscript):
            yield from self._of_item(node, depth, active)
        elif isinstance(node, ast.Name):
            yield from self._of_name(node, depth, active)
        else:
            yield node

    def _of_all(self, nodes: list[ast.expr], depth: int, active: frozenset[str]) -> Iterator[ast.expr | str]:
        return itertools.chain.from_iterable(self.elements(node, depth + 1, active) for node in nodes)

    def _of_name(self, node: ast.Name, depth: int, active: frozenset[str]) -> Iterator[ast.expr | str]:
        if node.id in active:
            return
        bound, extended = self._bound.get(node.id, []), self._extended.get(node.id, [])
        appended = self._appended.get(node.id, [])
        found = False
        for element in itertools.chain(self._of_all([*bound, *extended], depth, active | {node.id}), appended):
            found = True
            yield element
        if not found and not any(isinstance(one, ast.List | ast.Tuple | ast.Set) for one in bound):
            yield node

    def _of_item(self, node: ast.Subscript, depth: int, active: frozenset[str]) -> Iterator[ast.expr | str]:
        wanted = self.value(node.slice)
        found = [value for key, value in self.pairs(node.value, 1) if key is not None and self.value(key) == wanted]
        if found and isinstance(wanted, str):
            yield from self._of_all(found, depth, active)
        else:
            yield node

    def _file(self, node: ast.expr) -> str:
        """The requirements file whose lines an expression gives: `open("requirements.txt").read().splitlines()`."""
        for _ in range(_DEPTH):
            if path := _opened(node):
                return path
            if isinstance(node, ast.Name):
                if node.id in self._files:
                    return self._files[node.id]
                following = self._constant(node)
                if following is node:
                    return ""
                node = following
            elif isinstance(node, ast.Call):
                name = called(node)
                if isinstance(node.func, ast.Name) and f"{name}()" in self._files and not node.args:
                    return self._files[f"{name}()"]
                if isinstance(node.func, ast.Attribute):
                    node = node.func.value
                elif name in ("list", "filter", "map", "tuple") and node.args:
                    node = node.args[-1]
                else:
                    given = node.args[0] if node.args else None
                    return str(given.value) if isinstance(given, ast.Constant) and _is_manifest(given.value) else ""
            elif isinstance(node, ast.ListComp | ast.GeneratorExp) and node.generators:
                node = node.generators[0].iter
            else:
                return ""
        return ""

    def value(self, node: ast.expr | None, depth: int = 0) -> Any:
        """A constant, or a list of them; `COMPUTED` where only running the script would tell."""
        self._budget -= 1
        if node is None or depth > _DEPTH or self._budget < 0:
            return COMPUTED
        node = self._constant(node)
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.List | ast.Tuple):
            return [self.value(element, depth + 1) for element in node.elts]
        if isinstance(node, ast.JoinedStr):
            return self._joined(node, depth)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return _text([self.value(node.left, depth + 1), self.value(node.right, depth + 1)])
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
            return _formatted(self.value(node.left, depth + 1), [self.value(node.right, depth + 1)])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            arguments = [self.value(argument, depth + 1) for argument in node.args]
            text = self.value(node.func.value, depth + 1)
            return _formatted(text.replace("{}", "%s") if isinstance(text, str) else text, arguments)
        return COMPUTED

    def _joined(self, node: ast.JoinedStr, depth: int) -> Any:
        parts = []
        for part in node.values:
            plain = isinstance(part, ast.FormattedValue) and part.conversion == -1 and part.format_spec is None
            inner = part.value if plain else part  # type: ignore[attr-defined]
            parts.append(self.value(inner, depth + 1) if plain or isinstance(part, ast.Constant) else COMPUTED)
        return _text(parts)


def called(call: ast.Call) -> str:
    """The last part of the name of what is called."""
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def shown(node: ast.expr) -> str:
    """An expression as Python, unless it goes deep."""
    level: list[ast.AST] = [node]
    for _ in range(_DEPTH):
        level = [child for parent in level[:_DEPTH] for child in ast.iter_child_nodes(parent)]
        if not level:
            return ast.unparse(node)[:120]
    return "…"


def _formatted(text: Any, arguments: list[Any]) -> Any:
    """`'%s==1' % name`, nothing more."""
    if len(arguments) == 1 and isinstance(arguments[0], list):
        arguments = arguments[0]
    if not isinstance(text, str) or not all(isinstance(one, str) for one in arguments):
        return COMPUTED
    parts = text.split("%s")
    if "%" in "".join(parts) or "{" in text or len(parts) != len(arguments) + 1:
        return COMPUTED
    return _text([parts[0], *(text for pair in zip(arguments, parts[1:], strict=True) for text in pair)])


def _text(parts: list[Any]) -> Any:
    """The parts as one text, unless one is computed or somebody doubles a text until memory ends."""
    if not all(isinstance(part, str) for part in parts) or sum(map(len, parts)) > _LONGEST:
        return COMPUTED
    return "".join(parts)


def _is_manifest(value: object) -> bool:
    return isinstance(value, str) and value.endswith((".txt", ".in")) and "require" in value.lower()


def _opened(node: ast.AST) -> str:
    """The requirements file that a call opens or reads, by the last constant in its path."""
    if not isinstance(node, ast.Call) or called(node) not in _READING:
        return ""
    constants = [
        part.value
        for argument in [*node.args, node.func]
        for part in (argument, *(getattr(argument, "args", None) or ()), getattr(argument, "right", None))
        if isinstance(part, ast.Constant) and _is_manifest(part.value)
    ]
    return str(constants[-1]) if constants else ""
