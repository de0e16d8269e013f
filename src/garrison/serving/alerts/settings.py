"""What can be configured of this."""

import msgspec


class Alerts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Channels, groups, silences."""
