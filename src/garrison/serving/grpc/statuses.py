"""Between gRPC's status codes and answers, whose statuses are HTTP's.

What a server says about a request (`details` in `statuses.json`) goes to the caller. What it says about itself does
not: it may hold traces and paths. A server that does not let the guard in is a fault of the guard's, and not of the
caller's.
"""

import os

import msgspec

from garrison.serving.calls import Answer
from garrison.serving.refusals import Reason, Refused

_LONGEST_TEXT = 1024
_CODE = b"grpc-status"


class _Status(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    http: int
    code: str
    details: bool = False


class _Error(msgspec.Struct, frozen=True):
    error: str = ""
    reason: Reason | None = None


class Status(msgspec.Struct, frozen=True):
    """How a call ends that has no answer."""

    code: str
    """The name of gRPC's status code."""
    text: str
    trailing: dict[str, str]
    """Metadata that goes with it."""


with open(os.path.join(os.path.dirname(__file__), "statuses.json"), "rb") as _file:
    _STATUSES = msgspec.json.decode(_file.read(), type=dict[str, _Status])


def failure(code: str, details: str) -> Answer:
    """The answer that stands for a server's failure. Raises `Refused` where the server did not answer at all."""
    if code == "DEADLINE_EXCEEDED":
        raise Refused(Reason.DEADLINE, "the model server did not answer in time")
    if code not in _STATUSES:
        raise Refused(Reason.BACKEND, "the model server cannot be reached")
    status = _STATUSES[code]
    text = printable(details) if status.details else "the model server failed"
    return Answer(status.http, msgspec.json.encode({"error": text}), [(_CODE, status.code.encode())])


def status(answer: Answer) -> Status:
    """What a caller is told of an answer that is a failure or a refusal."""
    headers = dict(answer.headers)
    try:
        error = msgspec.json.decode(answer.body, type=_Error)
    except msgspec.DecodeError:
        error = _Error()
    trailing = {}
    if error.reason is not None:
        trailing["reason"] = error.reason.value
        code = Refused(error.reason, "").grpc
    else:
        code = headers.get(_CODE, b"INTERNAL").decode()
    if b"retry-after" in headers:
        trailing["retry-after"] = headers[b"retry-after"].decode()
    return Status(code, printable(error.error), trailing)


def printable(text: str) -> str:
    """At most a line of it."""
    return "".join(one if one.isprintable() else " " for one in text[:_LONGEST_TEXT])
