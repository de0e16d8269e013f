"""What can be configured of this."""

import msgspec


class Admit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Limits of a model, for each principal and for all."""
