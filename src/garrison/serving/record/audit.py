"""The audit log of one guard: open for as long as its process lives, whatever configurations come and go."""

import asyncio
import contextlib
import functools
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

import garrison
from garrison.core.errors import UsageError
from garrison.provenance.keys import contents, load_private_key
from garrison.serving.calls import Call, Mark
from garrison.serving.config.config import Config
from garrison.serving.config.reading import digest
from garrison.serving.incidents import Incident
from garrison.serving.record.copies import StreamCopy
from garrison.serving.record.entries import (
    Entry,
    FailureEntry,
    FeedbackEntry,
    IncidentEntry,
    IntegrityEntry,
    NoticedEntry,
    ReloadEntry,
    StartEntry,
    StopEntry,
)
from garrison.serving.record.log import AuditLog
from garrison.serving.record.recorder import AuditRecorder, short
from garrison.serving.record.samples import SampleStore
from garrison.serving.record.settings import Record
from garrison.serving.record.syncing import GroupSync
from garrison.serving.services import Services

_TICK = 1.0
_KEY_BYTES = 16
"""The fewest of a key for digests."""


_RELOADED = ("on_failure", "peers")
"""What of the settings a reload may change."""


def _nothing() -> None:
    return None


class Audit:
    """Opened with the first configuration; each has a recorder of its own. What concerns the log itself stays as it was
    opened until the guard starts again."""

    def __init__(
        self,
        config: Config,
        services: Services,
        *,
        passphrase: Callable[[], bytes | None] = _nothing,
        failed: Callable[[str, BaseException], None] = lambda name, error: None,
        digests: Mapping[str, str] | None = None,
    ) -> None:
        """`passphrase` opens a signing key that is encrypted; `digests` are those of the models, by their names, and
        may change. Raises `UsageError` for what is configured wrongly, and for a log that was altered."""
        settings = config.record
        check(settings)
        self._settings = settings
        self._services = services
        self._digests = digests if digests is not None else {}
        self._failed = functools.partial(failed, "record")
        self.guard = settings.guard or socket.gethostname()
        signer = load_private_key(settings.signing_key, passphrase) if settings.signing_key else None
        self._digest_key = _digest_key(settings)
        self.samples = (
            SampleStore(settings.samples, wall=services.wall, monotonic=services.monotonic)
            if settings.samples.recipients
            else None
        )
        self._copy = StreamCopy(settings.copy, self.guard, self._failed) if settings.copy.address else None
        try:
            self.log = AuditLog(
                settings,
                self.guard,
                signer=signer,
                emit=self._copy.put if self._copy else None,
                failed=self._failed,
                wall=services.wall,
                monotonic=services.monotonic,
            )
        except OSError as error:
            raise UsageError(
                f"{settings.directory}: the audit log cannot be written: {error.strerror or error}"
            ) from None
        self._sync = GroupSync(self.log) if settings.durability == "disk" else None
        self._required = self._copy is not None and settings.copy.required
        self._task: asyncio.Task[None] | None = None
        self._append(
            StartEntry(time=services.wall(), guard=self.guard, release=garrison.__version__, config=digest(config))
        )

    def recorder(self, config: Config) -> AuditRecorder:
        """The recorder of the calls of one configuration.

        Raises `UsageError` for one that asks for another log than the one that is open.
        """
        check(config.record)
        for name in self._settings.__struct_fields__:
            if name not in _RELOADED and getattr(config.record, name) != getattr(self._settings, name):
                raise UsageError(f"record.{name.replace('_', '-')}: changes only when the guard starts again")
        return AuditRecorder(
            self.log,
            config.record,
            digest(config),
            self._services,
            digest_key=self._digest_key,
            digests=self._digests,
            samples=self.samples,
            settled=self._settled if self._sync or self._required else None,
        )

    def start(self) -> None:
        """Begin what goes on beside the calls, in the running loop: checkpoints by time, the copy, the end of old
        samples."""
        if self._copy:
            self._copy.start()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Sign the end of the log and let go of it. Whatever is recorded afterwards fails."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._append(StopEntry(time=self._services.wall()))
        if self._sync:
            await asyncio.to_thread(self._sync.close)
        try:
            self.log.close()
        except OSError as error:
            self._failed(error)
        if self._copy:
            await self._copy.stop()

    def report(self, incident: Incident) -> None:
        """Write an incident down. Never raises; from any thread."""
        finding = incident.finding
        self._append(
            IncidentEntry(
                time=self._services.wall(),
                rule=short(finding.rule),
                severity=finding.severity.value,
                message=short(finding.message, 1024),
                model=short(incident.model),
                principal=short(incident.principal),
                call=incident.call,
                resolved=incident.resolved,
            )
        )

    def noticed(self, call: Call, mark: Mark) -> None:
        """Write down what was noticed of a call after it was recorded. Never raises; from any thread."""
        self._append(
            NoticedEntry(
                time=self._services.wall(),
                call=call.identifier,
                rule=short(mark.rule),
                message=short(mark.message, 1024),
                score=mark.score,
                model=short(call.model),
                principal=short(call.principal.name),
                sample=self.samples.take(call) if self.samples else "",
            )
        )

    def reloaded(self, config: Config) -> None:
        self._append(ReloadEntry(time=self._services.wall(), config=digest(config)))

    def failure(self, stage: str, error: BaseException) -> None:
        """Write down that a part of the guard failed. Never raises, and tells nobody where that fails as well."""
        entry = FailureEntry(time=self._services.wall(), stage=short(stage), error=type(error).__name__)
        with contextlib.suppress(OSError):
            self.log.append(entry)

    def integrity(
        self, model: str, digest: str, verdict: Literal["verified", "altered", "unknown"], message: str = ""
    ) -> None:
        self._append(
            IntegrityEntry(
                time=self._services.wall(),
                model=short(model),
                digest=digest,
                verdict=verdict,
                message=short(message, 1024),
            )
        )

    def feedback(self, call: str, of: str, rows: int) -> None:
        self._append(FeedbackEntry(time=self._services.wall(), call=call, of=short(of), rows=rows))

    def _append(self, entry: Entry) -> None:
        try:
            self.log.append(entry)
        except OSError as error:
            self._failed(error)

    def _settled(self) -> Awaitable[None]:
        if self._sync and not self._required:
            return self._sync.wait()
        return self._settle()

    async def _settle(self) -> None:
        if self._sync:
            await self._sync.wait()
        if self._copy:
            await self._copy.sent()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            try:
                if self._sync and not self.log.signed_to_the_end:
                    self.log.tick()
                    await self._sync.wait()
                else:
                    self.log.tick()
                if self.samples:
                    self.samples.tick()
            except OSError as error:
                self._failed(error)


def check(settings: Record) -> None:
    """Raise `UsageError` for settings that cannot be together, or name what cannot be read."""
    if not settings.directory:
        raise UsageError("record.directory: the guard answers nothing that it does not record; name a directory")
    if settings.peers == "digest" and not settings.digest_key:
        raise UsageError("record.peers: digests of addresses take a digest-key")
    if settings.copy.required and not settings.copy.address:
        raise UsageError("record.copy.required: there is no address")
    _digest_key(settings)


def _digest_key(settings: Record) -> bytes:
    if not settings.digest_key:
        return b""
    key = contents(settings.digest_key).strip()
    if len(key) < _KEY_BYTES:
        raise UsageError(f"{settings.digest_key}: a key for digests has {_KEY_BYTES} bytes or more")
    return key
