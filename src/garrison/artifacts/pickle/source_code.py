"""Names that Python code refers to, from its source or its compiled bytes, without running any of it."""

import re

_NAME = re.compile(rb"[zZ\xda\xfa](.)|[aAut\xe1\xc1\xf5\xf4s\xf3]([\x00-\xff]\x00\x00\x00)", re.DOTALL)
_IDENTIFIER = re.compile(rb"[A-Za-z_][A-Za-z0-9_.]{0,127}").fullmatch
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\s*\.\s*[A-Za-z_][A-Za-z0-9_]*)*")
_MOST = 64
_LONGEST = 1 << 18


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
    """Identifiers that marshalled bytes hold.

    The layout of a marshalled code object differs between Python versions and does not say which it is, so that the
    strings are picked out by their type bytes (`Python/marshal.c`).
    """
    names: dict[str, None] = {}
    for match in _NAME.finditer(data[:_LONGEST]):
        size = match[1][0] if match[1] is not None else match[2][0]
        text = data[match.end() : match.end() + size]
        if len(text) == size and _IDENTIFIER(text):
            names[text.decode("ascii")] = None
            if len(names) >= _MOST:
                break
    return tuple(names)
