"""The time that output says it was made at, where the same input shall give the same bytes.

Source: https://reproducible-builds.org/specs/source-date-epoch/
"""

import datetime
import os

from garrison.core.errors import UsageError

_END = 253402300800
"""The year 10000, which times have no room for."""


def source_date() -> datetime.datetime | None:
    """The time in `SOURCE_DATE_EPOCH`; `None` where that is not set. Raises `UsageError` when it is no time."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None:
        return None
    if not given.isascii() or not given.isdecimal() or len(given) > 20 or int(given) >= _END:
        raise UsageError(f"SOURCE_DATE_EPOCH is {given[:40]!r}, which is no number of seconds until the year 9999")
    return datetime.datetime.fromtimestamp(int(given), datetime.UTC)
