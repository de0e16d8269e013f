"""What is done with a call that has ended: written down, counted, traced."""

from collections.abc import Awaitable

from garrison.serving.calls import Answer, Call
from garrison.serving.metrics.tally import Tally
from garrison.serving.metrics.traces import Tracer
from garrison.serving.stages import OnFailure, Recorder


class Records:
    """The audit log decides whether the answer may leave; counts and spans never stand in its way."""

    def __init__(self, audit: Recorder | None, tally: Tally, tracer: Tracer | None) -> None:
        self.on_failure: OnFailure = audit.on_failure if audit is not None else "closed"
        self._audit = audit
        self._tally = tally
        self._tracer = tracer

    def record(self, call: Call, answer: Answer, refused: str) -> Awaitable[None] | None:
        self._tally.record(call, answer, refused)
        if self._tracer is not None:
            self._tracer.end(call, answer, refused)
        return self._audit.record(call, answer, refused) if self._audit is not None else None


class Tracing:
    """Begins spans, before any other stage."""

    name = "trace"
    on_failure: OnFailure = "open"

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def before(self, call: Call) -> None:
        self._tracer.begin(call)

    def after(self, call: Call, answer: Answer) -> None:
        pass
