"""What people read of a notification."""

import datetime
from collections.abc import Iterator

from garrison.serving.alerts.groups import Notification, Ongoing

_SHOWN = 10
"""Incidents that are written out; the rest is a number."""


def title(notification: Notification, guard: str) -> str:
    """One line."""
    worst = notification.incidents[0].finding
    state = "over" if notification.resolved else worst.severity.upper()
    where = ", ".join(f"{name} {value}" for name, value in notification.labels.items() if value and name != "rule")
    more = len(notification.incidents) + notification.others - 1
    count = f" and {more:,} more" if more else ""
    return f"[{state}] {worst.rule}{f' ({where})' if where else ''}{count}, guard {guard}"


def lines(notification: Notification) -> Iterator[str]:
    """The incidents, one after the other."""
    for one in notification.incidents[:_SHOWN]:
        yield f"{'over: ' if one.resolved else ''}{one.finding.message}"
        yield f"  {', '.join(_about(one))}"
        if one.finding.fix and not one.resolved:
            yield f"  what to do: {one.finding.fix}"
    hidden = len(notification.incidents) - _SHOWN
    if (others := max(hidden, 0) + notification.others) > 0:
        yield f"and {others:,} more"
    if notification.runbook:
        yield f"runbook: {notification.runbook}"


def _about(one: Ongoing) -> Iterator[str]:
    yield one.finding.severity
    if one.model:
        yield f"model {one.model}"
    if one.principal:
        yield f"principal {one.principal}"
    yield f"since {moment(one.began)}"
    if one.count > 1:
        yield f"{one.count:,} times"
    if one.call:
        yield f"call {one.call}"


def moment(seconds: float) -> str:
    """RFC 3339, in UTC."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
