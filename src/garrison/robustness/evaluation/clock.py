"""The time that an evaluation has, and what is said of how far it is."""

import time
from collections.abc import Callable

Progress = Callable[[float, str], None]
"""Told which share of the whole is done, from 0 to 1, and what is under way."""


class TimeIsOver(Exception):
    """What is under way has no time left; raised out of its report of progress."""


class Clock:
    """Keeps the deadline, and divides progress among stages by their usual shares."""

    def __init__(self, seconds: float | None, progress: Progress | None) -> None:
        self.started = time.monotonic()
        self._seconds = seconds
        self._progress = progress
        self._done = 0.0
        self._share = 0.0
        self._name = ""
        self._told = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def over(self) -> bool:
        return self._seconds is not None and self.elapsed > self._seconds

    def deadline(self, share: float) -> float | None:
        """The time, of `time.monotonic`, when this share of all time is over."""
        return None if self._seconds is None else self.started + self._seconds * share

    def stage(self, name: str, share: float) -> None:
        """A stage begins that is this share of the whole."""
        self._done = min(1.0, self._done + self._share)
        self._share, self._name = share, name
        self._tell(0.0, name)

    def within(self, share: float, name: str = "") -> None:
        """This share of the stage is done. Raises `TimeIsOver` after the deadline."""
        self._tell(share, name or self._name)
        self.check()

    def check(self) -> None:
        """Raises `TimeIsOver` after the deadline."""
        if self.over():
            raise TimeIsOver

    def told(self, share: float, name: str = "") -> None:
        """The same for what cuts itself short."""
        self._tell(share, name or self._name)

    def _tell(self, share: float, name: str) -> None:
        # What a stage tells may go back a little where it does several things one after the other.
        self._told = min(1.0, max(self._told, self._done + share * self._share))
        if self._progress is not None:
            self._progress(self._told, name)
