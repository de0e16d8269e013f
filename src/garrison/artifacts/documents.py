"""Walks plain documents, as JSON, YAML and TOML give them, for what loaders act on.

`_target_` (Hydra: `hydra/_internal/instantiate/_instantiate2.py`), `target` with `params` (the loaders of latent
diffusion and NeMo), `class_path` with `init_args` (jsonargparse, and so Lightning's command line), OmegaConf's
resolvers, templates in any string, Keras configurations, shards, and what the documents of hubs and servers do
(`hub_documents`, `serving_documents`).
"""

import re
from typing import Any

from garrison.artifacts import array_stores, hub_documents, serving_documents
from garrison.artifacts.program_text import is_program_text
from garrison.core.errors import LimitExceeded
from garrison.core.facts import Anomaly, Import, Reference
from garrison.sources.source import Context, Extracted, Source

_VALUES = 2_000_000
_TEMPLATES = 2_000
_TARGETS = ("_target_", "__target__")
_INTERPOLATION = re.compile(r"\$\{([A-Za-z_]\w*(?:\.\w+)*)\}")
_RESOLVED = re.compile(r"\$\{\s*[A-Za-z_][\w.]*\s*:(.*)\}", re.DOTALL)
_NAMING = {"target": frozenset({"params", "nemo_version"}), "class_path": frozenset({"init_args"})}
"""Keys that name what is called, where one of other keys stands beside them."""
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_LOOKING_UP = frozenset({"get_class", "get_method", "get_object", "get_static_method"})
_PROGRAM = 4096
_PROGRAMS = 2_000


def walk(source: Source, document: object, context: Context | None = None) -> Extracted:
    """Facts about a document and the templates inside it; shared parts are visited once."""
    if _is_keras(document):
        from garrison.artifacts import keras_config

        yield from keras_config.walk(document)
    yield from hub_documents.whole(document)
    yield from serving_documents.whole(document)
    pending: list[tuple[str, object]] = [("", document)]
    seen: set[int] = set()
    visited = templates = programs = 0
    while pending:
        place, value = pending.pop()
        visited += 1
        if context is not None and visited % 4096 == 0:
            context.check_time()
        if visited > _VALUES:
            raise LimitExceeded("facts", f"a document of more than {_VALUES} parts")
        if isinstance(value, dict | list):
            if id(value) in seen:
                continue
            seen.add(id(value))
        if isinstance(value, dict):
            yield from _mapping(place, value, document)
            pending += [
                (f"{place}.{key}" if place else str(key), item) for key, item in value.items() if _matters(item)
            ]
        elif isinstance(value, list):
            pending += [(f"{place}[{index}]", item) for index, item in enumerate(value) if _matters(item)]
        elif isinstance(value, str):
            if _is_template(value):
                templates += 1
                if templates > _TEMPLATES:
                    raise LimitExceeded("facts", f"a document of more than {_TEMPLATES} templates")
                yield source.member(place or "template", value.encode("utf-8", "replace"), loaded_as=("jinja",))
            elif "${" in value:
                yield from _resolver(place, value)
            elif programs < _PROGRAMS:
                programs += 1
                yield from _program(place, value)


def _matters(item: object) -> bool:
    """Whether a value is worth a visit: it has parts, or it may be a template, a resolver or a program."""
    if isinstance(item, str):
        return "{%" in item or "{{" in item or "${" in item or ("(" in item and ")" in item)
    return isinstance(item, dict | list)


def _is_template(text: str) -> bool:
    """Statements, or an expression with something in it: `{{ }}` alone is a token of many vocabularies."""
    if "{%" in text:
        return True
    start, end = text.find("{{"), text.rfind("}}")
    return 0 <= start < end and any(letter.isalnum() or letter in "\"'_([" for letter in text[start:end])


def _is_keras(document: object) -> bool:
    return (
        isinstance(document, dict)
        and isinstance(document.get("class_name"), str)
        and isinstance(document.get("config"), dict | list)
    )


def _mapping(place: str, value: dict[Any, Any], document: object) -> Extracted:
    for key in _TARGETS:
        target = value.get(key)
        if isinstance(target, str) and target:
            yield from _target(place, value, _interpolated(target, document))
    for key, marks in _NAMING.items():
        target = value.get(key)
        if isinstance(target, str) and _DOTTED.fullmatch(target) and not marks.isdisjoint(value):
            yield from _target(place, value, target, origin="configuration")
    yield from hub_documents.mapping(place, value)
    yield from serving_documents.mapping(place, value)
    yield from array_stores.described(place, value)
    weights = value.get("weight_map")
    if isinstance(weights, dict):
        for name in dict.fromkeys(item for item in weights.values() if isinstance(item, str)):
            yield Reference(target=name, role="external-data", trigger="load", detail="a shard", place="weight_map")
    path = value.get("searchpath")
    for one in path if isinstance(path, list) and place in ("hydra", "") else []:
        if isinstance(one, str) and not one.startswith("pkg://"):
            plain = one.removeprefix("file://")
            yield Reference(target=plain, role="search-path", detail="Hydra reads configurations there", place=place)


def _target(place: str, value: dict[Any, Any], target: str, origin: str = "hydra") -> Extracted:
    module, _, name = target.rpartition(".")
    path = value.get("path")
    if module in ("hydra.utils", "hydra._internal.utils") and name in _LOOKING_UP and isinstance(path, str):
        # Hydra's own functions look up what `path` names, and no more.
        module, _, name = path.rpartition(".")
        yield Import(module=module, name=name, origin=origin, place=place)
        return
    yield Import(
        module=module,
        name=name,
        origin=origin,
        usage="reference" if value.get("_partial_") is True else "call",
        arguments=_arguments(value),
        place=place,
    )


def _interpolated(target: str, document: object) -> str:
    """A target with `${a.b}` put in where the document itself says what that is."""

    def look_up(match: re.Match[str]) -> str:
        found = document
        for part in match[1].split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return found if isinstance(found, str) else match[0]

    for _ in range(4):
        target = _INTERPOLATION.sub(look_up, target)[:_PROGRAM]
    return target


def _resolver(place: str, text: str) -> Extracted:
    """OmegaConf calls a resolver with what follows the colon; projects register `eval` as one."""
    found = _RESOLVED.search(text[:_PROGRAM])
    if found and (is_program_text(found[1]) or "__" in found[1]):
        detail = f"a resolver is given program text: {text[:200]!r}"
        yield Anomaly(what="resolver-code", detail=detail, place=place)


def _program(place: str, text: str) -> Extracted:
    """Program text as a value: nothing that garrison knows runs it, but no configuration needs it."""
    if len(text) > _PROGRAM or not is_program_text(text) or "\n\n" in text:
        return
    called = dangerous_calls(text)
    if called:
        detail = f"the value is Python that calls {', '.join(called)}: {text[:160]!r}"
        yield Anomaly(what="program-text", detail=detail, place=place)


def dangerous_calls(text: str) -> list[str]:
    """The dangerous functions that a text calls if it is Python."""
    import ast
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return []
    from garrison.artifacts.knowledge import source_calls
    from garrison.sources.python_calls import Program

    names = dict.fromkeys(f"{call.module}.{call.name}" for call in Program(tree).calls())
    names.update(
        dict.fromkeys(
            ast.unparse(node.func)
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        )
    )
    return [name for name in names if source_calls.dangerous(name)][:4]


def _arguments(value: dict[Any, Any]) -> tuple[str, ...]:
    given = value.get("_args_")
    positional = [repr(item)[:200] for item in given[:8]] if isinstance(given, list) else []
    named = [
        f"{key}={item!r}"[:200] for key, item in value.items() if isinstance(item, str | int) and str(key)[:1] != "_"
    ]
    return tuple((positional + named)[:8])
