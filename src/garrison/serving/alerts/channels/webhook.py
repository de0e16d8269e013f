"""JSON to an address, signed so that the other end can tell it from anybody else's.

The header `x-garrison-signature` is `t=SECONDS,v1=HEX`, HMAC-SHA-256 over `SECONDS.BODY` as in Stripe's webhooks: the
time is signed, so that an old message cannot be sent again.
"""

import hashlib
import hmac
import time

import msgspec

from garrison.serving.alerts.channels.posting import post
from garrison.serving.alerts.groups import Notification
from garrison.serving.alerts.settings import Webhook
from garrison.serving.config.secrets import secret


def send(channel: Webhook, notification: Notification, guard: str) -> None:
    body = msgspec.json.encode(
        {
            "version": 1,
            "guard": guard,
            "status": "resolved" if notification.resolved else "firing",
            "labels": notification.labels,
            "incidents": notification.incidents,
            "others": notification.others,
            "runbook": notification.runbook,
        }
    )
    headers = {"Content-Type": "application/json"}
    if channel.secret_file:
        headers["X-Garrison-Signature"] = signature(secret(channel.secret_file), int(time.time()), body)
    address = secret(channel.address_file) if channel.address_file else channel.address
    post(address, body, headers, timeout=channel.timeout, authorities=channel.authorities)


def signature(key: str, seconds: int, body: bytes) -> str:
    """The header's value."""
    digest = hmac.new(key.encode(), b"%d.%s" % (seconds, body), hashlib.sha256)
    return f"t={seconds},v1={digest.hexdigest()}"
