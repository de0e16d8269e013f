"""Python that installers run: `setup.py` of source archives, and build backends that a project brings along.

Source: the packaging user guide, "Build backend interface" and "pyproject.toml specification"; setuptools, "Building
and Distributing Packages".
"""

import ast
import re
from collections.abc import Iterator

from garrison.core.errors import Malformed, NotUnderstood
from garrison.core.facts import Artifact, EmbeddedCode, Import
from garrison.dependencies.knowledge.install_code import call_kind, text_kinds
from garrison.sources.python_calls import Call, Program, text_of
from garrison.sources.source import Context, Extracted, Source

_HOOK = re.compile(rb"^(?:async )?def (?:build_wheel|build_editable|build_sdist)\(", re.MULTILINE)
_HEAD = 1 << 17
_LONGEST = 4 << 20
_SHOWN = 200
_LONGEST_TEXT = 20_000
_NESTED = 4
_FACTS = 2000


def sniff(source: Source) -> bool:
    """Named as pip runs it, or with a function that build frontends call."""
    if source.name == "setup.py":
        return True
    head = source.reader.pread(0, _HEAD)
    return b"def build_" in head and bool(_HOOK.search(head))


def extract(source: Source, context: Context) -> Extracted:
    """Calls that matter when an installer runs them, with their arguments, and texts that tell what for."""
    data = source.reader.whole(context.limits.buffer)
    yield Artifact(format="install-script")
    if len(data) > _LONGEST:
        raise NotUnderstood(f"a Python file of {len(data)} bytes is not parsed")
    try:
        tree = _parsed(data)
    except (SyntaxError, ValueError) as error:
        raise Malformed(f"not valid Python: {str(error)[:100]}") from None
    for number, fact in enumerate(dict.fromkeys(_facts(tree, context, 0, 0))):
        if number >= _FACTS:
            break
        yield fact


def _parsed(data: bytes | str) -> ast.Module:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(data)


def _facts(tree: ast.Module, context: Context, depth: int, line: int) -> Iterator[Import | EmbeddedCode]:
    program = Program(tree)
    for call in program.calls():
        context.check_time()
        kind = call_kind(f"{call.module}.{call.name}")
        if kind and (call.usage == "call" or kind in ("code", "command", "decode")):
            yield _stated(call, depth, line)
    documentation = _documentation(tree)
    for node in ast.walk(tree):
        context.check_time()
        if isinstance(node, ast.Call):
            yield from _whole_environment(program, node, line or node.lineno)
            if depth < _NESTED:
                yield from _given_code(program, node, context, depth, line or node.lineno)
        if isinstance(node, ast.Constant) and id(node) not in documentation:
            yield from _telling(node.value, line or node.lineno)


def _stated(call: Call, depth: int, line: int) -> Import:
    return Import(
        module=call.module,
        name=call.name,
        origin="install",
        usage="call" if call.usage == "call" else "reference",
        arguments=tuple(_arguments(call.node)),
        deferred=call.deferred,
        place=f"line {line or call.line}",
    )


def _arguments(node: ast.Call | None) -> Iterator[str]:
    """As written, since what is put together tells as much as what is literal."""
    if node is None:
        return
    for one in node.args[:4]:
        text = text_of(one)
        yield (repr(text) if text is not None else ast.unparse(one))[:_SHOWN]
    for keyword in node.keywords[:8]:
        yield f"{keyword.arg or '**'}={ast.unparse(keyword.value)}"[:_SHOWN]


def _documentation(tree: ast.AST) -> set[int]:
    """Texts that stand alone: they do nothing."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def _whole_environment(program: Program, node: ast.Call, line: int) -> Iterator[Import]:
    """The environment as a whole, given to what is no command: commands need it."""
    if any(call_kind(name) == "command" for name in program.meanings(node.func)):
        return
    for one in node.args:
        if "os.environ" in program.meanings(one):
            shown = ast.unparse(node)[:_SHOWN]
            yield Import(module="os", name="environ", origin="install", arguments=(shown,), place=f"line {line}")


def _given_code(
    program: Program, node: ast.Call, context: Context, depth: int, line: int
) -> Iterator[Import | EmbeddedCode]:
    """Code that is given as text is read as code."""
    if not node.args or not {"builtins.exec", "builtins.eval", "builtins.compile"} & set(program.meanings(node.func)):
        return
    text = text_of(node.args[0])
    if text is None or len(text) > _LONGEST_TEXT:
        return
    try:
        tree = _parsed(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    yield from _facts(tree, context, depth + 1, line)


def _telling(value: object, line: int) -> Iterator[EmbeddedCode]:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str) or len(value) < 4:
        return
    kinds = text_kinds(value[:_LONGEST_TEXT])
    if kinds:
        yield EmbeddedCode(
            language="text",
            form="text in an install script",
            trigger="carried",
            names=tuple(kinds),
            excerpt=value[:_SHOWN],
            place=f"line {line}",
        )
