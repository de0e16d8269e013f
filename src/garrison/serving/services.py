"""What stages may use of the guard around them."""

from dataclasses import dataclass

from garrison.serving.incidents import Report
from garrison.serving.state.store import Store


@dataclass(frozen=True, eq=False)
class Services:
    """Lives as long as the guard's process; stages come and go with configurations."""

    store: Store
    report: Report
