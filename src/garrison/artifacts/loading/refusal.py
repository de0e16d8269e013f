"""The one error for what is not loaded."""

import pickle
from typing import TYPE_CHECKING

from garrison.core.errors import GarrisonError

if TYPE_CHECKING:
    from garrison.core.report import Report


class LoadRefused(GarrisonError, pickle.UnpicklingError):
    """Policy, a signature or the scan stands against loading; the text says which, in one line.

    It is an `UnpicklingError` too, so that programs which are ready for a file that does not unpickle are ready for
    one that must not.
    """

    def __init__(self, message: str, report: "Report | None" = None) -> None:
        super().__init__(message)
        self.report = report
        """What the scan found, if it was a scan that decided."""
