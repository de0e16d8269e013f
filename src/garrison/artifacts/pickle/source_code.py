"""Names that Python code refers to, from its source or its compiled bytes, without running any of it."""

import itertools
import re
import sys
from collections.abc import Iterable

_NAME = re.compile(rb"[zZ\xda\xfa](.)|[aAut\xe1\xc1\xf5\xf4s\xf3]([\x00-\xff]\x00\x00\x00)", re.DOTALL)
_IDENTIFIER = re.compile(rb"[A-Za-z_][A-Za-z0-9_.]{0,127}").fullmatch
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\s*\.\s*[A-Za-z_][A-Za-z0-9_]*)*")
_MOST = 64
_LONGEST = 1 << 18
_OBJECTS = 200_000
_NO_NAME = "no_such_name"
_TELLING = frozenset(
    {"system", "popen", "Popen", "check_output", "exec", "eval", "__import__", "__builtins__", "__globals__", "loads"}
)
_CODES = 200
_MODULES = frozenset(sys.stdlib_module_names) | {
    "posix",
    "nt",
    "commands",
    "popen2",
    "__builtin__",
    "requests",
    "torch",
}


def source_names(source: str) -> tuple[str, ...] | None:
    """Dotted names that Python source imports, calls or reaches, in that order; None where it does not parse."""
    import ast
    import warnings

    if len(source) > _LONGEST:
        return tuple(dict.fromkeys(_WORD.findall(source[:_LONGEST])))[:_MOST]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source.lstrip(" \t"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    imports: dict[str, None] = {}
    calls: dict[str, None] = {}
    others: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports.update(dict.fromkeys(alias.name for alias in node.names))
        elif isinstance(node, ast.ImportFrom):
            imports.update(dict.fromkeys(f"{node.module or ''}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Call):
            name = _dotted(node.func)
            calls[name] = None
            if name.rpartition(".")[2] in ("__import__", "import_module") and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    imports[first.value] = None
        elif isinstance(node, ast.Attribute):
            others[_dotted(node)] = None
    found = {**imports, **calls, **others}
    return tuple(name for name in found if name)[:_MOST]


def _dotted(node: object) -> str:
    import ast

    parts: list[str] = []
    while True:
        if isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        elif isinstance(node, ast.Call):
            if _is_import(node):
                parts.append(node.args[0].value)  # type: ignore[attr-defined]
                break
            node = node.func
        elif isinstance(node, ast.Subscript):
            node = node.value
        elif isinstance(node, ast.Name):
            parts.append(node.id)
            break
        else:
            break
    return ".".join(reversed(parts))


def _is_import(node: object) -> bool:
    import ast

    return (
        isinstance(node, ast.Call)
        and _name(node.func) in ("__import__", "import_module")
        and bool(node.args)
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    )


def _name(node: object) -> str:
    import ast

    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def bytecode_names(data: bytes) -> tuple[str, ...]:
    """Names that marshalled code refers to; where it is no code that any Python writes, identifiers that it holds."""
    from garrison.artifacts.wire import marshal
    from garrison.core.errors import ExaminationError
    from garrison.sources.reader import BytesReader

    try:
        found = marshal.read(BytesReader(data), 0, lambda: None, _OBJECTS)
    except ExaminationError:
        return code_names([(_identifiers(data), [])])
    return code_names((code.names, code.consts) for code in found.codes)


def code_names(codes: Iterable[tuple[list[str], list[str]]]) -> tuple[str, ...]:
    """What code objects refer to, given the names and the texts among the constants of each.

    Dangerous ones come first, dotted where a module and its attribute meet: the names of a code object stand in the
    order of their first use, apart from each other, so that each is taken for an attribute of every module among them.
    Local variables are no references, and a constant is one only where it can name a module or what is found in it.
    """
    dotted: dict[str, None] = {}
    plain: dict[str, None] = {}
    for names, constants in itertools.islice(codes, _CODES):
        named = names[:_MOST]
        told = [text for text in constants if text in _MODULES or text in _TELLING][:_MOST]
        for module in dict.fromkeys(name for name in (*named, *told) if name.partition(".")[0] in _MODULES):
            if _dangerous(module, _NO_NAME):
                after = named[named.index(module) + 1 :] if module in named else []
                dotted.update({f"{module}.{name}": None for name in after[:1]})
            else:
                dotted.update({f"{module}.{name}": None for name in (*named, *told) if _dangerous(module, name)})
        plain.update(dict.fromkeys((*named, *told)))
    return tuple({**dotted, **plain})[:_MOST]


def _dangerous(module: str, name: str) -> bool:
    from garrison.artifacts.knowledge.imports import verdict

    return (
        name.isidentifier()
        and name not in _MODULES
        and not name.startswith("__")
        and (verdict(module, name).kind == "dangerous")
    )


def _identifiers(data: bytes) -> list[str]:
    """Identifiers among the strings of marshalled bytes that are damaged, picked out by their type bytes."""
    names: dict[str, None] = {}
    for match in _NAME.finditer(data[:_LONGEST]):
        size = match[1][0] if match[1] is not None else match[2][0]
        text = data[match.end() : match.end() + size]
        if len(text) == size and _IDENTIFIER(text):
            names[text.decode("ascii")] = None
            if len(names) >= _MOST:
                break
    return list(names)
