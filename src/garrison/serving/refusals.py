"""How the guard says no."""

import enum
import os
from typing import TYPE_CHECKING

import msgspec

from garrison.serving.calls import Answer

if TYPE_CHECKING:
    from garrison.serving.calls import Call, Mark


class Reason(enum.StrEnum):
    """Why a call was refused, as far as the caller may know. Codes are in `refusals.json`."""

    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    UNKNOWN = "unknown"
    METHOD = "method"
    MALFORMED = "malformed"
    UNACCEPTABLE = "unacceptable"
    """Read, and not let through: out of range, flagged by a detector, personal data."""
    TOO_LARGE = "too-large"
    MEDIA_TYPE = "media-type"
    LIMITED = "limited"
    SLOW = "slow"
    """The caller did not send its request in time."""
    OVERLOADED = "overloaded"
    DEADLINE = "deadline"
    BACKEND = "backend"
    FAILED = "failed"
    """The guard itself could not decide."""


class _Codes(msgspec.Struct, frozen=True):
    http: int
    grpc: str


with open(os.path.join(os.path.dirname(__file__), "refusals.json"), "rb") as _file:
    _CODES = msgspec.json.decode(_file.read(), type=dict[Reason, _Codes])


class Refused(Exception):
    """A call that is not answered by the server. The text goes to the caller: it says what to change, and nothing of
    other callers, keys, addresses, thresholds or the inside of the server."""

    def __init__(
        self, reason: Reason, message: str, *, retry_after: float | None = None, mark: "Mark | None" = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        """Seconds after which to try again."""
        self.mark = mark
        """What only the record shall say."""

    @property
    def status(self) -> int:
        """HTTP's."""
        return _CODES[self.reason].http

    @property
    def grpc(self) -> str:
        """The name of gRPC's status code."""
        return _CODES[self.reason].grpc


def answer(refused: Refused, call: "Call") -> Answer:
    """The answer that says so, in the shape of the Open Inference Protocol's errors."""
    body = msgspec.json.encode({"error": refused.message, "reason": refused.reason, "call": call.identifier})
    headers = [(b"content-type", b"application/json")]
    if refused.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, -int(-refused.retry_after // 1))))
    if refused.reason is Reason.UNAUTHENTICATED:
        headers.append((b"www-authenticate", b'Bearer realm="garrison"'))
    return Answer(refused.status, body, headers)
