"""Takes incidents from everywhere in the guard, and tells those who are to know."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from fnmatch import fnmatchcase

import msgspec

from garrison.core.errors import UsageError
from garrison.serving.alerts.channels import alertmanager, email, slack, webhook
from garrison.serving.alerts.channels.posting import Undelivered, address_of
from garrison.serving.alerts.groups import Groups, Notification
from garrison.serving.alerts.settings import Alertmanager, Alerts, Channel, Email, Slack, Webhook
from garrison.serving.config.secrets import secret
from garrison.serving.incidents import Incident

_WAITING = 10_000
"""Incidents that wait to be looked at; more are counted only."""
_TRIES = 5
_PAUSE = 2.0
"""Seconds before the second try; each later one waits twice as long."""
_TICK = 0.5
"""Seconds between looks at what has come."""


class Notifier:
    """`report` may be called from any thread, and returns at once."""

    def __init__(
        self,
        settings: Alerts,
        guard: str,
        *,
        wall: Callable[[], float] = time.time,
        failed: Callable[[str, BaseException], None] = lambda name, error: None,
        pause: float = _PAUSE,
    ) -> None:
        """`failed` is told of what could not be delivered, by the channel's name."""
        self.groups = Groups(settings)
        self._settings = settings
        self._guard = guard
        self._wall = wall
        self._failed = failed
        self._pause = pause
        self._waiting: deque[Incident] = deque(maxlen=_WAITING)
        self._sending: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    def report(self, incident: Incident) -> None:
        self._waiting.append(incident)

    def settle(self, settings: Alerts) -> None:
        """Go on by other settings; what goes on is still known."""
        self._settings = settings
        self.groups.settle(settings)

    def start(self) -> None:
        """Begin to tell, in the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self, *, grace: float = 5.0) -> None:
        """Tell what is still to be told now, for so many seconds, and end."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self.look(final=True)
        if self._sending:
            _, late = await asyncio.wait(self._sending, timeout=grace)
            for task in late:
                task.cancel()

    def look(self, *, final: bool = False) -> None:
        """Take in what has come, and begin to send what is due; at the end, all there is."""
        now = self._wall()
        while self._waiting:
            self.groups.add(self._waiting.popleft(), now)
        for notification in self.groups.due(now, rest=final):
            for name, channel in self._settings.channels.items():
                if (part := _for(channel, notification)) is not None:
                    task = asyncio.get_running_loop().create_task(self._deliver(name, channel, part))
                    self._sending.add(task)
                    task.add_done_callback(self._sending.discard)

    async def _run(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(_TICK)

    async def _deliver(self, name: str, channel: Channel, notification: Notification) -> None:
        for attempt in range(_TRIES):
            try:
                await asyncio.to_thread(send, channel, notification, self._guard)
            except Exception as error:
                lasting = isinstance(error, UsageError) or (isinstance(error, Undelivered) and error.lasting)
                if lasting or attempt == _TRIES - 1:
                    self._failed(name, error)
                    return
                await asyncio.sleep(self._pause * 2**attempt)
            else:
                return


def send(channel: Channel, notification: Notification, guard: str) -> None:
    """Tell one channel, and wait until it has taken it. Raises `Undelivered`, and `UsageError` for wrong settings."""
    if isinstance(channel, Webhook):
        webhook.send(channel, notification, guard)
    elif isinstance(channel, Slack):
        slack.send(channel, notification, guard)
    elif isinstance(channel, Email):
        email.send(channel, notification, guard)
    else:
        alertmanager.send(channel, notification, guard)


def check(settings: Alerts) -> None:
    """Raise `UsageError` for a channel that can never deliver, naming it."""
    for name, channel in settings.channels.items():
        try:
            _check(channel)
        except UsageError as error:
            raise UsageError(f"alerts.channels.{name}: {error}") from None


def _check(channel: Channel) -> None:
    if isinstance(channel, Webhook):
        if bool(channel.address) == bool(channel.address_file):
            raise UsageError("give either address or address-file")
        address_of(channel.address or secret(channel.address_file))
        if channel.secret_file:
            secret(channel.secret_file)
    elif isinstance(channel, Slack):
        address_of(secret(channel.address_file))
    elif isinstance(channel, Alertmanager):
        address_of(channel.address)
    elif isinstance(channel, Email):
        if bool(channel.user) != bool(channel.password_file):
            raise UsageError("user and password-file go together")
        if channel.password_file:
            secret(channel.password_file)
            if channel.encryption == "none":
                raise UsageError("a password is sent over encrypted connections only")


def _for(channel: Channel, notification: Notification) -> Notification | None:
    """The part of a notification that a channel is to have."""
    wanted = tuple(
        one
        for one in notification.incidents
        if one.finding.severity.rank >= channel.severity.rank
        and any(fnmatchcase(one.finding.rule, pattern) for pattern in channel.rules)
        and any(fnmatchcase(one.model, pattern) for pattern in channel.models)
    )
    return msgspec.structs.replace(notification, incidents=wanted) if wanted else None
