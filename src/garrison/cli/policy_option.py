"""The options that say which policy decides, for the commands that end in a report."""

import os
from typing import TYPE_CHECKING

from garrison.core.findings import Severity

if TYPE_CHECKING:
    import argparse

    from garrison.core.policy import Policy


def add_policy(group: "argparse._ActionsContainer") -> None:
    group.add_argument(
        "--policy", metavar="FILE", help="the policy (default: the nearest garrison.toml, or [tool.garrison])"
    )
    group.add_argument(
        "--threshold",
        choices=tuple(map(str, Severity)),
        metavar="SEVERITY",
        help="deny findings from this on: info, low, medium, high or critical (default: the policy's, else high)",
    )


def policy_of(arguments: "argparse.Namespace") -> "tuple[Policy, str | None]":
    """The policy that counts, and the file that it is from."""
    from garrison.core.policy_file import find_policy, load_policy

    found = arguments.policy or find_policy(".")
    origin = os.path.relpath(found) if found else None
    policy = load_policy(origin)
    if arguments.threshold:
        import msgspec.structs

        policy = msgspec.structs.replace(policy, threshold=Severity(arguments.threshold))
    return policy, origin
