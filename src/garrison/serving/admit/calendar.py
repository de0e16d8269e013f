"""Days and months of quotas, by a clock that does not jump."""

import datetime
from collections.abc import Callable

_FOLLOWED = 60.0
"""Seconds by which the clock of the system may be off and is still followed."""


class Calendar:
    """UTC, as it was at the start plus what has passed since. Corrections of up to a minute are followed; a jump is
    not, since whoever can set the clock would have a new quota, or lock everybody out of the one they have."""

    def __init__(self, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._offset = wall() - monotonic()
        self._day = self._month = ("", 0.0)

    def now(self) -> float:
        """Seconds since 1970."""
        monotonic = self._monotonic()
        offset = self._wall() - monotonic
        if abs(offset - self._offset) <= _FOLLOWED:
            self._offset = offset
        return monotonic + self._offset

    def windows(self) -> tuple[tuple[str, float], tuple[str, float]]:
        """The day and the month, each with its name and the seconds until it ends."""
        now = self.now()
        if not self._day[1] - 86400 <= now < self._day[1]:
            day = datetime.datetime.fromtimestamp(now, datetime.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
            month = (day.replace(day=1) + datetime.timedelta(days=32)).replace(day=1)
            self._day = (day.strftime("%Y-%m-%d"), day.timestamp() + 86400)
            self._month = (day.strftime("%Y-%m"), month.timestamp())
        return (self._day[0], self._day[1] - now), (self._month[0], self._month[1] - now)
