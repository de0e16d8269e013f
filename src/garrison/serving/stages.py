"""What a stage is."""

from collections.abc import Awaitable
from typing import Literal, Protocol, runtime_checkable

from garrison.serving.calls import Answer, Call

OnFailure = Literal["closed", "open"]
"""What becomes of calls while a stage cannot decide: refused, or let through and marked so."""


class Stage(Protocol):
    """Looks at calls before they are forwarded and at answers before they leave.

    Both methods raise `Refused` to refuse. They return nothing, or what must be awaited where something takes time:
    a stage that decides at once costs no task switch. Any other exception is a failure of the stage, and
    `on_failure` says what comes of it.
    """

    name: str
    on_failure: OnFailure

    def before(self, call: Call) -> Awaitable[None] | None: ...

    def after(self, call: Call, answer: Answer) -> Awaitable[None] | None:
        """Asked for answers of the server, failures included, and not for refusals."""
        ...


@runtime_checkable
class Head(Protocol):
    """A stage that can refuse before a body is read, so that a stranger's takes neither memory nor a connection's
    time. It is asked again with the others, since only then is it known whether it can decide."""

    name: str

    def head(self, call: Call) -> None:
        """Raises `Refused`."""
        ...


class Recorder(Protocol):
    """Writes down every call with what came of it, before the answer leaves."""

    on_failure: OnFailure

    def record(self, call: Call, answer: Answer, refused: str) -> Awaitable[None] | None:
        """`refused` is the reason, empty for what the server answered. Raises where it could not be written."""
        ...
