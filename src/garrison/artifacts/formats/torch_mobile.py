"""PyTorch Mobile's FlatBuffers: what `_save_for_lite_interpreter` writes, and `torch.jit.load` takes, instead of a zip.

Source: `torch/csrc/jit/serialization/mobile_bytecode.fbs` and `flatbuffer_loader.cpp`.
"""

from collections.abc import Iterator

from garrison.artifacts.knowledge.torch_operators import matters
from garrison.artifacts.torchscript import uses
from garrison.artifacts.wire.flatbuffers import FlatBuffer, Table
from garrison.core.errors import LimitExceeded
from garrison.core.facts import Artifact, Operator
from garrison.sources.source import Context, Extracted, Source

_VERSION, _VALUES, _STORAGES, _TYPES, _SOURCES = 0, 4, 6, 7, 8
_BOOL, _STRING, _FUNCTION = 2, 6, 16
_QUALIFIED, _OPERATORS, _CONSTANTS = 0, 2, 3
_MOST_VALUES = 1_000_000
_SHOWN = 200


def extract(source: Source, context: Context) -> Extracted:
    """State the operators that matter, in its bytecode and in the source that it carries along.

    Raises `Malformed` and `LimitExceeded`.
    """
    root = FlatBuffer(source.reader, check_time=context.check_time).root()
    values = list(_kinds(root))
    functions = [table for kind, table in values if kind == _FUNCTION and table is not None]
    yield Artifact(
        format="torch-mobile",
        details={
            "framework": "torch",
            "bytecode_version": root.number(_VERSION, "I"),
            "functions": len(functions),
            "storages": root.vector(_STORAGES, 4).count,
        },
    )
    for function in functions:
        yield from _of_function(function, values)
    for carried in root.tables(_SOURCES):
        name = carried.text(0)
        for use in uses(carried.text(1, context.limits.buffer)):
            yield Operator(
                framework="torchscript", name=use.name, arguments=use.arguments, place=f"source {name}, line {use.line}"
            )
    for described in root.tables(_TYPES):
        shown = ".".join(described.text(0).removeprefix("__torch__.").split(".")[:4])
        if shown.startswith("torch.classes.") and matters(shown):
            yield Operator(framework="torchscript", name=shown, place="the table of types")


def _kinds(root: Table) -> Iterator[tuple[int, Table | None]]:
    """All values of the module: their kind, and the table of those that are one."""
    for count, value in enumerate(root.tables(_VALUES)):
        if count >= _MOST_VALUES:
            raise LimitExceeded("facts", f"more than {_MOST_VALUES} values")
        kind = value.number(0, "B")
        if kind == _BOOL:
            place = value.field(1)
            is_true = bool(place) and value.buffer.number(value.buffer.follow(place), "B") == 1
            yield (_BOOL if is_true else 0), None
        else:
            yield kind, value.table(1) if kind in (_STRING, _FUNCTION) else None


def _of_function(function: Table, values: list[tuple[int, Table | None]]) -> Iterator[Operator]:
    arguments: dict[str, str] | None = None
    for operator in function.tables(_OPERATORS):
        name = operator.text(0)
        if not matters(name):
            continue
        if arguments is None:
            arguments = _arguments(function, values)
        yield Operator(framework="torchscript", name=name, arguments=arguments, place=function.text(_QUALIFIED))


def _arguments(function: Table, values: list[tuple[int, Table | None]]) -> dict[str, str]:
    """The texts among a function's constants, and whether one of them is true."""
    constants = [values[index] for index in function.numbers(_CONSTANTS, "I", 1000) if index < len(values)]
    texts = [table.text(0, _SHOWN) for kind, table in constants if kind == _STRING and table is not None]
    found = {"texts": ", ".join(texts)[:_SHOWN]} if texts else {}
    return {**found, "shared": "True"} if any(kind == _BOOL for kind, _ in constants) else found
