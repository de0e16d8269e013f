"""Programs that `torch.export.save` writes, and packages of AOTInductor: the `.pt2` archives.

Sources: `torch/export/pt2_archive/_package.py` (the archive), `torch/_export/serde/serialize.py` (the program, and how
its names are resolved), `torch/export/_unlift.py` (guards become code), `torch/utils/_pytree.py` (containers become
classes) and `torch/csrc/inductor/aoti_package/model_package_loader.cpp` (libraries are opened, sources compiled).
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from garrison.artifacts.evaluated_expressions import suspicious_expression, suspicious_guard
from garrison.artifacts.knowledge.torch_operators import is_exported_function, matters
from garrison.artifacts.pickle.source_code import source_names
from garrison.core.errors import Malformed
from garrison.core.facts import Artifact, EmbeddedCode, Import, Operator
from garrison.sources.containers import zip
from garrison.sources.source import Context, Extracted, Source

_OLD_PROGRAM = "serialized_exported_program.json"
_PROGRAM = re.compile(r"(?:^|/)models/[^/]+\.json$").search
_COMPILED = re.compile(r"(?:^|/)data/aotinductor/.+\.(so|dll|dylib|o|pyd|cubin|hsaco|spv)$").search
_COMPILED_ON_LOADING = re.compile(r"(?:^|/)data/aotinductor/.+\.(cpp|cc|cu)$").search
_NODES = 5_000_000
_STATED = 2_000
_FACTORY = re.compile(r'"default_factory_module"\s*:\s*"([^"]*)"\s*,\s*"default_factory_name"\s*:\s*"([^"]*)"').finditer
_ENUM = re.compile(r'"fqn"\s*:\s*"([^":]*):?([^"]*)"').finditer


def sniff(source: Source) -> bool:
    """Whether a zip has the marks of an exported program."""
    return zip.sniff(source) and _marked(source, zip.directory(source.reader))


def _marked(source: Source, found: zip.Directory) -> bool:
    for member in found.members:
        last = member.name.rpartition("/")[2]
        if last == _OLD_PROGRAM:
            return True
        if last == "archive_format" and member.data >= 0 and member.method == 0:
            return source.reader.pread(member.data, min(member.size, 8)).strip() == b"pt2"
    return False


def extract(source: Source, context: Context) -> Extracted:
    """State what the programs call, evaluate and import, and which members are native code.

    Raises `Malformed` and `LimitExceeded`.
    """
    found = zip.directory(source.reader)
    programs = [m for m in found.members if _PROGRAM(m.name) or m.name.rpartition("/")[2] == _OLD_PROGRAM]
    compiled = [m for m in found.members if _COMPILED(m.name)]
    details: dict[str, str | int | float | bool] = {"framework": "torch", "programs": len(programs)}
    if compiled:
        details["compiled_members"] = len(compiled)
    problems = []
    facts: list[Operator | Import | EmbeddedCode] = []
    for member in programs:
        context.check_time()
        try:
            program = _document(source, context, member)
        except Malformed as error:
            problems.append(error)
            continue
        for key in ("torch_version", "dialect"):
            if isinstance(program, dict) and isinstance(program.get(key), str):
                details[key] = program[key][:100]
        facts += _Program(context, member.name).facts(program)
    yield Artifact(format="torch-export", details=details)
    yield from facts
    yield from _sources(found, compiled)
    if problems:
        raise problems[0]


def _sources(found: zip.Directory, compiled: list[zip.Member]) -> Iterator[EmbeddedCode]:
    """C++ that the loader compiles, which it does where a folder has no library."""
    libraries = {m.name.rpartition("/")[0] for m in compiled if m.name.endswith((".so", ".dll", ".dylib", ".pyd"))}
    for member in found.members:
        if _COMPILED_ON_LOADING(member.name) and member.name.rpartition("/")[0] not in libraries:
            yield EmbeddedCode(
                language="c++",
                form="source that loading the package compiles and opens",
                trigger="load",
                place=f"member {member.name}",
            )


def _document(source: Source, context: Context, member: zip.Member) -> Any:
    reader = None
    if member.data >= 0:
        reader = zip.open_member(source.reader.window(member.data, member.packed), member.method, context)
    if reader is None:
        raise Malformed(f"{member.name!r} cannot be read")
    try:
        return json.loads(reader.whole(context.limits.buffer))
    except (ValueError, RecursionError) as error:
        raise Malformed(f"{member.name!r} is no JSON: {str(error)[:80]}") from None


class _Program:
    """Walks one program; each thing is stated once."""

    def __init__(self, context: Context, member: str) -> None:
        self._context = context
        self._place = f"member {member}"
        self._facts: dict[Any, Operator | Import | EmbeddedCode] = {}

    def facts(self, program: object) -> list[Operator | Import | EmbeddedCode]:
        waiting = [program]
        for count in range(_NODES):
            if not waiting or len(self._facts) >= _STATED:
                break
            if not count % 1024:
                self._context.check_time()
            value = waiting.pop()
            if isinstance(value, dict):
                self._object(value)
                waiting.extend(value.values())
            elif isinstance(value, list):
                waiting.extend(value)
        return list(self._facts.values())

    def _object(self, value: dict[str, Any]) -> None:
        if isinstance(target := value.get("target"), str) and isinstance(value.get("inputs"), list):
            self._called(target, value["inputs"])
        if isinstance(target := value.get("as_operator"), str):
            self._called(target, [])
        if isinstance(expression := value.get("expr_str"), str) and suspicious_expression(expression):
            self._code(expression, "expression that SymPy evaluates", "load")
        for name in ("range_constraints", "equality_constraints"):
            expressions = value.get(name)
            for expression in expressions if isinstance(expressions, dict | list) else ():
                if isinstance(expression, str) and suspicious_expression(expression):
                    self._code(expression, "expression that SymPy evaluates", "load")
        for name in ("guards_code", "guards"):
            guards = value.get(name)
            for guard in guards if isinstance(guards, list) else ():
                if isinstance(guard, str) and suspicious_guard(guard):
                    self._code(guard, "guard that the module executes", "use")
        for name in ("in_spec", "out_spec"):
            if isinstance(text := value.get(name), str):
                self._containers(text)
        if isinstance(class_name := value.get("class_fqn"), str):
            self._class(class_name)

    def _called(self, target: str, inputs: list[Any]) -> None:
        """As the deserialiser resolves it: any attribute of `torch`, `math` or `operator`, by its dotted path."""
        parts = target.split(".")
        if target.startswith("torch.ops.") and len(parts) > 3 and parts[2] != "load_library":
            name = f"{parts[2]}::{parts[3]}"
            if matters(name):
                given = dict(_literals(inputs))
                operator = Operator(framework="torch.export", name=name, arguments=given, place=self._place)
                self._facts.setdefault((name, str(given)), operator)
        elif parts[0] in ("torch", "math", "_operator") and not is_exported_function(target):
            self._import(".".join(parts[:-1]), parts[-1], "call", tuple(repr(text) for _, text in _literals(inputs)))

    def _import(self, module: str, name: str, usage: str, arguments: tuple[str, ...] = ()) -> None:
        fact = Import(
            module=module,
            name=name,
            origin="torch.export",
            usage="call" if usage == "call" else "reference",
            arguments=arguments,
            place=self._place,
        )
        self._facts.setdefault((module, name, arguments), fact)

    def _code(self, text: str, form: str, trigger: str) -> None:
        fact = EmbeddedCode(
            language="python",
            form=form,
            trigger="load" if trigger == "load" else "use",
            names=source_names(text) or (),
            excerpt=text[:200],
            place=self._place,
        )
        self._facts.setdefault((form, text), fact)

    def _containers(self, text: str) -> None:
        """Classes that the description of nested containers has the loader import."""
        text = text.replace('\\"', '"')
        for match in _FACTORY(text):
            self._import(match[1], match[2], "reference")
        if '"__enum__"' in text:
            for match in _ENUM(text):
                self._import(match[1], match[2] or "…", "reference")

    def _class(self, name: str) -> None:
        parts = name.removeprefix("__torch__.").split(".")
        if parts[:2] == ["torch", "classes"] and len(parts) >= 4 and matters(".".join(parts[:4])):
            shown = ".".join(parts[:4])
            self._facts.setdefault(shown, Operator(framework="torch.export", name=shown, place=self._place))


def _literals(inputs: list[Any]) -> Iterator[tuple[str, str]]:
    """Texts, flags and numbers among a node's arguments, by name."""
    for index, item in enumerate(inputs[:64]):
        argument = item.get("arg") if isinstance(item, dict) else None
        name = item.get("name") if isinstance(item, dict) else None
        for kind, value in argument.items() if isinstance(argument, dict) else ():
            if kind in ("as_string", "as_bool", "as_int") and value is not None:
                yield str(name or index), str(value)[:200]
            elif kind == "as_strings" and isinstance(value, list):
                yield str(name or index), ", ".join(map(str, value))[:200]
