"""Spans by OpenTelemetry: one for each call that is traced, which the server's own continue.

What callers say of traces (W3C Trace Context, https://www.w3.org/TR/trace-context/) is not believed unless that is
configured: whoever may mark their calls as sampled may make the guard work for every one of them.
"""

import random
import re
from typing import TYPE_CHECKING

from garrison.core.errors import UsageError
from garrison.core.files import contents
from garrison.serving.calls import Answer, Call
from garrison.serving.metrics.settings import Traces

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")


class Tracer:
    """Begins spans and ends them. Costs calls that are not traced a random number."""

    def __init__(self, settings: Traces, guard: str, exporter: "SpanExporter | None" = None) -> None:
        """Without an `exporter`, spans go to the address in the settings.

        Raises `UsageError` where OpenTelemetry is not installed.
        """
        try:
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ModuleNotFoundError:
            raise UsageError("traces take OpenTelemetry: pip install 'garrison[telemetry]'") from None
        self._settings = settings
        resource = Resource.create({"service.name": "garrison-guard", "service.instance.id": guard})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter or _exporter(settings)))
        self._tracer = self._provider.get_tracer("garrison.serving")

    def begin(self, call: Call) -> None:
        """Begin a span for a call if it is to be traced, and let the server behind continue it."""
        parent = self._parent(call) if self._settings.trust_callers else None
        sampled = bool(int(parent[3], 16) & 1) if parent else random.random() < self._settings.share
        if not sampled:
            # A server behind must not begin what was not to be traced.
            call.trace = f"00-{parent[1]}-{parent[2]}-00" if parent else ""
            return
        from opentelemetry import trace

        context = None
        if parent:
            flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
            remote = trace.SpanContext(int(parent[1], 16), int(parent[2], 16), is_remote=True, trace_flags=flags)
            context = trace.set_span_in_context(trace.NonRecordingSpan(remote))
        span = self._tracer.start_span(
            f"{call.action} {call.model}".strip(),
            context=context,
            kind=trace.SpanKind.SERVER,
            start_time=int(call.time * 1e9),
        )
        made = span.get_span_context()
        call.trace = f"00-{made.trace_id:032x}-{made.span_id:016x}-01"
        call.span = span

    def end(self, call: Call, answer: Answer, refused: str) -> None:
        """End the span of a call, if it has one."""
        span = call.span
        if span is None:
            return
        from opentelemetry.trace import Status, StatusCode

        span.set_attributes(
            {
                "garrison.call": call.identifier,
                "garrison.action": call.action.value,
                "garrison.model": call.model,
                "garrison.version": call.version,
                "garrison.transport": call.transport,
                "garrison.outcome": refused or "answered",
                "http.response.status_code": answer.status,
            }
        )
        for mark in call.marks:
            span.add_event(mark.rule, {"message": mark.message})
        for stage in call.degraded:
            span.add_event("degraded", {"stage": stage})
        if answer.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end()
        call.span = None

    def close(self) -> None:
        """Send what has not been sent, and end."""
        self._provider.shutdown()

    def _parent(self, call: Call) -> "re.Match[str] | None":
        return _TRACEPARENT.fullmatch(call.headers.get("traceparent", ""))


def _exporter(settings: Traces) -> "SpanExporter":
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ModuleNotFoundError:
        raise UsageError("traces take OpenTelemetry's exporter: pip install 'garrison[telemetry]'") from None
    return OTLPSpanExporter(endpoint=settings.address, headers=_headers(settings.headers_file))


def _headers(path: str) -> dict[str, str]:
    if not path:
        return {}
    lines = (line for line in contents(path, 1 << 16).decode("utf-8", "replace").splitlines() if line.strip())
    headers = {}
    for line in lines:
        name, separator, value = line.partition(":")
        if not separator or not line.isprintable():
            raise UsageError(f"{path}: lines are `name: value`")
        headers[name.strip()] = value.strip()
    return headers
