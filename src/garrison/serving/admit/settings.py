"""What can be configured of this."""

from typing import Annotated

import msgspec

from garrison.serving.calls import Action
from garrison.serving.stages import OnFailure

Rate = Annotated[float, msgspec.Meta(gt=0, le=1e5)]
Number = Annotated[int, msgspec.Meta(ge=1, le=10**12)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86400)]


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What is not set is not limited."""

    rate: Rate | None = None
    """Queries a second, over time."""
    burst: Rate | None = None
    """Queries at once; those of one second when unset, and at least one."""
    rows_rate: Rate | None = None
    rows_burst: Rate | None = None
    """Rows at once; those of ten seconds when unset."""
    concurrency: Number | None = None
    """Calls in flight, in this process."""
    queries_per_day: Number | None = None
    queries_per_month: Number | None = None
    rows_per_day: Number | None = None
    rows_per_month: Number | None = None


class Admit(Limits, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Limits of a model, for each principal and for all."""

    roles: dict[str, Limits] = {}
    """Other limits for principals with a role, in place of these; the first role here that they have counts."""
    total: Limits = Limits()
    """For all principals together."""
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    """How much of `total.concurrency` one principal may hold."""
    costs: dict[Action, Rate] = {}
    """How many queries, and how many rows for each row, an action counts as; 1 when unset."""
    timeout: Seconds = 30.0
    """Seconds for callers that name no deadline."""
    most_timeout: Seconds = 300.0
    """Seconds at most, whatever callers name."""
    max_body: Number = 4 << 20
    """Bytes of a body."""
    on_failure: OnFailure = "closed"
    """`open`: this process limits by itself while the store is gone, so that N guards allow N times as much."""
