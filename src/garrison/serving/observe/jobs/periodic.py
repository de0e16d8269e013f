"""Runs jobs at intervals."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

_JITTER = 0.1
"""Share of an interval by which it varies, so that many guards do not all ask at once, nor anybody knows when."""


@dataclass(frozen=True, eq=False)
class Job:
    """Something to do at intervals."""

    name: str
    interval: float
    """Seconds between the end of one run and the beginning of the next."""
    run: Callable[[], Awaitable[None]]


class Periodic:
    """Each job has a task of its own: one that takes long delays no other. The first run is at once."""

    def __init__(
        self,
        jobs: Iterable[Job],
        failed: Callable[[str, BaseException], None],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`failed` is told of a run that raised, by the job's name; the next one comes all the same."""
        self._jobs = list(jobs)
        self._failed = failed
        self._sleep = sleep
        self._random = random.Random()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin, in the running loop."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._run(job), name=job.name) for job in self._jobs]

    async def stop(self) -> None:
        """End, without waiting for runs to."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _run(self, job: Job) -> None:
        while True:
            try:
                await job.run()
            except Exception as error:
                self._failed(job.name, error)
            await self._sleep(job.interval * (1 + _JITTER * self._random.uniform(-1, 1)))
