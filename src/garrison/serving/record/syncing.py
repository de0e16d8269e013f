"""Has the disk take the log, once for all records that wait for it at the time."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from garrison.serving.record.log import AuditLog


class GroupSync:
    """One thread. Used from one event loop."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="audit")
        self._waiting: list[asyncio.Future[None]] = []
        self._running: asyncio.Task[None] | None = None

    def wait(self) -> asyncio.Future[None]:
        """Done when the disk has all that was appended before; fails with `OSError` where it has not."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append(future)
        if self._running is None:
            self._running = loop.create_task(self._run())
        return future

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                try:
                    await loop.run_in_executor(self._thread, self._log.synced)
                except OSError as error:
                    # Records that came meanwhile were taken back with the others.
                    batch, self._waiting = batch + self._waiting, []
                    for future in batch:
                        if not future.done():
                            future.set_exception(OSError(*error.args))
                else:
                    for future in batch:
                        if not future.done():
                            future.set_result(None)
        finally:
            self._running = None

    def close(self) -> None:
        self._thread.shutdown()
