"""The guard as a process: what lives as long as it does, and configurations that come and go."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from garrison.core.errors import UsageError, first_line
from garrison.serving.alerts.notifier import Notifier
from garrison.serving.alerts.notifier import check as check_alerts
from garrison.serving.assembly import Assembled
from garrison.serving.calls import Call, Forward, Mark
from garrison.serving.config.config import Config
from garrison.serving.http.gateway import Current
from garrison.serving.incidents import Incident, Report
from garrison.serving.metrics.endpoint import MetricsServer
from garrison.serving.metrics.exposition import Exposition, Reading
from garrison.serving.metrics.tally import Tally
from garrison.serving.metrics.traces import Tracer
from garrison.serving.record.audit import Audit
from garrison.serving.records import Records
from garrison.serving.services import Services
from garrison.serving.state.opening import open_store

_GRACE = 30.0
"""Seconds for calls that have begun to end."""
_SAID = 10.0
"""Seconds for which a failure that goes on is not said again."""


class _Sinks:
    """Where incidents and late notices go. Parts are added as they come up, and none of them may fail the others."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.notices: list[Callable[[Call, Mark], None]] = []

    def report(self, incident: Incident) -> None:
        for sink in self.reports:
            sink(incident)

    def notice(self, call: Call, mark: Mark) -> None:
        for sink in self.notices:
            sink(call, mark)


class Running:
    """One guard. Make it, `start` it in a loop, `reload` it as often as wanted, and `stop` it."""

    def __init__(
        self,
        config: Config,
        *,
        forward: Forward | None = None,
        passphrase: Callable[[], bytes | None] = lambda: None,
        say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
    ) -> None:
        """`forward` asks in place of the configured servers, where the guard is inside one; it then listens nowhere.

        Raises `UsageError` for a configuration that cannot be.
        """
        check_alerts(config.alerts)
        self._say = say
        self._said: dict[str, float] = {}
        self._forward = forward
        self._sinks = _Sinks()
        self._store = open_store(config.state)
        self._services = Services(store=self._store, report=self._sinks.report, noticed=self._sinks.notice)
        self.tally = Tally(config.models)
        self._notifier = Notifier(config.alerts, config.record.guard or "garrison", failed=self._not_told)
        self._audit = Audit(config, self._services, passphrase=passphrase, failed=self._failed_audit)
        self._sinks.reports = [self.tally.report, self._audit.report, self._notifier.report]
        self._sinks.notices = [self._audit.noticed]
        self._tracer = Tracer(config.metrics.traces, self._audit.guard) if config.metrics.traces.address else None
        self._exposition = Exposition(self.tally, [self._readings]) if config.metrics.listen else None
        self.assembled = self._assemble(config)
        self.http = Current(self.assembled.http)
        """What new requests meet."""
        self._servers: list[Any] = []
        self._grpc: Any = None
        self._leaving: dict[asyncio.Task[None], Assembled] = {}
        self._changing = asyncio.Lock()
        """One reload at a time, and none during the end: two of them would start watchers that nobody stops."""
        self._stopping = False

    async def start(self) -> None:
        """Begin to listen and to watch. Raises `UsageError` for an address that cannot be had."""
        config = self.assembled.config
        self._audit.start()
        self._notifier.start()
        self.assembled.start()
        if self._forward is not None:
            return
        if config.listen.http:
            from garrison.serving.http.server import Server

            server = Server(self.http, config.listen)
            await server.start()
            self._servers.append(server)
            self._say(f"garrison: listening at {config.listen.http} for REST")
        if config.listen.grpc:
            from garrison.serving.grpc.gateway import Current as GrpcCurrent
            from garrison.serving.grpc.server import GrpcServer

            self._grpc = GrpcCurrent(self.assembled.grpc())
            grpc_server = GrpcServer(self._grpc, config.listen)
            await grpc_server.start()
            self._servers.append(grpc_server)
            self._say(f"garrison: listening at {config.listen.grpc} for gRPC")
        if config.metrics.listen and self._exposition is not None:
            metrics = MetricsServer(self._exposition, config.metrics.listen)
            await metrics.start()
            self._servers.append(metrics)
            self._say(f"garrison: metrics at http://{config.metrics.listen}/metrics")

    async def reload(self, config: Config) -> None:
        """Give new calls another configuration; those that have begun end with theirs.

        Raises `UsageError`, and goes on as before, for one that cannot be, or that changes what only a restart can: the
        audit log, the addresses to listen at, the store.
        """
        async with self._changing:
            if self._stopping:
                raise UsageError("the guard is ending")
            await self._reload(config)

    async def _reload(self, config: Config) -> None:
        check_alerts(config.alerts)
        _unchanged(self.assembled.config, config)
        new = self._assemble(config)
        old = self.assembled
        try:
            grpc = new.grpc() if self._grpc is not None else None
            await old.rest()
            try:
                new.take_over(old)
                new.start()
            except BaseException:
                await new.rest(keep=False)
                old.start()
                raise
        except BaseException:
            await new.close()
            raise
        # Nothing below fails: new calls meet all of the new configuration or nothing of it.
        self.assembled = new
        if self._grpc is not None:
            self._grpc.gateway = grpc
        self.http.gateway = new.http
        self.tally.serves(config.models)
        self._notifier.settle(config.alerts)
        self._audit.reloaded(config)
        leaving = asyncio.get_running_loop().create_task(_closed_later(old))
        self._leaving[leaving] = old
        leaving.add_done_callback(lambda task: self._leaving.pop(task, None))

    async def stop(self, grace: float = _GRACE) -> None:
        """Take nothing new, answer what has begun, write down what is known, and end."""
        self._stopping = True
        async with self._changing:
            await self._stop(grace)

    async def _stop(self, grace: float) -> None:
        await asyncio.gather(*(server.stop(grace) for server in self._servers))
        await self.assembled.rest()
        await self.assembled.close()
        leaving = dict(self._leaving)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        for old in leaving.values():
            await old.close()
        await self._notifier.stop()
        await self._audit.stop()
        if self._tracer is not None:
            await asyncio.to_thread(self._tracer.close)
        await self._store.close()

    def failed(self, name: str, error: BaseException) -> None:
        """Take note of a failure of a part of the guard."""
        self.tally.failed(name, error)
        self._audit.failure(name, error)
        self._tell(name, error)

    def _failed_audit(self, name: str, error: BaseException) -> None:
        # The log that has failed is not told of it.
        self.tally.failed(name, error)
        self._tell(name, error)

    def _not_told(self, channel: str, error: BaseException) -> None:
        self.failed(f"alerts.channels.{channel}", error)

    def _tell(self, name: str, error: BaseException) -> None:
        now = time.monotonic()
        if now - self._said.get(name, -_SAID) >= _SAID:
            self._said[name] = now
            self._say(f"garrison: {name} failed: {type(error).__name__}: {first_line(error)}")

    def _assemble(self, config: Config) -> Assembled:
        recorder = Records(self._audit.recorder(config), self.tally, self._tracer)
        return Assembled(config, self._services, recorder, self.failed, tracer=self._tracer, forward=self._forward)

    def _readings(self) -> Iterable[Reading]:
        groups = self._notifier.groups
        yield Reading("alerts_silenced", groups.silenced, {}, "Incidents that a silence kept quiet.", total=True)
        yield Reading("alerts_forgotten", groups.forgotten, {}, "Incidents beyond what is told.", total=True)
        yield from self.assembled.readings()


def _unchanged(old: Config, new: Config) -> None:
    for name in ("listen", "state"):
        if getattr(old, name) != getattr(new, name):
            raise UsageError(f"[{name}] changes only when the guard starts again")
    if old.metrics != new.metrics:
        raise UsageError("[metrics] changes only when the guard starts again")


async def _closed_later(old: Assembled) -> None:
    """Let go of what the calls of an old configuration use, once they have had time to end."""
    await asyncio.sleep(_GRACE)
    await old.close()
