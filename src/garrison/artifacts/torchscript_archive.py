"""The code in a TorchScript archive: sources under `code/`, and the bytecode that the lite interpreter runs instead.

Sources: `torch/csrc/jit/serialization/export_module.cpp`, `import_legacy.cpp`, `torch/csrc/jit/mobile/import.cpp`.
"""

import re
from collections.abc import Iterator

from garrison.artifacts.knowledge.torch_operators import matters
from garrison.artifacts.pickle.ledger import Ledger
from garrison.artifacts.pickle.machine import Machine
from garrison.artifacts.torchscript import uses
from garrison.core.errors import ExaminationError
from garrison.core.facts import Operator
from garrison.sources.containers.zip import Directory, Member, open_member
from garrison.sources.reader import Reader
from garrison.sources.source import Context, Source

_OPERATORS = 10_000
_ARENA = re.compile(r'"torchscriptArena"\s*:\s*\{\s*"key"\s*:\s*"([^"]*)"').finditer
_CONSTANTS = 200


def operators(source: Source, context: Context, found: Directory, prefix: str) -> Iterator[Operator]:
    """The operators that matter, of every member that a loader takes for code.

    The reader of PyTorch compares names without regard to case.
    """
    code = f"{prefix}code/".lower()
    named = _named_by_the_model(source, context, found, prefix)
    for member in found.members:
        context.check_time()
        name = member.name.lower()
        if name in named or (name.startswith(code) and name.endswith(".py")):
            yield from _of_source(source, context, member)
        elif name == f"{prefix}bytecode.pkl".lower():
            yield from _of_bytecode(source, context, member)


def _named_by_the_model(source: Source, context: Context, found: Directory, prefix: str) -> set[str]:
    """The members that the `model.json` of the oldest layout gives as the code of its modules."""
    named: set[str] = set()
    for member in found.members:
        reader = _opened(source, context, member) if member.name.lower() == f"{prefix}model.json".lower() else None
        if reader is not None:
            text = reader.whole(context.limits.buffer).decode("utf-8", "replace")
            named.update(f"{prefix}{match[1]}".lower() for match in _ARENA(text))
    return named


def _opened(source: Source, context: Context, member: Member) -> Reader | None:
    if member.data < 0:
        return None
    return open_member(source.reader.window(member.data, member.packed), member.method, context)


def _of_source(source: Source, context: Context, member: Member) -> Iterator[Operator]:
    reader = _opened(source, context, member)
    if reader is None:
        return
    text = reader.whole(context.limits.buffer).decode("utf-8", "replace")
    for use in uses(text):
        yield Operator(
            framework="torchscript",
            name=use.name,
            arguments=use.arguments,
            place=f"member {member.name}, line {use.line}",
        )


def _of_bytecode(source: Source, context: Context, member: Member) -> Iterator[Operator]:
    """Operators by the functions that list them, each with the texts among its function's constants."""
    reader = _opened(source, context, member)
    if reader is None:
        return
    machine = Machine(reader, Ledger(), check_time=context.check_time)
    try:
        ending = machine.run(0)
    except ExaminationError:  # the pickle is examined as a member of its own, which says what is wrong with it
        return
    if not ending.stopped:
        return
    for function in (machine.items(ending.value) or ())[:_OPERATORS]:
        parts = machine.items(function) or ()
        if len(parts) < 2:
            continue
        tables = _tables(machine, parts[1])
        texts = [
            value for item in tables.get("constants", ())[:_CONSTANTS] if type(value := machine.literal(item)) is str
        ]
        arguments = {"texts": ", ".join(texts)[:200]} if texts else {}
        if any(machine.literal(item) is True for item in tables.get("constants", ())[:_CONSTANTS]):
            arguments["shared"] = "True"
        for operator in tables.get("operators", ())[:_OPERATORS]:
            names = machine.items(operator) or ()
            name = machine.literal(names[0]) if names else None
            if type(name) is str and matters(name):
                yield Operator(
                    framework="torchscript",
                    name=name,
                    arguments=arguments,
                    place=f"member {member.name}, {machine.literal(parts[0])}",
                )


def _tables(machine: Machine, value: int) -> dict[str, tuple[int, ...]]:
    """`(("operators", (...)), ("constants", (...)), ...)` as a mapping."""
    found: dict[str, tuple[int, ...]] = {}
    for table in machine.items(value) or ():
        pair = machine.items(table) or ()
        if len(pair) == 2 and type(name := machine.literal(pair[0])) is str:
            found[name] = machine.items(pair[1]) or ()
    return found
