"""When is said what: incidents are counted as one while they go on, gathered into groups, and repeated rarely.

The rules are those of Prometheus' Alertmanager. A group's first message waits for `group_wait`, so that what comes
together is told together; a changed group is told again after `group_interval`, an unchanged one after
`repeat_interval`. Nothing here waits, sends, or knows what time it is.
"""

from collections import OrderedDict
from fnmatch import fnmatchcase

import msgspec

from garrison.core.findings import Finding
from garrison.serving.alerts.settings import Alerts, Silence
from garrison.serving.incidents import Incident

_GROUPS = 1_000
_MEMBERS = 100
"""Bounds, since who attacks may bring up as many incidents as they have names."""


class Ongoing(msgspec.Struct, kw_only=True):
    """One incident, however often it was reported."""

    finding: Finding
    model: str
    principal: str
    call: str
    began: float
    last: float
    count: int = 1
    resolved: bool = False


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """What is told at once."""

    labels: dict[str, str]
    """What the incidents have in common."""
    incidents: tuple[Ongoing, ...]
    others: int
    """Incidents beyond those, of which only the number is known."""
    runbook: str = ""

    @property
    def resolved(self) -> bool:
        """Whether all of it is over."""
        return all(one.resolved for one in self.incidents)


class _Group:
    __slots__ = ("changed", "due", "labels", "members", "others", "sent")

    def __init__(self, labels: dict[str, str], due: float) -> None:
        self.labels = labels
        self.members: OrderedDict[tuple[str, str, str, str], Ongoing] = OrderedDict()
        self.others = 0
        self.due = due
        self.sent: float | None = None
        self.changed = True


class Groups:
    """All that goes on. Times are seconds since 1970."""

    def __init__(self, settings: Alerts) -> None:
        self._settings = settings
        self._groups: OrderedDict[tuple[str, ...], _Group] = OrderedDict()
        self.silenced = 0
        """Incidents that a silence kept from being told."""
        self.forgotten = 0
        """Incidents that were not told because there were too many."""

    def settle(self, settings: Alerts) -> None:
        """Go on by other settings. Groups that were made by other labels stay until they are over."""
        self._settings = settings

    def add(self, incident: Incident, now: float) -> None:
        """Take in an incident."""
        if any(_matches(silence, incident, now) for silence in self._settings.silences):
            self.silenced += 1
            return
        labels: dict[str, str] = {name: _label(incident, name) for name in self._settings.group_by}
        group = self._group(labels, incident, now)
        if group is None:
            return
        finding = incident.finding
        key = (finding.rule, incident.model, incident.principal, finding.place)
        known = group.members.get(key)
        if known is None or known.resolved:
            if incident.resolved:
                return
            if known is None and len(group.members) >= _MEMBERS:
                group.others += 1
                self.forgotten += 1
                return
            group.members[key] = Ongoing(
                finding=finding, model=incident.model, principal=incident.principal, call=incident.call,
                began=incident.time, last=now,
            )  # fmt: skip
            self._change(group, now)
        elif incident.resolved:
            known.resolved = True
            known.last = now
            self._change(group, now)
        else:
            known.count += 1
            known.last = now
            if finding.severity.rank > known.finding.severity.rank:
                self._change(group, now)
            known.finding = finding

    def due(self, now: float, *, rest: bool = False) -> list[Notification]:
        """What is to be told now, or at the end the rest of it. What is over is told once and forgotten."""
        told = []
        for key, group in list(self._groups.items()):
            for one in group.members.values():
                if not one.resolved and now - one.last >= self._settings.over_after:
                    one.resolved = True
                    self._change(group, now)
            if now < group.due and not (rest and group.changed):
                continue
            # What was over before anybody was told of it is nevertheless told, once.
            if group.members:
                told.append(self._notification(group))
            group.sent, group.changed = now, False
            group.members = OrderedDict((name, one) for name, one in group.members.items() if not one.resolved)
            group.others = 0
            group.due = now + self._settings.repeat_interval
            if not group.members:
                del self._groups[key]
        return told

    def next(self) -> float | None:
        """When `due` may have something again."""
        return min((group.due for group in self._groups.values()), default=None)

    def _group(self, labels: dict[str, str], incident: Incident, now: float) -> _Group | None:
        key = tuple(labels.values())
        group = self._groups.get(key)
        if group is None and not incident.resolved:
            if len(self._groups) >= _GROUPS:
                self.forgotten += 1
                return None
            group = self._groups[key] = _Group(labels, now + self._settings.group_wait)
        return group

    def _change(self, group: _Group, now: float) -> None:
        if group.sent is None:
            return
        group.changed = True
        group.due = min(group.due, max(now, group.sent + self._settings.group_interval))

    def _notification(self, group: _Group) -> Notification:
        ordered = sorted(group.members.values(), key=lambda one: (-one.finding.severity.rank, one.began))
        rules = {one.finding.rule for one in ordered}
        pattern = self._settings.runbook
        return Notification(
            labels=group.labels,
            incidents=tuple(msgspec.structs.replace(one) for one in ordered),
            others=group.others,
            runbook=pattern.replace("{rule}", rules.pop()) if pattern and len(rules) == 1 else "",
        )


def _label(incident: Incident, name: str) -> str:
    if name == "rule":
        return incident.finding.rule
    if name == "severity":
        return incident.finding.severity
    return incident.model if name == "model" else incident.principal


def _matches(silence: Silence, incident: Incident, now: float) -> bool:
    return (
        now < silence.ends()
        and fnmatchcase(incident.finding.rule, silence.rule)
        and fnmatchcase(incident.model, silence.model)
        and fnmatchcase(incident.principal, silence.principal)
    )
