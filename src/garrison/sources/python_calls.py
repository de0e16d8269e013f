"""What Python source calls and imports, from its syntax tree: full names, as far as the source itself tells them.

Follows `import … as`, plain assignments of names, `getattr` and `__import__` with names that are written out or put
together from constants, and subscripts of `__dict__`, `globals()` and `sys.modules`. Nothing is compiled or run.
"""

import ast
import builtins
from collections.abc import Iterator
from typing import NamedTuple

_ALTERNATIVES = 8
_BUILTINS = frozenset(vars(builtins))
_IMPORTERS = frozenset({"builtins.__import__", "importlib.import_module", "importlib.__import__"})
_RUN_WHILE_LOADING = frozenset(
    {"__init__", "__new__", "__init_subclass__", "__set_name__", "__class_getitem__", "__post_init__", "__setstate__"}
    | {"__getattr__", "__del__", "from_pretrained", "from_config", "load", "load_model", "load_context", "setup"}
    | {"initialize", "_load_pyfunc", "get_vocab", "register_for_auto_class", "__reduce__", "__missing__"}
)
"""Methods that loaders call by themselves."""
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Call(NamedTuple):
    """One call, or one function that is handed on (`usage` is `reference` then)."""

    module: str
    name: str
    line: int
    deferred: bool
    """Only when somebody calls the function that it stands in, not while the module or its classes are loaded."""
    arguments: tuple[str, ...]
    usage: str = "call"
    node: ast.Call | None = None
    """Of a call, what stands there."""


class Program:
    """The names of one module, and what it does with them."""

    def __init__(self, tree: ast.AST) -> None:
        self._names: dict[str, dict[str, None]] = {}
        self._stars: list[str] = []
        self._tree = tree
        self.relative: dict[str, int] = {}
        """Modules of the same package, as relative paths without an ending, with the line."""
        nodes = list(ast.walk(tree))
        for node in nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    first = alias.name.split(".")[0]
                    self._add(alias.asname or first, alias.name if alias.asname else first)
            elif isinstance(node, ast.ImportFrom):
                self._import_from(node)
        for _ in range(2):
            for node in nodes:
                if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr):
                    self._assignment(node)

    def _add(self, name: str, meaning: str) -> None:
        known = self._names.setdefault(name, {})
        if len(known) < _ALTERNATIVES:
            known[meaning] = None

    def _import_from(self, node: ast.ImportFrom) -> None:
        if node.level:
            folder = "../" * (node.level - 1)
            base = folder + (node.module or "").replace(".", "/")
            if node.module:
                self.relative.setdefault(base, node.lineno)
            for alias in node.names:
                if alias.name != "*":
                    self.relative.setdefault(f"{base}/{alias.name}" if node.module else base + alias.name, node.lineno)
            return
        for alias in node.names:
            if alias.name == "*":
                self._stars.append(node.module or "")
            else:
                self._add(alias.asname or alias.name, f"{node.module}.{alias.name}")

    def _assignment(self, node: ast.Assign | ast.AnnAssign | ast.NamedExpr) -> None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if node.value is None:
            return
        for target in targets:
            if isinstance(target, ast.Tuple | ast.List) and isinstance(node.value, ast.Tuple | ast.List):
                for one, value in zip(target.elts, node.value.elts, strict=False):
                    self._assigned(one, value)
            else:
                self._assigned(target, node.value)

    def _assigned(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            for meaning in self._meanings(value):
                if meaning != target.id:
                    self._add(target.id, meaning)

    def meanings(self, node: ast.AST) -> list[str]:
        """The dotted names that an expression may stand for."""
        return self._meanings(node)

    def _meanings(self, node: ast.AST, depth: int = 0) -> list[str]:
        if depth > 40:
            return []
        if isinstance(node, ast.Name):
            if node.id in self._names:
                return list(self._names[node.id])
            if node.id == "__builtins__":
                return ["builtins"]
            if node.id in _BUILTINS:
                return [f"builtins.{node.id}"]
            return [f"{module}.{node.id}" for module in self._stars]
        if isinstance(node, ast.Attribute):
            return [f"{one}.{node.attr}" for one in self._meanings(node.value, depth + 1)]
        if isinstance(node, ast.Subscript):
            return self._subscript(node, depth)
        if isinstance(node, ast.Call):
            return self._returned(node, depth)
        if isinstance(node, ast.IfExp):
            return (self._meanings(node.body, depth + 1) + self._meanings(node.orelse, depth + 1))[:_ALTERNATIVES]
        if isinstance(node, ast.BoolOp):
            return [one for value in node.values for one in self._meanings(value, depth + 1)][:_ALTERNATIVES]
        if isinstance(node, ast.NamedExpr):
            return self._meanings(node.value, depth + 1)
        return []

    def _subscript(self, node: ast.Subscript, depth: int) -> list[str]:
        key = text_of(node.slice)
        if key is None:
            return []
        found = []
        for one in self._meanings(node.value, depth + 1):
            if one == "sys.modules":
                found.append(key)
            elif one in ("builtins.globals()", "builtins.locals()", "builtins.vars()"):
                found += list(self._names.get(key, {})) or [f"builtins.{key}"]
            elif one == "builtins":
                found.append(f"builtins.{key}")
            elif one.endswith(".__dict__"):
                found.append(f"{one[: -len('.__dict__')]}.{key}")
        return found

    def _returned(self, node: ast.Call, depth: int) -> list[str]:
        found = []
        for function in self._meanings(node.func, depth + 1):
            first = node.args[0] if node.args else None
            if function in _IMPORTERS and first is not None:
                name = text_of(first)
                found += [name] if name else []
            elif function == "builtins.getattr" and len(node.args) > 1:
                attribute = text_of(node.args[1])
                if attribute and first is not None:
                    found += [f"{one}.{attribute}" for one in self._meanings(first, depth + 1)]
            elif function == "builtins.vars" and first is not None:
                found += [f"{one}.__dict__" for one in self._meanings(first, depth + 1)]
            elif function in ("builtins.globals", "builtins.locals", "builtins.vars"):
                found.append(f"{function}()")
            elif function == "functools.partial" and first is not None:
                found += self._meanings(first, depth + 1)
        return found[:_ALTERNATIVES]

    def calls(self) -> Iterator[Call]:
        """Each call whose target is known by name, and each named function that is handed to a call."""
        running = self._running()
        pending: list[tuple[ast.AST, bool]] = [(self._tree, False)]
        while pending:
            node, deferred = pending.pop()
            if isinstance(node, ast.Call):
                yield from self._call(node, deferred)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from self._decorators(node.decorator_list, deferred)
                outside = [*node.decorator_list, node.args]
                pending += [(one, deferred) for one in outside]
                inner = deferred or id(node) not in running
                pending += [(one, inner) for one in reversed(node.body)]
                continue
            if isinstance(node, ast.ClassDef):
                yield from self._decorators(node.decorator_list, deferred)
            inner = deferred or (isinstance(node, ast.Lambda) and id(node) not in running)
            pending += [(one, inner) for one in reversed(list(ast.iter_child_nodes(node)))]

    def _call(self, node: ast.Call, deferred: bool) -> Iterator[Call]:
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        shown = tuple(ast.unparse(one)[:200] for one in node.args[:4] if isinstance(one, ast.Constant | ast.List))
        for full in self._meanings(node.func):
            module, _, name = full.rpartition(".")
            if module:
                yield Call(module, name, node.lineno, deferred, shown, node=node)
        for one in given:
            if isinstance(one, ast.Name | ast.Attribute):
                for full in self._meanings(one):
                    module, _, name = full.rpartition(".")
                    if module:
                        yield Call(module, name, node.lineno, deferred, (), "reference")

    def _decorators(self, decorators: list[ast.expr], deferred: bool) -> Iterator[Call]:
        for one in decorators:
            if not isinstance(one, ast.Call):
                for full in self._meanings(one):
                    module, _, name = full.rpartition(".")
                    if module:
                        yield Call(module, name, one.lineno, deferred, ())

    def _running(self) -> set[int]:
        """Functions that run while the module and its classes are loaded: called from its top, or by loaders."""
        functions: dict[str, list[_Function]] = {}
        for node in ast.walk(self._tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                functions.setdefault(node.name, []).append(node)
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        functions.setdefault(target.id, []).append(node.value)
        running: set[int] = set()
        pending: list[ast.AST] = [self._tree]
        pending += [node for name in _RUN_WHILE_LOADING for node in functions.get(name, ())]
        running.update(id(node) for node in pending)
        while pending:
            for name in _called(pending.pop()):
                for node in functions.get(name, ()):
                    if id(node) not in running:
                        running.add(id(node))
                        pending.append(node)
        return running


def _called(top: ast.AST) -> Iterator[str]:
    """The last names of what is called in a body, leaving out the bodies of functions that it defines."""
    pending = list(ast.iter_child_nodes(top))
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            pending += node.decorator_list
            yield from (one.id for one in node.decorator_list if isinstance(one, ast.Name))
            continue
        if isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Name):
                yield function.id
            elif isinstance(function, ast.Attribute):
                yield function.attr
            yield from (one.id for one in node.args if isinstance(one, ast.Name))
        pending += ast.iter_child_nodes(node)


def text_of(node: ast.AST, depth: int = 0) -> str | None:
    """A string that is written out, or put together from constants."""
    if depth > 40:
        return None
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = text_of(node.left, depth + 1), text_of(node.right, depth + 1)
        return left + right if left is not None and right is not None else None
    if isinstance(node, ast.JoinedStr):
        parts = [text_of(one.value if isinstance(one, ast.FormattedValue) else one, depth + 1) for one in node.values]
        return "".join(one for one in parts if one is not None) if None not in parts else None
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
        text = text_of(node.value, depth + 1)
        reverse = isinstance(node.slice.step, ast.UnaryOp) and isinstance(node.slice.step.operand, ast.Constant)
        return text[::-1] if text is not None and reverse else None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "join":
        separator = text_of(node.func.value, depth + 1)
        if separator is not None and len(node.args) == 1 and isinstance(node.args[0], ast.List | ast.Tuple):
            items = [text_of(one, depth + 1) for one in node.args[0].elts]
            return separator.join(one for one in items if one is not None) if None not in items else None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "chr" and len(node.args) == 1:
        code = node.args[0]
        if isinstance(code, ast.Constant) and isinstance(code.value, int) and 0 <= code.value < 0x110000:
            return chr(code.value)
    return None
