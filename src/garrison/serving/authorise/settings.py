"""What can be configured of this."""

import msgspec


class Authorise(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Roles and policies; what nothing allows is denied."""
