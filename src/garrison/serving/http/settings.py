"""What can be configured of models that speak no protocol but JSON."""

from typing import Annotated

import msgspec


class Plain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Where a model takes JSON of its own kind, and where in it the tensors are."""

    path: str
    """The path at which the guard takes requests, and asks the server."""
    inputs: Annotated[dict[str, str], msgspec.Meta(min_length=1)]
    """JSON pointers (RFC 6901) by the name of the input, such as `features = "/features"`. What a request holds beside
    them is refused."""
    outputs: dict[str, str] = {}
    """Pointers into the answer, by the name of the output."""
