"""From alarms to incidents: one when something begins, one when it is over, and nothing in between."""

from typing import Literal


class Episode:
    """Quiet, until there is an alarm; then open, until so many rows in a row had none."""

    def __init__(self, recovery: int) -> None:
        self._recovery = recovery
        self._below = 0
        self.open = False

    def update(self, alarm: bool, rows: int) -> Literal["opened", "resolved"] | None:
        """Take in a number of rows, among which there was an alarm or none."""
        if alarm:
            self._below = 0
            if not self.open:
                self.open = True
                return "opened"
        elif self.open:
            self._below += rows
            if self._below >= self._recovery:
                self.open = False
                return "resolved"
        return None
