"""Python source: what it imports and calls, from its syntax tree. Nothing is imported or compiled."""

import re

from garrison.core.errors import Malformed, NotUnderstood
from garrison.core.facts import Artifact, Import
from garrison.sources.source import Context, Extracted, Source

_LONGEST = 4 << 20
_CALLS = 500
_LINE = re.compile(
    rb"^(?:#!.*python|from [\w.]+ import \S|import [\w.]+(?: as \w+|, ?[\w.]+)*\s*(?:#.*)?$|(?:async )?def \w+\(|"
    rb"class \w+[(:])",
    re.MULTILINE,
)


def sniff(source: Source) -> bool:
    """Lines that only Python has, or the name of a Python file."""
    if source.name.endswith((".py", ".pyi")):
        return True
    return bool(_LINE.search(source.reader.pread(0, 4096)))


def extract(source: Source, context: Context) -> Extracted:
    """Calls by their full names, as far as imports tell."""
    import ast
    import warnings

    data = source.reader.whole(context.limits.buffer)
    yield Artifact(format="python")
    if len(data) > _LONGEST:
        raise NotUnderstood(f"a Python file of {len(data)} bytes is not parsed")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(data)
    except (SyntaxError, ValueError, MemoryError) as error:
        raise Malformed(f"not valid Python: {str(error)[:100]}") from None
    names: dict[str, str] = {}
    calls: dict[tuple[str, str], int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and len(calls) < _CALLS:
            dotted = _dotted(node.func)
            if dotted:
                first, _, rest = dotted.partition(".")
                resolved = names.get(first)
                if resolved is None:
                    full = f"builtins.{dotted}" if not rest else ""
                else:
                    full = f"{resolved}.{rest}" if rest else resolved
                module, _, name = full.rpartition(".")
                if module:
                    calls.setdefault((module, name), node.lineno)
    for (module, name), line in calls.items():
        yield Import(module=module, name=name, origin="python", usage="call", place=f"line {line}")


def _dotted(node: object) -> str:
    import ast

    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    parts.append(node.id)
    return ".".join(reversed(parts))
