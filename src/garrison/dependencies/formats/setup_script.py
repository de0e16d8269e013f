"""`setup.py`: what a project that is built by a script asks for, as far as the script says it in so many words.

The script is read as a syntax tree and never run. Names and what is ever added to them are followed, as are the usual
ways to read a requirements file; what else the script computes is stated as computed.

Source: setuptools' "Keywords" of `setup()`.
"""

import ast
import warnings
from collections.abc import Iterator

from garrison.core.errors import NotUnderstood
from garrison.core.facts import Anomaly, AnyFact, Artifact, Reference
from garrison.dependencies.formats.pyproject import requirement
from garrison.dependencies.python_requirement import public
from garrison.dependencies.script_values import Script, called, shown
from garrison.sources.source import Context, Extracted, Source

_LARGEST = 2 << 20
_GROUPS = {"install_requires": "", "requires": "", "setup_requires": "build-system", "tests_require": "test"}


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
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and called(node) == "setup"]
    script = Script(tree)
    yield Artifact(format="setup-script", details=_details(calls, script))
    for call in calls:
        context.check_time()
        yield from _call(call, script)


def _details(calls: list[ast.Call], script: Script) -> dict[str, str | int | float | bool]:
    found: dict[str, str | int | float | bool] = {}
    for keyword, node in (pair for call in calls[:1] for pair in script.keywords(call)):
        key = "python" if keyword == "python_requires" else keyword
        value = script.value(node) if key in ("name", "version", "python") else None
        if isinstance(value, str):
            found[key] = value[:200]
    return found


def _call(call: ast.Call, script: Script) -> Iterator[AnyFact]:
    for name, node in script.keywords(call):
        if name in _GROUPS:
            yield from _listed(node, name, _GROUPS[name], script)
        elif name == "extras_require":
            yield from _extras(node, script)
        elif name == "dependency_links":
            for element in script.elements(node):
                target = script.value(element) if isinstance(element, ast.expr) else None
                if isinstance(target, str):
                    place = f"line {node.lineno}"
                    yield Reference(target=public(target), role="package-index", detail="--find-links", place=place)
        elif name == "**":
            yield _computed("the arguments of setup", node)


def _extras(node: ast.expr, script: Script) -> Iterator[AnyFact]:
    for key, value in script.pairs(node, 1):
        name = script.value(key) if key is not None else None
        if isinstance(name, str):
            yield from _listed(value, f"extras_require[{name!r}]", name.partition(":")[0], script)
        else:
            yield _computed("a part of extras_require", value)


def _listed(node: ast.expr, what: str, group: str, script: Script) -> Iterator[AnyFact]:
    """Each text with the line that it stands on, whichever list it was taken from."""
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
    detail = f"{what}: {shown(node)} is computed when the script runs, which garrison does not do"
    return Anomaly(what="requirement-computed", detail=detail, place=f"line {node.lineno}")
