"""What can be configured of this."""

import msgspec


class Observe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What is watched of a model, and how closely."""
