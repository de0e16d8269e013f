"""ONNX Runtime's own format: an optimised ONNX graph in a FlatBuffer.

Source: `onnxruntime/core/flatbuffers/schema/ort.fbs`.
"""

from collections.abc import Iterator
from math import prod

from garrison.artifacts.formats import onnx
from garrison.artifacts.wire.flatbuffers import FlatBuffer, Table
from garrison.core.errors import Malformed
from garrison.core.facts import AnyFact, Artifact, Reference
from garrison.sources.source import Context, Extracted, Source

_GRAPHS = 10_000


def extract(source: Source, context: Context) -> Extracted:
    """Operators outside the standard, what Python operators import, and metadata."""
    session = FlatBuffer(source.reader, check_time=context.check_time).root()
    model = session.table(1)
    if model is None:
        raise Malformed("a session without a model")
    sets = ", ".join(f"{entry.text(0, 100) or 'ai.onnx'} {entry.number(1, 'q')}" for entry in model.tables(1))
    details: dict[str, str | int | float | bool] = {
        "ort_version": session.text(0, 40),
        "ir_version": model.number(0, "q"),
        "producer": model.text(2, 100),
        "operator_sets": sets[:300],
    }
    totals = onnx.Totals()
    facts: list[AnyFact] = []
    problem: Malformed | None = None
    try:
        facts += _graphs(model.table(7), totals)
    except Malformed as error:
        problem = error
    details |= {"operators": totals.nodes, "tensors": totals.tensors, "parameters": totals.parameters}
    yield Artifact(format="onnx-runtime", details=details)
    yield from facts
    yield from onnx.unknown_operators(totals)
    for entry in model.tables(9):
        text = entry.text(1, onnx.TEMPLATE)
        if "{%" in text or "{{" in text:
            yield source.member(f"metadata {entry.text(0, 100)}", text.encode(), loaded_as=("jinja",))
    if problem is not None:
        raise problem


def _graphs(graph: Table | None, totals: onnx.Totals) -> Iterator[AnyFact]:
    """The graph and those in attributes of its nodes, without recursion."""
    pending = [graph] if graph is not None else []
    seen: set[int] = set()
    while pending:
        graph = pending.pop()
        if graph.position in seen:
            continue
        seen.add(graph.position)
        if len(seen) > _GRAPHS:
            raise Malformed(f"more than {_GRAPHS} graphs")
        for tensor in graph.tables(0):
            totals.count(prod(max(size, 0) for size in tensor.numbers(2, "q")))
            tensor.vector(4, 1)
        for node in graph.tables(2):
            domain, name = node.text(2, 200), node.text(5, 200)
            totals.add(domain, name)
            texts: dict[str, str] = {}
            embedded = True
            for attribute in node.tables(10):
                key = attribute.text(0, 100)
                if key in onnx.TEXTS:
                    texts[key] = attribute.text(5)
                elif key == "embed_mode":
                    embedded = attribute.number(4, "q", 1) != 0
                inner = attribute.table(7)
                pending += [*([inner] if inner is not None else []), *attribute.tables(12)]
            label = node.text(0, 200)
            place = f"node {label!r}" if label else f"operator {name}"
            if name == "EPContext" and not embedded and "ep_cache_context" in texts:
                detail = "the compiled model of an execution provider"
                yield Reference(target=texts["ep_cache_context"], role="external-data", detail=detail, place=place)
            yield from onnx.python_imports(name, texts, place)
