"""What can be configured of roles and policies."""

from typing import Literal

import msgspec

from garrison.serving.stages import OnFailure

Granted = Literal[
    "health", "metadata", "infer", "explain", "feedback", "repository", "manage", "administer", "*"
]  # fmt: skip
"""The names of `calls.Action`, but for the one that nobody is granted."""


class Grant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What a role may do, or must not."""

    effect: Literal["allow", "deny"] = "allow"
    """What is denied stays so, whatever else allows it."""
    actions: tuple[Granted, ...]
    """`*` stands for health, metadata, infer and explain; the others are named one by one."""
    models: tuple[str, ...] = ()
    """Shell patterns over names of models; `*` for all of them. Without any, what is allowed is what concerns no model,
    and what is denied is denied for all. A grant for some models lets nobody ask what concerns all of them, such as
    their list or the server's statistics."""
    versions: tuple[str, ...] = ("*",)
    """Shell patterns over versions, by the letters of the path. A call that leaves the version to the server has the
    empty one, so that a version is closed by allowing the others, not by denying it."""
    tenants: tuple[str, ...] = ("*",)
    """Shell patterns over the tenant of whoever calls."""
    attributes: dict[str, tuple[str, ...]] = {}
    """What whoever calls must have: for each name one of these values."""
    same_tenant: bool = False
    """Whether the model must be of the caller's own tenant."""


class Authorise(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Roles and what they may do; what nothing allows is denied."""

    roles: dict[str, tuple[Grant, ...]] = {}
    open_health: bool = True
    """Whether anybody may ask if the server is alive and ready, as load balancers do."""
    on_failure: OnFailure = "closed"
