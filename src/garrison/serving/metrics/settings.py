"""What can be configured of this."""

import msgspec


class Metrics(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Where metrics and traces go."""
