"""Python source: what it imports and calls, from its syntax tree. Nothing is imported or compiled.

Source: the grammar of the Python language reference, as `ast` reads it.
"""

import re

from garrison.core.errors import Malformed, NotUnderstood
from garrison.core.facts import Artifact, Import, Reference
from garrison.sources.source import Context, Extracted, Source

_LONGEST = 4 << 20
_SNIFFED = 1 << 20
_NAMED = (".py", ".pyi", ".pyw")
_LINE = re.compile(
    rb"^(?:from [\w.]+ import \S|import [\w.]+(?: as \w+|(?:, ?[\w.]+)*)\s*(?:[#;].*)?$|(?:async )?def \w+\(|"
    rb"class \w+[(:])",
    re.MULTILINE,
)


def sniff(source: Source) -> bool:
    """The name of a Python file, since importers go by that; or lines that only Python has, and the rest parses too."""
    if source.name.lower().endswith(_NAMED):
        return True
    head = source.reader.pread(0, _SNIFFED)
    if re.match(rb"#![^\n]*python", head):
        return True
    if len(head) == _SNIFFED or not _LINE.search(head[:4096]):
        return False
    return _parses(head)


def _parses(data: bytes) -> bool:
    import ast
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(data)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True


def extract(source: Source, context: Context) -> Extracted:
    """Calls by their full names, and the modules beside it that it imports."""
    import ast
    import warnings

    from garrison.sources.python_calls import Program

    data = source.reader.whole(context.limits.buffer)
    yield Artifact(format="python")
    if len(data) > _LONGEST:
        raise NotUnderstood(f"a Python file of {len(data)} bytes is not parsed")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(data)
    except (SyntaxError, ValueError) as error:
        raise Malformed(f"not valid Python: {str(error)[:100]}") from None
    program = Program(tree)
    for path, line in program.relative.items():
        yield Reference(target=path, role="source-import", place=f"line {line}")
    seen: set[tuple[str, str, bool]] = set()
    for call in program.calls():
        context.check_time()
        key = (call.module, call.name, call.deferred)
        if key not in seen:
            seen.add(key)
            yield Import(
                module=call.module,
                name=call.name,
                origin="python",
                usage="call" if call.usage == "call" else "reference",
                arguments=call.arguments,
                deferred=call.deferred,
                place=f"line {call.line}",
            )
