"""What can be configured of this."""

import msgspec


class State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Where shared state lies; in this process without an address."""
