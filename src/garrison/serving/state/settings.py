"""What can be configured of this."""

from typing import Annotated

import msgspec

from garrison.serving.config.paths import ConfigPath


class State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Where shared state lies; in this process without an address."""

    address: str = ""
    """`redis://host:port/0`, `rediss://` for TLS, or `unix:///path`, without a password."""
    password_file: ConfigPath = ""
    password_variable: str = ""
    """The environment variable that holds the password, where no file does."""
    authorities: ConfigPath = ""
    """A PEM file of authorities in place of the system's, for `rediss://`."""
    namespace: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_.-]{1,64}$")] = "garrison"
    """What all keys begin with; guards with the same one share their limits."""
    timeout: Annotated[float, msgspec.Meta(gt=0, le=10)] = 0.05
    """Seconds for which an answer is waited for."""
    connections: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 16
    most_keys: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 100_000
    """Of each kind, for state in this process."""
    snapshot: ConfigPath = ""
    """A file that keeps quotas over a restart, for state in this process."""
