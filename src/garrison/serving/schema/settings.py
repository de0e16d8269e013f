"""What can be configured of what a model takes."""

from typing import Annotated, Literal

import msgspec

from garrison.serving.stages import OnFailure

Bound = float | tuple[float, ...] | None


class Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """One input of a model."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    """With the axis of rows first, if there is one; -1 stands for any length."""
    low: Bound = None
    """The least value: one for all, or one for each column of the last axis."""
    high: Bound = None
    values: tuple[str | float, ...] = ()
    """When given, the only values of elements."""
    most_bytes: Annotated[int, msgspec.Meta(ge=0)] = 1 << 16
    """Of one text."""
    pattern: str = ""
    """A regular expression that every text matches as a whole."""
    optional: bool = False
    urls: Literal["refuse", "allow"] = "refuse"
    """Whether a text may be an address, which a server might fetch."""
    hosts: tuple[str, ...] = ()
    """Hosts of addresses that may be given all the same, by https and their usual port."""


class Schema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What the inputs of a model must be, by the guard's own word: what servers say of it cannot be trusted."""

    inputs: tuple[Input, ...] = ()
    outputs: tuple[str, ...] = ()
    """When given, the only outputs that may be asked for."""
    parameters: tuple[str, ...] = ()
    """Names of parameters, of requests and of tensors, that go on to the server, besides those of binary data."""
    most_rows: Annotated[int, msgspec.Meta(ge=1)] = 1024
    """Of one call, where inputs have an axis of rows."""
    finite: bool = True
    """Whether NaN and infinities are refused."""
    unchecked: bool = False
    """Whether the model is served without `inputs`: whatever its protocol allows goes on to the server."""
    on_failure: OnFailure = "closed"
