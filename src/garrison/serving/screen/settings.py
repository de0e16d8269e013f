"""What can be configured of screening."""

from typing import Annotated, Literal

import msgspec

from garrison.serving.config.paths import ConfigPath
from garrison.serving.stages import OnFailure

Reaction = Literal["block", "flag", "shadow", "fallback"]
"""Refuse the call; let it through and record what was seen; do so after the answer has left, so that nobody waits; let
another model answer."""


class DetectorUse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """A detector that `garrison detect fit` wrote."""

    directory: ConfigPath
    input: str = ""
    """The tensor that it looks at; the only one when empty."""
    scale: float = 1.0
    """What values are multiplied by before it sees them: 0.00392156862745098 for bytes, where it was fitted with
    values from 0 to 1."""
    reaction: Reaction = "flag"
    most_rows: Annotated[int, msgspec.Meta(ge=1)] = 256
    """Of one call; a call with more is not looked at further, and counts as flagged."""


class TextUse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Whether texts are searched, and what comes of it."""

    reaction: Reaction | Literal["off"] = "off"
    kinds: tuple[str, ...] = ()
    """Ids of what is looked for; everything when empty."""


class Screen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What inputs are looked at for, and what becomes of those that are flagged."""

    detectors: dict[str, DetectorUse] = {}
    personal_data: TextUse = TextUse()
    secrets: TextUse = TextUse(reaction="flag")
    fallback: str = ""
    """The model that answers for `fallback`; it takes and gives the same, and is in the configuration."""
    on_failure: OnFailure = "closed"
