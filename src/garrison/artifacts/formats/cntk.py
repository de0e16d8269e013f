"""CNTK models of version 2: a dictionary of dictionaries, in which functions of the user's own name Python.

Loading runs `from MODULE import CLASS` with the names from the file, as program text, and calls the class.

Source: `Source/CNTKv2LibraryDll/proto/CNTK.proto`, and `cntk/internal/__init__.py`
(`_UDFDeserializeCallbackWrapper`) of CNTK.
"""

from typing import TYPE_CHECKING

from garrison.artifacts.wire.protobuf import LENGTH, VARINT, Span, Wire
from garrison.core.errors import ExaminationError, LimitExceeded, Malformed
from garrison.core.facts import Anomaly, Artifact, Import
from garrison.sources.source import Context, Extracted, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEYS = frozenset(
    {"version", "uid", "type", "name", "root", "root_uid", "inputs", "primitive_functions", "op", "attributes"}
    | {"kind", "data_type", "shape", "value", "state", "class", "module", "op_name", "block_function_composite"}
)
_DICTIONARIES = 1_000_000
_VECTOR, _INNER, _TEXT = 11, 12, 8


def sniff(source: Source) -> bool:
    """A version number, and an entry whose key is one of a model's."""
    if source.reader.pread(0, 1) not in (b"\x08", b"\x12"):
        return False
    wire = Wire(source.reader)
    try:
        for number, kind, value in wire.fields(wire.whole()):
            if number == 2 and isinstance(value, Span):
                inner, _, key = next(wire.fields(value), (0, 0, 0))
                return inner == 1 and isinstance(key, Span) and wire.text(key, 64) in _KEYS
            if (number, kind) != (1, VARINT):
                return False
    except ExaminationError:
        pass
    return False


def extract(source: Source, context: Context) -> Extracted:
    """Dictionaries at any depth; those that name a module and a class are imported."""
    wire = Wire(source.reader)
    details: dict[str, str | int | float | bool] = {}
    yield Artifact(format="cntk", details=details)
    pending = [wire.whole()]
    count = 0
    while pending:
        count += 1
        if count % 1024 == 0:
            context.check_time()
        if count > _DICTIONARIES:
            raise LimitExceeded("members", f"more than {_DICTIONARIES} dictionaries in one model")
        texts: dict[str, str] = {}
        span = pending.pop()
        try:
            for key, value in _entries(wire, span):
                if isinstance(value, str):
                    texts[key] = value
                else:
                    pending.append(value)
        except Malformed as error:
            yield Anomaly(what="malformed", detail=f"a dictionary breaks off: {error}", place=f"@ {span.start:#x}")
        if "module" in texts and "class" in texts:
            arguments = (repr(texts["state"])[:1000],) if texts.get("state") else ()
            yield Import(
                module=texts["module"],
                name=texts["class"],
                origin="cntk",
                usage="call",
                arguments=arguments,
                place=f"@ {span.start:#x}",
            )
        details["dictionaries"] = count


def _entries(wire: Wire, span: Span) -> "Iterator[tuple[str, str | Span]]":
    """Texts by their keys, and the dictionaries inside, which vectors may hold too."""
    for entry in wire.spans(span, 2):
        key = ""
        values: list[Span] = []
        for number, _, value in wire.fields(entry):
            if number == 1 and isinstance(value, Span):
                key = wire.text(value, 200)
            elif number == 2 and isinstance(value, Span):
                values.append(value)
        while values:
            for number, kind, value in wire.fields(values.pop()):
                if kind != LENGTH or not isinstance(value, Span):
                    continue
                if number == _TEXT:
                    yield key, wire.text(value, 4000)
                elif number == _INNER:
                    yield key, value
                elif number == _VECTOR:
                    values += wire.spans(value, 1)
