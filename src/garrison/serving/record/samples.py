"""Inputs of calls that a stage has marked, sealed before they touch the disk, for those who may look at them."""

import contextlib
import hashlib
import io
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from garrison.core.errors import UsageError
from garrison.serving.calls import Call
from garrison.serving.record.entries import encoded
from garrison.serving.record.settings import Samples

if TYPE_CHECKING:
    from garrison.provenance.sealing.stanzas import Recipient

FORMAT = "garrison-sample/1"
ENDING = ".json.age"
_DRAFT = ".sample.part"
_DAY = 86400.0
_MINUTE = 60.0
_EXPIRE_EVERY = 3600.0
_MOST_BODY = 4 << 20
"""Bytes of a body: longer ones would hold up other calls while they are sealed."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What is sealed, as JSON."""

    format: str
    call: str
    time: float
    principal: str
    model: str
    version: str
    operation: str
    content_type: str
    header_length: str
    """The header `inference-header-content-length`, for bodies with binary tensors."""
    body: bytes
    """In base64."""


class SampleStore:
    """Bounded in number, bytes and rate. What is full takes nothing more, so nobody floods earlier samples away."""

    def __init__(
        self,
        settings: Samples,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises `UsageError` for recipients that cannot be read and a directory that cannot be written."""
        from garrison.provenance.sealing.identities import recipients_file

        self._recipients: list[Recipient] = [one for path in settings.recipients for one in recipients_file(path)]
        self._settings = settings
        self._wall = wall
        self._monotonic = monotonic
        self._minute, self._taken = monotonic(), 0
        self._expiry = monotonic() + _EXPIRE_EVERY
        try:
            os.makedirs(settings.directory, mode=0o700, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{settings.directory}: samples cannot be kept: {error.strerror}") from None
        self._count = self._bytes = 0
        self._lock = threading.Lock()
        self._expire()

    def take(self, call: Call) -> str:
        """The SHA-256 of the sealed file, in hexadecimal; or why there is none: `rate`, `large`, `full` or `failed`.

        From any thread.
        """
        with self._lock:
            return self._take(call)

    def _take(self, call: Call) -> str:
        if len(call.body) > _MOST_BODY:
            return "large"
        now = self._monotonic()
        if now - self._minute >= _MINUTE:
            self._minute, self._taken = now, 0
        if self._taken >= self._settings.per_minute:
            return "rate"
        self._taken += 1
        settings = self._settings
        most = settings.most_bytes - self._bytes
        if self._count >= settings.most or len(call.body) * 4 // 3 > most:
            return "full"
        sealed = self._sealed(call)
        if len(sealed) > most:
            return "full"
        try:
            self._write(call.identifier + ENDING, sealed)
        except OSError:
            return "failed"
        self._count += 1
        self._bytes += len(sealed)
        return hashlib.sha256(sealed).hexdigest()

    def tick(self) -> None:
        """To be called now and then: deletes what is old."""
        if self._monotonic() >= self._expiry:
            self._expiry = self._monotonic() + _EXPIRE_EVERY
            with self._lock:
                self._expire()

    def _expire(self) -> None:
        before = self._wall() - self._settings.keep_days * _DAY
        count = length = 0
        with os.scandir(self._settings.directory) as entries:
            for entry in entries:
                if not entry.name.endswith(ENDING):
                    continue
                with contextlib.suppress(OSError):
                    about = entry.stat(follow_symlinks=False)
                    if about.st_mtime < before:
                        os.unlink(entry.path)
                        continue
                    count += 1
                    length += about.st_size
        self._count, self._bytes = count, length

    def _sealed(self, call: Call) -> bytes:
        from garrison.provenance.sealing.sealed_file import seal

        sample = Sample(
            format=FORMAT,
            call=call.identifier,
            time=self._wall(),
            principal=call.principal.name,
            model=call.model,
            version=call.version,
            operation=call.operation,
            content_type=call.headers.get("content-type", ""),
            header_length=call.headers.get("inference-header-content-length", ""),
            body=call.body,
        )
        target = io.BytesIO()
        seal(io.BytesIO(encoded(sample)), target, self._recipients)
        return target.getvalue()

    def _write(self, name: str, data: bytes) -> None:
        draft = os.path.join(self._settings.directory, _DRAFT)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(file, "wb") as target:
                target.write(data)
            os.rename(draft, os.path.join(self._settings.directory, name))
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(draft)
            raise
