"""What can be configured of this."""

import msgspec


class Schema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What the inputs of a model must be."""
