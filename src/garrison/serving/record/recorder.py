"""Writes calls down."""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from garrison.serving.calls import Answer, Call
from garrison.serving.record.entries import CallEntry, MarkEntry
from garrison.serving.record.log import AuditLog
from garrison.serving.record.samples import SampleStore
from garrison.serving.record.settings import Record
from garrison.serving.services import Services

if TYPE_CHECKING:
    from garrison.serving.stages import OnFailure

_NAME = 256
_MESSAGE = 1024
_MARKS = 32
_ROLES = 100
_SAMPLED = ("", "unacceptable")
"""What came of calls whose inputs are worth a sample: they were let in, and read."""


def short(text: str, most: int = _NAME) -> str:
    """What somebody else has chosen, no longer than so many characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


class AuditRecorder:
    """A `Recorder`: every call is a line of the audit log."""

    def __init__(
        self,
        log: AuditLog,
        settings: Record,
        config: str,
        services: Services,
        *,
        digest_key: bytes,
        digests: Mapping[str, str],
        samples: SampleStore | None = None,
        settled: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`settled` gives what an answer waits for, once its record is in the log."""
        self.on_failure: OnFailure = settings.on_failure
        self._append = log.append
        self._config = config[:16]
        self._wall = services.wall
        self._monotonic = services.monotonic
        self._key = digest_key
        self._peers = settings.peers
        self._digests = digests
        self._samples = samples
        self._settled = settled

    def record(self, call: Call, answer: Answer, refused: str) -> Awaitable[None] | None:
        principal = call.principal
        inputs = call.inputs
        marks = call.marks
        self._append(
            CallEntry(
                time=self._wall(),
                id=call.identifier,
                transport=call.transport,
                action=call.action.value,
                operation=short(call.operation),
                model=short(call.model),
                version=short(call.version),
                requested=short(call.requested),
                digest=self._digests.get(call.model, ""),
                principal=short(principal.name),
                tenant=short(principal.tenant),
                roles=[short(role) for role in principal.roles[:_ROLES]] if principal.roles else [],
                method=principal.method,
                peer=self._peer(call),
                status=answer.status,
                refused=refused,
                rows=inputs[0].shape[0] if inputs and inputs[0].shape else 0,
                marks=[_mark(mark.rule, mark.message, mark.score) for mark in marks[:_MARKS]] if marks else [],
                degraded=call.degraded,
                input=self._digest(call.body),
                answer=self._digest(answer.body) if answer.stream is None else "",
                sample=self._samples.take(call) if marks and self._samples and refused in _SAMPLED else "",
                duration=int((self._monotonic() - call.received) * 1e6),
                config=self._config,
            )
        )
        return self._settled() if self._settled is not None else None

    def _digest(self, data: bytes) -> str:
        return hmac.digest(self._key, data, "sha256").hex() if self._key and data else ""

    def _peer(self, call: Call) -> str:
        if self._peers == "address":
            return short(call.peer.address)
        return self._digest(call.peer.address.encode("utf-8", "backslashreplace")) if self._peers == "digest" else ""


def _mark(rule: str, message: str, score: float | None) -> MarkEntry:
    return MarkEntry(rule=short(rule), message=short(message, _MESSAGE), score=score)
