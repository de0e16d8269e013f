"""What the renderers for people say alike."""

import datetime

from garrison.core.gate_decision import Counted, GateDecision


def verdict(decision: GateDecision) -> tuple[str, str]:
    """The title and the reason."""
    count = len(decision.requirements)
    unmet = [one.name for one in decision.requirements if not one.met]
    if decision.allowed:
        return "Passed", "the one requirement is met" if count == 1 else f"all {count} requirements are met"
    return "Denied", f"{len(unmet)} of {count} requirements not met: {', '.join(unmet)}"


def counted(one: Counted, now: datetime.datetime) -> str:
    """Whose statement it is, from when, and what it says."""
    when = f", {_age(one.time, now)}" if one.time is not None else ""
    return f"by {one.identity}{when}: {one.says}"


def _age(time: datetime.datetime, now: datetime.datetime) -> str:
    days = max(0, (now - time).days)
    if days == 0:
        return "less than a day ago"
    return f"{days} day{'' if days == 1 else 's'} ago"
