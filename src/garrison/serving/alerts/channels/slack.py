"""Slack's incoming webhooks (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks)."""

import msgspec

from garrison.serving.alerts.channels.posting import post
from garrison.serving.alerts.channels.words import lines, title
from garrison.serving.alerts.groups import Notification
from garrison.serving.alerts.settings import Slack
from garrison.serving.config.secrets import secret

_MOST = 2900
"""Characters in a section; Slack takes 3,000."""


def send(channel: Slack, notification: Notification, guard: str) -> None:
    head, body = title(notification, guard), "\n".join(lines(notification))
    message = {
        "text": escaped(head),
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": head[:150]}},
            {"type": "section", "text": {"type": "mrkdwn", "text": escaped(body)[:_MOST]}},
        ],
    }
    headers = {"Content-Type": "application/json"}
    address = secret(channel.address_file)
    post(address, msgspec.json.encode(message), headers, timeout=channel.timeout, authorities=channel.authorities)


def escaped(text: str) -> str:
    """So that no name becomes a link, or calls everybody in (`<!channel>`)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
