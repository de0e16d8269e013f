"""Copies lines into a stream of Redis or Valkey. An entry has two fields: `guard`, and `line` with the bytes as they
are in the log, so that what several guards wrote lies in one place and each chain can still be verified."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from garrison.core.errors import UsageError
from garrison.core.files import contents
from garrison.serving.record.settings import Copy

if TYPE_CHECKING:
    from redis.asyncio import Redis

_WAITING = 50_000
"""Lines that wait for the stream; of a copy that is not required, more are left out."""
_BATCH = 500
_PAUSE = 1.0
"""Seconds before another try."""
_SECRET = 1 << 12


class StreamCopy:
    """`put` may be called from any thread, the rest from one event loop."""

    def __init__(
        self, settings: Copy, guard: str, failed: Callable[[BaseException], None], *, pause: float = _PAUSE
    ) -> None:
        """Raises `UsageError` for an address that is none. Nothing is connected before `start`."""
        self._settings = settings
        self._guard = guard
        self._failed = failed
        self._pause = pause
        self._client = _client(settings)
        self._lines: deque[bytes] = deque()
        self._put = 0
        """How many lines have come, and how many the stream has or will never have."""
        self._done = 0
        self.left_out = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None

    def put(self, line: bytes) -> None:
        if len(self._lines) >= _WAITING:
            self.left_out += 1
            return
        self._lines.append(line)
        self._put += 1
        if self._loop is not None and self._wake is not None:
            self._loop.call_soon_threadsafe(self._wake.set)

    def sent(self) -> asyncio.Future[None]:
        """Done when the stream has all that was put before; fails with `OSError` where it does not get it now."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if len(self._lines) >= _WAITING:
            future.set_exception(OSError("the copy of the audit log has come to a stop"))
        elif self._done >= self._put:
            future.set_result(None)
        else:
            self._waiting.append((self._put, future))
        return future

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._wake.set()
        self._task = self._loop.create_task(self._run())

    async def stop(self) -> None:
        """Send what waits, once more, and disconnect."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
            while self._lines and await self._send():
                pass
        self._refuse("the guard stops")
        self._loop = None
        await self._client.aclose()

    async def _run(self) -> None:
        assert self._wake is not None
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._lines:
                if not await self._send():
                    await asyncio.sleep(self._pause)

    async def _send(self) -> bool:
        batch = [self._lines[index] for index in range(min(_BATCH, len(self._lines)))]
        settings = self._settings
        try:
            async with asyncio.timeout(settings.timeout), self._client.pipeline(transaction=False) as pipeline:
                for line in batch:
                    fields: dict[Any, Any] = {"guard": self._guard, "line": line}
                    pipeline.xadd(settings.stream, fields, maxlen=settings.most, approximate=True)
                await pipeline.execute()
        except Exception as error:
            self._refuse("the copy of the audit log is out of reach")
            self._failed(error)
            return False
        for _ in batch:
            self._lines.popleft()
        self._done += len(batch)
        ready = [future for count, future in self._waiting if count <= self._done]
        self._waiting = [one for one in self._waiting if one[0] > self._done]
        for future in ready:
            if not future.done():
                future.set_result(None)
        return True

    def _refuse(self, reason: str) -> None:
        waiting, self._waiting = self._waiting, []
        for _, future in waiting:
            if not future.done():
                future.set_exception(OSError(reason))


def _client(settings: Copy) -> "Redis":
    try:
        from redis.asyncio import Redis
    except ImportError:
        raise UsageError("a copy of the audit log in Redis takes redis: pip install 'garrison[serving]'") from None
    password = None
    if settings.password_file:
        password = contents(settings.password_file, _SECRET).decode("utf-8", "replace").strip()
    try:
        return Redis.from_url(
            settings.address,
            password=password,
            socket_timeout=settings.timeout,
            socket_connect_timeout=settings.timeout,
        )
    except ValueError as error:
        raise UsageError(f"record.copy.address: {error}") from None
