"""What can be configured of this."""

import msgspec


class Authenticate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """How callers show who they are; without any way, nobody is let in."""
