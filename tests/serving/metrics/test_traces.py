"""A traced call has a span, which the server behind continues; callers decide nothing unless they are trusted."""

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from garrison.serving.calls import Action, Answer, Call, Mark, Peer
from garrison.serving.metrics.settings import Traces
from garrison.serving.metrics.traces import Tracer

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def traced(settings: Traces, traceparent: str = "", *, status: int = 200) -> tuple[Call, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracer = Tracer(settings, "edge-1", exporter)
    headers = {"traceparent": traceparent} if traceparent else {}
    call = Call(Action.INFER, transport="http", headers=headers, peer=Peer(), model="digits")
    tracer.begin(call)
    call.marks.append(Mark(rule="url-in-input", message="an address"))
    tracer.end(call, Answer(status), "")
    tracer.close()
    return call, exporter


def test_a_span_tells_of_the_call_and_nothing_of_its_inputs() -> None:
    call, exporter = traced(Traces(address="http://x", share=1.0))
    (span,) = exporter.get_finished_spans()
    assert span.name == "infer digits"
    assert span.attributes is not None
    assert span.attributes["garrison.call"] == call.identifier
    assert [event.name for event in span.events] == ["url-in-input"]
    assert span.context is not None
    assert call.trace == f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01"


def test_what_is_not_to_be_traced_is_not() -> None:
    call, exporter = traced(Traces(address="http://x", share=0.0), f"00-{TRACE}-{SPAN}-01")
    assert exporter.get_finished_spans() == ()
    assert call.trace == ""


def test_callers_who_are_trusted_have_their_trace_continued_and_decide_whether() -> None:
    trusted = Traces(address="http://x", share=0.0, trust_callers=True)
    call, exporter = traced(trusted, f"00-{TRACE}-{SPAN}-01")
    (span,) = exporter.get_finished_spans()
    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, SPAN)
    assert call.trace.startswith(f"00-{TRACE}-")
    assert SPAN not in call.trace
    call, exporter = traced(trusted, f"00-{TRACE}-{SPAN}-00")
    assert exporter.get_finished_spans() == ()
    assert call.trace == f"00-{TRACE}-{SPAN}-00"


@pytest.mark.parametrize(
    "header",
    [
        f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"01-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}", "x" * 10_000, f"00-{TRACE}-{SPAN}-01-extra",
    ],
)  # fmt: skip
def test_what_is_no_trace_is_continued_by_nobody(header: str) -> None:
    call, exporter = traced(Traces(address="http://x", share=1.0, trust_callers=True), header)
    (span,) = exporter.get_finished_spans()
    assert span.parent is None
    assert TRACE not in call.trace
