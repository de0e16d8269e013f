"""What goes on over time and concerns more than one call: findings about a running system."""

from collections.abc import Callable

import msgspec

from garrison.core.findings import Finding


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """A finding about a running model, with what it is grouped, silenced and sent by."""

    finding: Finding
    time: float
    """Seconds since 1970."""
    model: str = ""
    principal: str = ""
    call: str = ""
    """The identifier of the call that brought it up, if one did."""
    resolved: bool = False
    """Whether this says that an earlier one of the same rule, model and principal is over."""


Report = Callable[[Incident], None]
"""Takes incidents to the alerts, the metrics and the audit log. Never raises, and never waits."""
