"""What can be configured of this."""

import msgspec


class Protect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """How answers are coarsened."""
