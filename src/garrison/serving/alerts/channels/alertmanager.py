"""Alertmanager's API of version 2 (https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml)."""

import msgspec

from garrison.serving.alerts.channels.posting import post
from garrison.serving.alerts.channels.words import moment
from garrison.serving.alerts.groups import Notification, Ongoing
from garrison.serving.alerts.settings import Alertmanager

_LASTS = 6 * 3600.0
"""Seconds after which Alertmanager takes an alert for over that nobody speaks of again."""


def send(channel: Alertmanager, notification: Notification, guard: str) -> None:
    alerts = [_alert(one, notification.runbook, guard) for one in notification.incidents]
    post(
        channel.address.rstrip("/") + "/api/v2/alerts",
        msgspec.json.encode(alerts),
        {"Content-Type": "application/json"},
        timeout=channel.timeout,
        authorities=channel.authorities,
    )


def _alert(one: Ongoing, runbook: str, guard: str) -> dict[str, object]:
    labels = {
        "alertname": one.finding.rule,
        "severity": one.finding.severity,
        "guard": guard,
        "model": one.model,
        "principal": one.principal,
        "place": one.finding.place,
    }
    annotations = {
        "summary": one.finding.message,
        "description": one.finding.fix,
        "runbook_url": runbook,
        "call": one.call,
        "count": str(one.count),
    }
    return {
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {name: value for name, value in annotations.items() if value},
        "startsAt": moment(one.began),
        "endsAt": moment(one.last if one.resolved else one.last + _LASTS),
    }
