"""`setup.py`: what a project that is built by a script asks for, as far as the script says it in so many words.

The script is read as a syntax tree and never run. Constants of the module, lists put together from them and the usual
ways to read a requirements file are followed; what else the script computes is stated as computed.

Source: setuptools' "Keywords" of `setup()`; Python's `ast`.
"""

import ast
import warnings
from collections.abc import Iterator
from typing import Any

from garrison.core.errors import NotUnderstood
from garrison.core.facts import Anomaly, AnyFact, Artifact, Reference
from garrison.dependencies.formats.pyproject import requirement
from garrison.dependencies.python_requirement import public
from garrison.sources.source import Context, Extracted, Source

_LARGEST = 2 << 20
_GROUPS = {"install_requires": "", "requires": "", "setup_requires": "build-system", "tests_require": "test"}
_DEPTH = 40
_VALUES = 20_000
_LONGEST = 1 << 16
_COMPUTED = object()


def sniff(source: Source) -> bool:
    """It has the name and calls `setup`."""
    return source.name == "setup.py" and b"setup(" in source.reader.pread(0, _LARGEST)


def extract(source: Source, context: Context) -> Extracted:
    """The packages that its calls of `setup` name literally, and what they compute."""
    data = source.reader.whole(min(context.limits.buffer, _LARGEST))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        # The reader of Python sources says that it is malformed.
        raise NotUnderstood(f"no Python: {str(error)[:160]}") from None
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _called(node.func) == "setup"]
    script = _Script(tree)
    yield Artifact(format="setup-script", details=_details(calls, script))
    for call in calls:
        context.check_time()
        yield from _call(call, script)


def _called(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _details(calls: list[ast.Call], script: "_Script") -> dict[str, str | int | float | bool]:
    found: dict[str, str | int | float | bool] = {}
    for keyword in (keyword for call in calls for keyword in script.keywords(call)):
        key = "python" if keyword[0] == "python_requires" else keyword[0]
        if key in ("name", "version", "python"):
            value = script.value(keyword[1])
            if isinstance(value, str):
                found[key] = value[:200]
    return found


def _call(call: ast.Call, script: "_Script") -> Iterator[AnyFact]:
    for name, node in script.keywords(call):
        if name in _GROUPS:
            yield from _listed(node, name, _GROUPS[name], script)
        elif name == "extras_require":
            yield from _extras(node, script)
        elif name == "dependency_links":
            value = script.value(node)
            for target in value if isinstance(value, list) else ():
                if isinstance(target, str):
                    place = f"line {node.lineno}"
                    yield Reference(target=public(target), role="package-index", detail="--find-links", place=place)
        elif name == "**":
            yield _computed("the arguments of setup", node)


def _extras(node: ast.expr, script: "_Script") -> Iterator[AnyFact]:
    node = script.resolved(node)
    if not isinstance(node, ast.Dict):
        yield _computed("extras_require", node)
        return
    for key, value in zip(node.keys, node.values, strict=True):
        name = script.value(key) if key is not None else None
        if isinstance(name, str):
            yield from _listed(value, f"extras_require[{name!r}]", name.partition(":")[0], script)
        else:
            yield _computed("a part of extras_require", value)


def _listed(node: ast.expr, what: str, group: str, script: "_Script") -> Iterator[AnyFact]:
    """Each text with the line that it stands on, whichever constant it was taken from."""
    for element in script.elements(node):
        if isinstance(element, str):
            yield Reference(target=element, role="requirement-file", detail="dependencies", place=f"line {node.lineno}")
            continue
        value = script.value(element)
        if not isinstance(value, str):
            yield _computed(what, element)
            continue
        for line in value.splitlines():
            text = line.partition(" #")[0].strip()
            if text and not text.startswith("#"):
                yield from requirement(text, f"line {element.lineno}", group)


def _computed(what: str, node: ast.expr) -> Anomaly:
    shown = ast.unparse(node)[:120] if _shallow(node) else "…"
    detail = f"{what}: {shown} is computed when the script runs, which garrison does not do"
    return Anomaly(what="requirement-computed", detail=detail, place=f"line {node.lineno}")


def _shallow(node: ast.AST) -> bool:
    """Whether it can be written out without going deep."""
    level: list[ast.AST] = [node]
    for _ in range(_DEPTH):
        level = [child for parent in level[:_DEPTH] for child in ast.iter_child_nodes(parent)]
        if not level:
            return True
    return False


class _Script:
    """The constants of a module, and what expressions over them come to."""

    def __init__(self, tree: ast.Module) -> None:
        self._constants: dict[str, ast.expr] = {}
        self._changed: set[str] = set()
        self._budget = _VALUES
        self._files: dict[str, str] = {}
        for node in ast.walk(tree):
            self._learn(node)

    def _learn(self, node: ast.AST) -> None:
        """A name that is bound twice, or altered, is no constant."""
        targets: list[ast.expr] = []
        value: ast.expr | None = None
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets, value = [node.target], node.value
        elif isinstance(node, ast.AugAssign):
            targets = [node.target]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ("append", "extend", "insert", "remove", "update", "pop", "setdefault"):
                targets = [node.func.value]
        elif isinstance(node, ast.FunctionDef):
            self._learn_reader(node)
        elif isinstance(node, ast.With):
            self._learn_file(node)
        for target in targets:
            while isinstance(target, ast.Subscript | ast.Attribute):
                target, value = target.value, None
            if isinstance(target, ast.Name):
                if value is None or target.id in self._constants:
                    self._changed.add(target.id)
                else:
                    self._constants[target.id] = value

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

    def keywords(self, call: ast.Call, depth: int = 0) -> Iterator[tuple[str, ast.expr]]:
        """Arguments by name, those of a constant dictionary among them."""
        for keyword in call.keywords:
            if keyword.arg is not None:
                yield keyword.arg, keyword.value
                continue
            given = self.resolved(keyword.value)
            if isinstance(given, ast.Call) and _called(given.func) == "dict" and not given.args and depth < _DEPTH:
                yield from self.keywords(given, depth + 1)
                continue
            if not isinstance(given, ast.Dict):
                yield "**", keyword.value
                continue
            for key, value in zip(given.keys, given.values, strict=True):
                yield (str(self.value(key)), value) if key is not None else ("**", value)

    def resolved(self, node: ast.expr) -> ast.expr:
        """What a name stands for, if that is a constant."""
        for _ in range(_DEPTH):
            if not isinstance(node, ast.Name) or node.id in self._changed or node.id not in self._constants:
                break
            node = self._constants[node.id]
        return node

    def elements(self, node: ast.expr, depth: int = 0) -> Iterator[ast.expr | str]:
        """The elements of a list; a text stands for the lines of that requirements file."""
        self._budget -= 1
        node = self.resolved(node)
        file = self._file(node)
        if file:
            yield file
        elif depth > _DEPTH or self._budget < 0:
            yield node
        elif isinstance(node, ast.List | ast.Tuple | ast.Set):
            for element in node.elts:
                inner = element.value if isinstance(element, ast.Starred) else None
                if inner is not None:
                    yield from self.elements(inner, depth + 1)
                else:
                    yield element
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            yield from self.elements(node.left, depth + 1)
            yield from self.elements(node.right, depth + 1)
        elif isinstance(node, ast.Subscript):
            yield from self._item(node, depth)
        else:
            yield node

    def _item(self, node: ast.Subscript, depth: int) -> Iterator[ast.expr | str]:
        owner, key = self.resolved(node.value), self.value(node.slice)
        if isinstance(owner, ast.Dict):
            for name, value in zip(owner.keys, owner.values, strict=True):
                if name is not None and self.value(name) == key:
                    yield from self.elements(value, depth + 1)
                    return
        yield node

    def _file(self, node: ast.expr) -> str:
        """The requirements file whose lines an expression gives: `open("requirements.txt").read().splitlines()`."""
        for _ in range(_DEPTH):
            if path := _opened(node):
                return path
            if isinstance(node, ast.Name):
                if node.id in self._files:
                    return self._files[node.id]
                following = self.resolved(node)
                if following is node:
                    return ""
                node = following
            elif isinstance(node, ast.Call):
                name = _called(node.func)
                if isinstance(node.func, ast.Name) and f"{name}()" in self._files and not node.args:
                    return self._files[f"{name}()"]
                if isinstance(node.func, ast.Attribute):
                    node = node.func.value
                elif name in ("list", "filter", "map", "tuple") and node.args:
                    node = node.args[-1]
                elif node.args and isinstance(node.args[0], ast.Constant) and _is_manifest(node.args[0].value):
                    return str(node.args[0].value)
                else:
                    return ""
            elif isinstance(node, ast.ListComp | ast.GeneratorExp) and node.generators:
                node = node.generators[0].iter
            else:
                return ""
        return ""

    def value(self, node: ast.expr | None, depth: int = 0) -> Any:
        """A text, or a list of texts; `_COMPUTED` where only running the script would tell."""
        self._budget -= 1
        if node is None or depth > _DEPTH or self._budget < 0:
            return _COMPUTED
        node = self.resolved(node)
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.List | ast.Tuple):
            return [self.value(element, depth + 1) for element in node.elts]
        if isinstance(node, ast.JoinedStr):
            return self._joined(node, depth)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left, right = self.value(node.left, depth + 1), self.value(node.right, depth + 1)
            return _text([left, right])
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
            return self._formatted(self.value(node.left, depth + 1), [self.value(node.right, depth + 1)])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            arguments = [self.value(argument, depth + 1) for argument in node.args]
            text = self.value(node.func.value, depth + 1)
            return self._formatted(text.replace("{}", "%s") if isinstance(text, str) else text, arguments)
        return _COMPUTED

    def _joined(self, node: ast.JoinedStr, depth: int) -> Any:
        parts = []
        for part in node.values:
            plain = isinstance(part, ast.FormattedValue) and part.conversion == -1 and part.format_spec is None
            inner = part.value if plain else part  # type: ignore[attr-defined]
            parts.append(self.value(inner, depth + 1) if plain or isinstance(part, ast.Constant) else _COMPUTED)
        return _text(parts)

    def _formatted(self, text: Any, arguments: list[Any]) -> Any:
        """`'%s==1' % name`, nothing more."""
        if len(arguments) == 1 and isinstance(arguments[0], list):
            arguments = arguments[0]
        if not isinstance(text, str) or not all(isinstance(one, str) for one in arguments):
            return _COMPUTED
        parts = text.split("%s")
        if "%" in "".join(parts) or "{" in text or len(parts) != len(arguments) + 1:
            return _COMPUTED
        return _text([parts[0], *(text for pair in zip(arguments, parts[1:], strict=True) for text in pair)])


def _text(parts: list[Any]) -> Any:
    """The parts as one text, unless one is computed or somebody doubles a text until memory ends."""
    if not all(isinstance(part, str) for part in parts) or sum(map(len, parts)) > _LONGEST:
        return _COMPUTED
    return "".join(parts)


def _is_manifest(value: object) -> bool:
    return isinstance(value, str) and value.endswith((".txt", ".in")) and "require" in value.lower()


def _opened(node: ast.AST) -> str:
    """The requirements file that a call opens or reads, by the last constant in its path."""
    if not isinstance(node, ast.Call) or _called(node.func) not in ("open", "Path", "parse_requirements", "read_text"):
        return ""
    constants = [
        part.value
        for argument in [*node.args, node.func]
        for part in (argument, *(getattr(argument, "args", None) or ()), getattr(argument, "right", None))
        if isinstance(part, ast.Constant) and _is_manifest(part.value)
    ]
    return str(constants[-1]) if constants else ""
