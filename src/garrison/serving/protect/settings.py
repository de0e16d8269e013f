"""What can be configured of the protection of answers."""

from typing import Annotated, Literal

import msgspec

from garrison.serving.config.paths import ConfigPath
from garrison.serving.stages import OnFailure

Scores = Literal["probabilities", "logits", "independent", "numbers"]
"""What an output holds along its axis of classes: probabilities of which one is true; their logits, which callers then
get as probabilities; probabilities of their own, each; or numbers that decide nothing."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What callers of some roles get. Noise comes first, then `top`, then `digits`."""

    roles: tuple[str, ...] = ()
    """Empty for whoever has none of the roles of other rules."""
    unchanged: bool = False
    """Whether these callers get answers as the server gives them."""
    outputs: tuple[str, ...] = ()
    """The outputs that hold scores; every output of floating-point numbers when empty."""
    as_they_are: tuple[str, ...] = ()
    """Other outputs that are given unchanged. Whole numbers and truth values are, when `outputs` is empty; what is left
    is withheld."""
    scores: Scores = "probabilities"
    axis: int = -1
    """Of the classes; rows are the first axis."""
    labels_only: bool = False
    """One at the decision, and zero elsewhere."""
    noise: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.0
    """The standard deviation of normal noise on the log-probabilities, or on `numbers` themselves; none for 0."""
    top: Annotated[int, msgspec.Meta(ge=0)] = 0
    """How many classes keep their probabilities; all for 0."""
    digits: Annotated[int, msgspec.Meta(ge=0, le=15)] | None = None
    """Decimal digits that are left."""
    rounding: Literal["nearest", "down"] = "nearest"


class Protect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """How answers are made to teach less, from the strictest rule to the most permissive; unchanged without rules."""

    rules: tuple[Rule, ...] = ()
    several_roles: Literal["strictest", "most-permissive"] = "strictest"
    """Which rule counts for a caller with roles of several: the first of them in the list, or the last."""
    key: ConfigPath = ""
    """A file of 16 bytes or more, which nobody else may know: it decides the noise, so that the same question gets the
    same answer from every guard that has it."""
    on_failure: OnFailure = "closed"
