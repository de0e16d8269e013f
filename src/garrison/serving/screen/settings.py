"""What can be configured of this."""

import msgspec


class Screen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What inputs are looked at for, and what becomes of those that are flagged."""
