"""TorchScript as it is serialised: which operators its code uses that touch more than tensors.

Sources: `torch/csrc/jit/serialization/python_print.cpp` (what is written), `import_source.cpp` and
`frontend/ir_emitter.cpp` (what is accepted: aliases of `torch`, `getattr` with a literal, `fork` of an operator).
"""

import itertools
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from garrison.artifacts.knowledge.torch_operators import TorchOperator, matters, torch_namespaces, torch_operators

if TYPE_CHECKING:
    import ast

_CLASSES = "__torch__.torch.classes."
_LONGEST = 2 << 20
_DEPTH = 12
_STEPS = 2000
_SHOWN = 200
_NAMESPACE = re.compile(r"\b(?:ops|classes)\s*\.\s*(\w+)").finditer
_LAST_NAMES = frozenset(re.split(r"::|\.", name)[-1] for name in torch_operators())
_TELLING = re.compile(r"\b(?:getattr|" + "|".join(sorted(map(re.escape, _LAST_NAMES))) + r")\b").search
_MENTION = re.compile(
    r"\b(?P<base>torch|ops\s*\.\s*(?P<space>\w+)|torch\s*\.\s*classes\s*\.\s*(?P<class>\w+))\s*\.\s*(?P<name>\w+)"
)
_ALIAS = re.compile(
    r"^\s*([A-Za-z_]\w*)\s*=\s*(torch(?:\s*\.\s*\w+)?|ops(?:\s*\.\s*\w+){0,2})\s*$", re.MULTILINE
).finditer
_ALIASES = 20
_TEXT = re.compile(r"\"((?:[^\"\\\n]|\\.)*)\"|'((?:[^'\\\n]|\\.)*)'")


class Use(msgspec.Struct, frozen=True):
    """One use of an operator: its name, its arguments that matter, and the line."""

    name: str
    arguments: dict[str, str]
    line: int


def uses(source: str) -> Iterator[Use]:
    """The operators and classes that touch files, the network or Python, or whose maker is unknown."""
    spaces = torch_namespaces()
    if _TELLING(source) is None and all(match[1] in spaces for match in _NAMESPACE(source)):
        return
    tree = _parse(source)
    if tree is None:
        yield from _mentions(source)
    else:
        yield from _Code(tree).uses()


def _parse(source: str) -> "ast.Module | None":
    import ast
    import warnings

    if len(source) > _LONGEST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _mentions(source: str) -> Iterator[Use]:
    """Uses in code that only TorchScript's own parser reads, or that is too long for a syntax tree.

    The texts that follow a name are taken for its arguments.
    """
    aliases = {match[1]: match[2] for match in itertools.islice(_ALIAS(source), _ALIASES)}
    for alias, name in aliases.items():
        source = re.sub(rf"(?<![\w.]){alias}(?=\s*[.(])", name, source)
    for match in _MENTION.finditer(source):
        name = f"{match['space'] or 'aten'}::{match['name']}"
        if match["class"]:
            name = f"torch.classes.{match['class']}.{match['name']}"
        if matters(name):
            behind = source[match.end() : match.end() + 1024].partition("\n    ")[0]
            texts = [found[1] if found[1] is not None else found[2] for found in _TEXT.finditer(behind)]
            arguments = {"texts": ", ".join(texts)[:_SHOWN]} if texts else {}
            if "True" in behind:
                arguments["shared"] = "True"
            yield Use(name, arguments, source.count("\n", 0, match.start()) + 1)


class _Code:
    """One file of code, its assignments taken together whatever function they are in."""

    def __init__(self, tree: "ast.Module") -> None:
        import ast

        self._nodes = list(ast.walk(tree))
        self._assigned: dict[str, list[ast.expr]] = {}
        self._steps = 0
        for node in self._nodes:
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    self._assign(target, node.value)
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                self._assign(node.target, node.value)
            elif isinstance(node, ast.For):
                self._assign(node.target, node.iter)

    def _assign(self, target: "ast.expr", value: "ast.expr") -> None:
        import ast

        if isinstance(target, ast.Name):
            self._assigned.setdefault(target.id, []).append(value)
        elif isinstance(target, ast.Tuple | ast.List):
            values = value.elts if isinstance(value, ast.Tuple | ast.List) else []
            for index, item in enumerate(target.elts):
                self._assign(item, values[index] if index < len(values) else value)

    def uses(self) -> Iterator[Use]:
        import ast

        told: set[int] = set()
        for node in self._nodes:
            if not isinstance(node, ast.Call):
                continue
            self._steps = 0
            for index, (used, given) in enumerate([(node.func, node.args), *self._handed_on(node)]):
                for name in self._names(used):
                    told.add(id(used))
                    keywords = node.keywords if not index else []
                    yield Use(name, self._arguments(name, given, keywords), node.lineno)
        for node in self._nodes:
            if isinstance(node, ast.Attribute) and id(node) not in told:
                self._steps = 0
                for name in self._names(node):
                    if name.startswith("torch.classes.") or not self._is_aliased(node):
                        yield Use(name, {}, node.lineno)

    def _is_aliased(self, node: "ast.expr") -> bool:
        return any(value is node for values in self._assigned.values() for value in values)

    @staticmethod
    def _handed_on(node: "ast.Call") -> "Iterator[tuple[ast.expr, list[ast.expr]]]":
        """Operators that are given to a call as arguments (`fork(torch.save, x, "name")`), with what follows them."""
        for index, argument in enumerate(node.args[:4]):
            yield argument, node.args[index + 1 :]

    def _names(self, node: "ast.expr") -> list[str]:
        """Full names of operators that matter which an expression may stand for."""
        found = []
        for dotted in self._dotted(node, 0):
            parts = dotted.split(".")
            if dotted.startswith(_CLASSES) and len(parts) > 4:
                found.append(".".join(parts[1:5]))
            elif parts[0] == "torch" and len(parts) == 2:
                found.append(f"aten::{parts[1]}")
            elif parts[0] == "ops" and len(parts) == 3:
                found.append(f"{parts[1]}::{parts[2]}")
        return [name for name in dict.fromkeys(found) if matters(name)]

    def _dotted(self, node: "ast.expr", depth: int) -> list[str]:
        """Dotted names that an expression may be, aliases followed."""
        import ast

        self._steps += 1
        if depth > _DEPTH or self._steps > _STEPS:
            return []
        if isinstance(node, ast.Name):
            known = [
                name for value in self._assigned.get(node.id, ()) for name in self._dotted(value, depth + 1) if name
            ]
            return [node.id, *known]
        if isinstance(node, ast.Attribute):
            attribute, node = node.attr, node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
            if len(node.args) < 2 or not isinstance(node.args[1], ast.Constant):
                return []
            attribute, node = str(node.args[1].value), node.args[0]
        else:
            return []
        return [f"{base}.{attribute}" for base in self._dotted(node, depth + 1)]

    def _arguments(self, name: str, given: "list[ast.expr]", keywords: "list[ast.keyword]") -> dict[str, str]:
        entry = torch_operators().get(name, TorchOperator("read", ""))
        found = {}
        for position, key in (entry.file, entry.writes_if):
            if not key:
                continue
            node = next((keyword.value for keyword in keywords if keyword.arg in (key, None)), None)
            if node is None and int(position) < len(given):
                node = given[int(position)]
            elif node is None and given and (star := self._starred(given)) is not None:
                node = star
            if node is not None and (text := self._text(node)):
                found[key] = text
        if not entry.does:
            texts = [value for part in given if (value := self._literal(part, 0)) is not None]
            found = {"texts": ", ".join(texts)[:_SHOWN]} if texts else {}
        return found

    @staticmethod
    def _starred(given: "list[ast.expr]") -> "ast.expr | None":
        import ast

        return next((node for node in given if isinstance(node, ast.Starred)), None)

    def _text(self, node: "ast.expr") -> str:
        """The value, or the expression where it is put together from what the model holds; empty for a parameter."""
        import ast

        literal = self._literal(node, 0)
        if literal is not None:
            return literal
        self._steps = 0
        if not self._is_inside(node, 0):
            return ""
        values = self._assigned.get(node.id, []) if isinstance(node, ast.Name) else []
        return ast.unparse(values[-1] if values else node)[:_SHOWN]

    def _literal(self, node: "ast.expr", depth: int) -> str | None:
        import ast

        self._steps += 1
        if depth > _DEPTH or self._steps > _STEPS:
            return None
        if isinstance(node, ast.Constant):
            return str(node.value)[:4096]
        if isinstance(node, ast.Starred):
            return self._literal(node.value, depth + 1)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left, right = self._literal(node.left, depth + 1), self._literal(node.right, depth + 1)
            return left + right if left is not None and right is not None else None
        if isinstance(node, ast.Name):
            values = self._assigned.get(node.id, [])
            return self._literal(values[-1], depth + 1) if values else None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "annotate":
            return self._literal(node.args[-1], depth + 1) if node.args else None
        return None

    def _is_inside(self, node: "ast.expr", depth: int) -> bool:
        """Whether a text of the model, or an attribute of it, goes into an expression."""
        import ast

        for part in ast.walk(node):
            self._steps += 1
            if depth > _DEPTH or self._steps > _STEPS:
                return True
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                return True
            base = part.value if isinstance(part, ast.Attribute) else None
            if isinstance(base, ast.Name) and base.id in ("self", "CONSTANTS"):
                return True
            if isinstance(part, ast.Name) and any(
                self._is_inside(value, depth + 1) for value in self._assigned.get(part.id, ())
            ):
                return True
        return False
