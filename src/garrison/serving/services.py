"""What stages may use of the guard around them."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from garrison.serving.calls import Call, Mark
from garrison.serving.incidents import Report
from garrison.serving.state.store import Store


@dataclass(frozen=True, eq=False)
class Services:
    """Lives as long as the guard's process; stages come and go with configurations."""

    store: Store
    report: Report
    noticed: Callable[[Call, Mark], None]
    """Takes what was noticed of a call after it was recorded. May be called from any thread, and never waits."""
    monotonic: Callable[[], float] = time.monotonic
    """For durations. A replay of recorded traffic has clocks of its own."""
    wall: Callable[[], float] = time.time
    """For days and records, in seconds since 1970."""
