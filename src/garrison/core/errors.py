"""Errors, by who is at fault."""


class GarrisonError(Exception):
    """The base of all errors that garrison raises on purpose; its text is one line for a person."""


class UsageError(GarrisonError):
    """The caller asked for something that cannot be: a path that is not there, a policy that does not parse."""


class ExaminationError(GarrisonError):
    """One subject could not be examined to its end; what was learnt before stays valid."""


class Malformed(ExaminationError):
    """The bytes break the rules of the format that they claim."""


class NotUnderstood(ExaminationError):
    """The bytes may be in order, but garrison does not read this variant."""


class LimitExceeded(ExaminationError):
    """Reading on would cost more than the limits allow.

    `limit` names the field of `Limits`, so that the report says which one.
    """

    def __init__(self, limit: str, message: str) -> None:
        super().__init__(message)
        self.limit = limit


def first_line(error: BaseException) -> str:
    """What an error of a library says first, shortened; its kind where it says nothing."""
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)[:200]
